/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/core/facts.h"

#include <string.h>

#include "hv/core/again.h"
#include "hv/core/config_diff.h"
#include "hv/core/config_policy.h"
#include "hv/core/lifecycle.h"
#include "hv/core/log.h"
#include "hv/core/percpu.h"
#include "hv/core/platform.h"
#include "hv/core/policy_put.h"

const struct stat_row stat_rows[STAT_COUNT] = {
#define STAT_ROW(name, unit, class, help) { #name, #unit, #class, help },
	STATS_TABLE(STAT_ROW)
#undef STAT_ROW
};

const struct offload offloads[OFFLOADS] = {
	{ VIRTIO_NET_F_CSUM, "csum", "sends without a checksum" },
	{ VIRTIO_NET_F_HOST_TSO4, "host_tso4", "sends large TCP packets of IPv4" },
	{ VIRTIO_NET_F_HOST_TSO6, "host_tso6", "the same of IPv6" },
	{ VIRTIO_NET_F_HOST_USO, "host_uso", "sends large UDP packets" },
	{ VIRTIO_NET_F_GUEST_CSUM, "guest_csum", "receives without a checksum" },
	{ VIRTIO_NET_F_GUEST_TSO4, "guest_tso4", "receives large TCP packets of IPv4" },
	{ VIRTIO_NET_F_GUEST_TSO6, "guest_tso6", "the same of IPv6" },
	{ VIRTIO_NET_F_GUEST_USO4, "guest_uso4", "receives large UDP packets of IPv4" },
	{ VIRTIO_NET_F_GUEST_USO6, "guest_uso6", "the same of IPv6" },
};

static const char *state_of(const struct vm *vm)
{
	if (!vm)
		return "off";
	if (atomic_load(&vm->state) != VM_RUNNING)
		return atomic_load(&vm->state) == VM_CREATED ? "starting" : "ending";
	return atomic_load(&vm->paused) ? "paused" : "running";
}

void vm_facts(unsigned id, struct vm_facts *out)
{
	const struct vm *vm;

	*out = (struct vm_facts){ .config = &vm_config->vms[id], .state = "off" };
	spin_lock(&vm_table_lock);
	vm = vm_table[id];
	out->state = !vm && again_waits(id) ? "waiting" : state_of(vm);
	out->runs = vm != NULL;
	if (vm) {
		out->unsafe_dma = vm->unsafe_dma;
		exit_counts_add(&out->exits, vm);
	}
	for (unsigned i = 0; vm && i < vm->vcpu_count; i++)
		out->wakeups += atomic_load_explicit(&vm->vcpus[i]->wakeups, memory_order_relaxed);
	spin_unlock(&vm_table_lock);
}

int vm_by_name(const char *name)
{
	int id = -1;

	spin_lock(&vm_table_lock);
	for (unsigned i = 0; i < vm_config->vm_count && id < 0; i++)
		if (config_vm_there(&vm_config->vms[i]) &&
		    strcmp(vm_config->vms[i].name, name) == 0)
			id = (int)i;
	spin_unlock(&vm_table_lock);
	return id;
}

/* Each vCPU dumps itself: its registers are its CPU's until its next exit. */
int vm_dump(const char *name, void (*off)(unsigned vcpu))
{
	int id = vm_by_name(name), count = -1;
	struct vm *vm;

	if (id < 0)
		return -1;
	spin_lock(&vm_table_lock);
	vm = vm_table[id];
	for (unsigned i = 0; vm && i < vm->vcpu_count; i++) {
		count = count < 0 ? 0 : count;
		if (atomic_load(&vm->vcpus[i]->state) == VCPU_OFF) {
			off(i);
		} else {
			vcpu_signal(vm->vcpus[i], SIGNAL_DUMP, 0);
			count++;
		}
	}
	spin_unlock(&vm_table_lock);
	return count;
}

/* ---- ports ---- */

static void facts_of(struct port *port, struct port_facts *f)
{
	*f = (struct port_facts){
		.port = port,
		.name = port_name(port),
		.switch_name = port_switch_name(port),
		.mac = port_mac(port),
		.link = port_link(port),
		.used = port_offloads(port),
		.sent = port_counter(port, STAT_tx_packets),
		.received = port_counter(port, STAT_rx_packets),
		.dropped = port_counter_drops(port, false) + port_counter_drops(port, true),
	};
	f->uplinks_away = platform->port_uplinks_away(port);
	f->driver = platform->port_features(port, &f->offered, &f->accepted);
}

unsigned ports_each(const char *name, port_fn *each, void *context)
{
	unsigned found = 0;
	struct port_facts f;
	struct port *port;

	for (unsigned s = 0; s < vm_config->switch_count; s++)
		for (unsigned i = 0; (port = switch_port(platform->switch_at(s), i)) != NULL; i++) {
			if (name && strcmp(port_name(port), name) != 0)
				continue;
			facts_of(port, &f);
			each(&f, context);
			found++;
		}
	return found;
}

void port_warning(const struct port_facts *f, char *out, size_t room)
{
	unsigned not_offered = 0, declined = 0, off = 0;

	for (unsigned i = 0; i < OFFLOADS; i++) {
		uint64_t bit = offloads[i].feature;

		if (!(f->offered & bit))
			not_offered++;
		else if (!(f->accepted & bit))
			declined++;
		else if (!(f->used & bit))
			off++;
	}
	out[0] = '\0';
	if (!f->driver)
		return;
	if (not_offered)
		snprintf(out, room, "of %u offloads the device does not offer %u", OFFLOADS,
			 not_offered);
	else if (declined)
		snprintf(out, room, "of %u offloads the guest's driver declined %u", OFFLOADS,
			 declined);
	else if (off)
		snprintf(out, room, "of %u offloads the guest's driver has %u off", OFFLOADS, off);
}

struct link_wanted {
	bool up;
};

static void set_link(const struct port_facts *f, void *context)
{
	const struct link_wanted *wanted = context;

	platform->port_set_link(f->port, wanted->up);
}

bool port_link_set(const char *name, bool up)
{
	struct link_wanted wanted = { up };
	unsigned found;

	spin_lock(&vm_table_lock);
	found = ports_each(name, set_link, &wanted);
	spin_unlock(&vm_table_lock);
	return found != 0;
}

static void add_counters(const struct port_facts *f, void *context)
{
	uint64_t *sum = context;

	for (unsigned id = 0; id < STAT_COUNT; id++)
		sum[id] += port_counter(f->port, (enum stat_id)id);
}

unsigned ports_sum(const char *name, uint64_t sum[STAT_COUNT])
{
	unsigned found;

	spin_lock(&vm_table_lock);
	found = ports_each(name, add_counters, sum);
	spin_unlock(&vm_table_lock);
	return found;
}

void mac_text(char out[MAC_TEXT], const uint8_t mac[6])
{
	snprintf(out, MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
		 mac[4], mac[5]);
}

/* ---- policies ---- */

void policy_values_text(const struct policy *p, char *out, size_t room)
{
	size_t fill = 0;
	const char *word;

	if (!p->words)
		snprintf(out, room, "%u to %u", p->least, p->most);
	for (uint32_t i = 0; (word = policy_word(p, i)) != NULL && fill < room; i++)
		fill += (size_t)snprintf(out + fill, room - fill, "%s%s", i ? ", " : "", word);
}

void policy_value_text(const struct policy *p, char out[16])
{
	uint32_t value = policy_get((enum policy_id)(p - policies));
	const char *word = policy_word(p, value);

	if (word)
		snprintf(out, 16, "%s", word);
	else
		snprintf(out, 16, "%u", value);
}

bool policy_change(const char *name, const char *text, char *why, size_t room)
{
	const struct policy *p = policy_by_name(name);
	char values[POLICY_TEXT];
	uint32_t value;

	if (!p) {
		snprintf(why, room, "no policy \"%s\": \"set\" lists them", name);
		return false;
	}
	if (!text || !policy_parse(p, text, &value)) {
		policy_values_text(p, values, sizeof(values));
		snprintf(why, room, "%s takes %s", name, values);
		return false;
	}
	policy_put((enum policy_id)(p - policies), value);
	return true;
}
