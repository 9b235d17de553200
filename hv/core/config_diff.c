/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two configs are compared property by property, as text, in the order of the parser's table: what a
 * property asks of a running machine stands there, its value as text here. Nodes are the same if their
 * names are.
 */
#include "hv/core/config_diff.h"

#include "hv/core/config_impl.h"
#include "hv/core/config_policy.h"

#define VALUE_BYTES (CONFIG_MAX_BOOTARGS + 1) /* the longest; a list of 256 CPUs is shorter */

const char *config_effect_name(enum config_effect effect)
{
	static const char *const names[] = { "never", "live", "start/stop", "restart", "boot" };

	return names[effect];
}

/* --- places --- */

static int find_vm(const struct config *config, const char *name)
{
	for (unsigned i = 0; i < config->vm_count; i++)
		if (!strcmp(config->vms[i].name, name))
			return (int)i;
	return -1;
}

static int find_switch(const struct config *config, const char *name)
{
	for (unsigned i = 0; i < config->switch_count; i++)
		if (!strcmp(config->switches[i].name, name))
			return (int)i;
	return -1;
}

/* The first place where neither a VM of *now is nor one has been placed; else of one that goes. */
static unsigned free_vm(const struct config *now, const struct config *placed)
{
	unsigned goes = CONFIG_MAX_VMS;

	for (unsigned i = 0; i < CONFIG_MAX_VMS; i++) {
		if (config_vm_there(&placed->vms[i]))
			continue;
		if (i >= now->vm_count || !config_vm_there(&now->vms[i]))
			return i;
		if (goes == CONFIG_MAX_VMS)
			goes = i;
	}
	return goes;
}

static unsigned free_switch(const struct config *now, const struct config *placed)
{
	unsigned goes = CONFIG_MAX_SWITCHES;

	for (unsigned i = 0; i < CONFIG_MAX_SWITCHES; i++) {
		if (config_switch_there(&placed->switches[i]))
			continue;
		if (i >= now->switch_count || !config_switch_there(&now->switches[i]))
			return i;
		if (goes == CONFIG_MAX_SWITCHES)
			goes = i;
	}
	return goes;
}

static void place_switches(const struct config *now, const struct config *next,
			   struct config *placed, uint8_t place[CONFIG_MAX_SWITCHES])
{
	for (unsigned pass = 0; pass < 2; pass++) /* those that are there keep their places */
		for (unsigned i = 0; i < next->switch_count; i++) {
			int at = find_switch(now, next->switches[i].name);

			if ((at < 0) != (pass == 1))
				continue;
			place[i] = (uint8_t)(at < 0 ? free_switch(now, placed) : (unsigned)at);
			placed->switches[place[i]] = next->switches[i];
			if (place[i] >= placed->switch_count)
				placed->switch_count = place[i] + 1u;
		}
}

static void place_vm(const struct config_vm *vm, unsigned at,
		     const uint8_t switches[CONFIG_MAX_SWITCHES], struct config *placed)
{
	struct config_vm *to = &placed->vms[at];

	*to = *vm;
	for (unsigned i = 0; i < to->net_count; i++)
		to->nets[i].switch_index = switches[to->nets[i].switch_index];
	if (at >= placed->vm_count)
		placed->vm_count = at + 1;
}

void config_place(const struct config *now, const struct config *next, struct config *placed)
{
	uint8_t switches[CONFIG_MAX_SWITCHES] = { 0 };

	memset(placed, 0, sizeof(*placed));
	memcpy(placed->policy, next->policy, sizeof(placed->policy));
	place_switches(now, next, placed, switches);
	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < next->vm_count; i++) {
			int at = find_vm(now, next->vms[i].name);

			if ((at < 0) == (pass == 1))
				place_vm(&next->vms[i],
					 at < 0 ? free_vm(now, placed) : (unsigned)at, switches,
					 placed);
		}
}

/* --- values --- */

static void text_flag(bool set, char *out, size_t room)
{
	config_format(out, room, "%s", set ? "yes" : "no");
}

static void text_cpus(const struct config_vm *vm, char *out, size_t room)
{
	size_t fill = 0;

	if (!vm->affinity_given) {
		config_format(out, room, "all");
		return;
	}
	out[0] = '\0';
	for (unsigned cpu = 0; cpu < CONFIG_MAX_CPUS; cpu++)
		if (vm->affinity[cpu / 64] >> cpu % 64 & 1)
			fill += config_format(out + fill, room - fill, "%s%u", fill ? " " : "",
					      cpu);
}

static void text_mac(const uint8_t mac[6], char *out, size_t room)
{
	size_t fill = 0;

	for (unsigned i = 0; i < 6; i++)
		fill += config_format(out + fill, room - fill, "%s%x%x", i ? ":" : "", mac[i] >> 4,
				      mac[i] & 15u);
}

static void text_apicv(enum config_apicv apicv, char *out, size_t room)
{
	static const char *const words[] = { "auto", "on", "off" };

	config_format(out, room, "%s", words[apicv]);
}

static bool vm_text(const struct config_vm *vm, const char *property, char *out, size_t room)
{
	if (!strcmp(property, "cpus"))
		config_format(out, room, "%u", vm->cpus);
	else if (!strcmp(property, "cpu-affinity"))
		text_cpus(vm, out, room);
	else if (!strcmp(property, "memory-mib"))
		config_format(out, room, "%lu", (unsigned long)vm->memory_mib);
	else if (!strcmp(property, "kernel"))
		config_format(out, room, "%s", vm->kernel);
	else if (!strcmp(property, "initrd"))
		config_format(out, room, "%s", vm->initrd);
	else if (!strcmp(property, "bootargs"))
		config_format(out, room, "%s", vm->bootargs);
	else if (!strcmp(property, "apicv"))
		text_apicv(vm->apicv, out, room);
	else if (!strcmp(property, "console"))
		config_format(out, room, "%s", vm->virtio_console ? "virtio" : "serial");
	else if (!strcmp(property, "no-fast-strings"))
		text_flag(vm->no_fast_strings, out, room);
	else if (!strcmp(property, "status"))
		config_format(out, room, "%s", vm->disabled ? "disabled" : "okay");
	else if (!strcmp(property, "role"))
		config_format(out, room, "%s", vm->driver_domain ? "driver-domain" : "guest");
	else if (!strcmp(property, "allow-unsafe-dma"))
		text_flag(vm->allow_unsafe_dma, out, room);
	else
		return false;
	return true;
}

static bool net_text(const struct config_at *at, const char *property, char *out, size_t room)
{
	const struct config_net *net = at->net;

	if (!strcmp(property, "switch"))
		config_format(out, room, "%s", at->config->switches[net->switch_index].name);
	else if (!strcmp(property, "local-mac-address"))
		text_mac(net->mac, out, room);
	else if (!strcmp(property, "max-frame-size"))
		config_format(out, room, "%u", net->mtu);
	else if (!strcmp(property, "queue-pairs"))
		config_format(out, room, "%u", net->queue_pairs);
	else if (!strcmp(property, "uplink"))
		text_flag(net->uplink, out, room);
	else if (!strcmp(property, "link-follows-uplink"))
		text_flag(net->link_follows_uplink, out, room);
	else
		return false;
	return true;
}

static bool passthrough_text(const struct config_passthrough *p, const char *property, char *out,
			     size_t room)
{
	out[0] = '\0';
	if (!strcmp(property, "pci-id")) {
		if (!p->by_address)
			config_format(out, room, "%x:%x", p->vendor, p->device);
	} else if (!strcmp(property, "pci-address")) {
		if (p->by_address)
			config_format(out, room, "%x:%x.%x", p->bus, p->devfn >> 3, p->devfn & 7u);
	} else if (!strcmp(property, "interrupt-gsi")) {
		if (p->interrupt_gsi >= 0)
			config_format(out, room, "%u", (unsigned)p->interrupt_gsi);
	} else {
		return false;
	}
	return true;
}

static bool policy_text(const struct config *config, const char *property, char *out, size_t room)
{
	const struct policy *policy = policy_by_name(property);
	const char *word;
	uint32_t value;

	if (!policy)
		return false;
	value = config->policy[policy - policies];
	word = policy_word(policy, value);
	if (word)
		config_format(out, room, "%s", word);
	else
		config_format(out, room, "%u", value);
	return true;
}

bool config_value_text(const struct config_at *at, const struct config_property *property,
		       char *out, size_t room)
{
	if (property->effect == CONFIG_NEVER)
		return false;
	if (at->net)
		return net_text(at, property->name, out, room);
	if (at->passthrough)
		return passthrough_text(at->passthrough, property->name, out, room);
	if (at->vm)
		return vm_text(at->vm, property->name, out, room);
	return policy_text(at->config, property->name, out, room);
}

/* --- differences --- */

struct diff {
	config_image_fn *other;
	config_change_fn *tell;
	void *context;
	struct config_plan *plan;
	char node[96];
	enum config_effect most; /* of the differences of one VM */
	char value[2][VALUE_BYTES];
};

/* As much of a value as is told. */
static void shorten(char out[CONFIG_CHANGE_TEXT], const char *value)
{
	config_format(out, CONFIG_CHANGE_TEXT, "%s", value);
	if (strlen(value) >= CONFIG_CHANGE_TEXT)
		memcpy(out + CONFIG_CHANGE_TEXT - 3, "..", 3);
}

static void tell(struct diff *d, enum config_change_kind kind, enum config_effect effect,
		 const char *property, const char *from, const char *to)
{
	struct config_change change = { .kind = kind, .effect = effect, .property = property };

	config_format(change.node, sizeof(change.node), "%s", d->node);
	shorten(change.from, from);
	shorten(change.to, to);
	d->plan->changes++;
	d->plan->refused += effect == CONFIG_BOOT;
	if (effect > d->most)
		d->most = effect;
	d->tell(d->context, &change);
}

/* The file that a property names, which may be none. */
static bool is_image(const struct config_property *p)
{
	return !strcmp(p->name, "kernel") || !strcmp(p->name, "initrd");
}

/* All properties of one node that both configs have. */
static void properties(struct diff *d, const char *node, const struct config_at *now,
		       const struct config_at *next)
{
	struct config_property p;
	char *from = d->value[0], *to = d->value[1];

	for (size_t i = 0; config_property_at(i, &p); i++) {
		if (strcmp(p.node, node) || !config_value_text(now, &p, from, VALUE_BYTES) ||
		    !config_value_text(next, &p, to, VALUE_BYTES))
			continue;
		if (strcmp(from, to)) {
			tell(d, CONFIG_CHANGED, p.effect, p.name, from, to);
		} else if (is_image(&p) && from[0] && d->other && d->other(d->context, from)) {
			config_format(to, VALUE_BYTES, "another %s", from);
			tell(d, CONFIG_CHANGED, p.effect, p.name, from, to);
		}
	}
}

static const struct config_net *net_named(const struct config_vm *vm, const char *name)
{
	for (unsigned i = 0; i < vm->net_count; i++)
		if (!strcmp(vm->nets[i].name, name))
			return &vm->nets[i];
	return NULL;
}

static const struct config_passthrough *passthrough_named(const struct config_vm *vm,
							  const char *name)
{
	for (unsigned i = 0; i < vm->passthrough_count; i++)
		if (!strcmp(vm->passthroughs[i].name, name))
			return &vm->passthroughs[i];
	return NULL;
}

static void device_node(struct diff *d, const struct config_vm *vm, const char *name)
{
	config_format(d->node, sizeof(d->node), "/vms/%s/%s", vm->name, name);
}

static void nets(struct diff *d, const struct config_at *now, const struct config_at *next)
{
	bool same = now->vm->net_count == next->vm->net_count, ordered = true;

	for (unsigned i = 0; i < now->vm->net_count; i++) {
		struct config_at a = *now, b = *next;

		a.net = &now->vm->nets[i];
		b.net = net_named(next->vm, a.net->name);
		device_node(d, now->vm, a.net->name);
		if (b.net)
			properties(d, "net", &a, &b);
		else
			tell(d, CONFIG_REMOVED, CONFIG_RESTART, "", "", "");
		same &= b.net != NULL;
		ordered &= b.net == &next->vm->nets[i];
	}
	for (unsigned i = 0; i < next->vm->net_count; i++) {
		const struct config_net *net = &next->vm->nets[i];

		if (net_named(now->vm, net->name))
			continue;
		device_node(d, next->vm, net->name);
		tell(d, CONFIG_ADDED, CONFIG_RESTART, "", "",
		     next->config->switches[net->switch_index].name);
	}
	if (same && !ordered) { /* they have other places on the guest's bus */
		config_format(d->node, sizeof(d->node), "/vms/%s", now->vm->name);
		tell(d, CONFIG_CHANGED, CONFIG_RESTART, "", "the order of its net nodes",
		     "another");
	}
}

static void passthroughs(struct diff *d, const struct config_at *now, const struct config_at *next)
{
	for (unsigned i = 0; i < now->vm->passthrough_count; i++) {
		struct config_at a = *now, b = *next;

		a.passthrough = &now->vm->passthroughs[i];
		b.passthrough = passthrough_named(next->vm, a.passthrough->name);
		device_node(d, now->vm, a.passthrough->name);
		if (!b.passthrough)
			tell(d, CONFIG_REMOVED, CONFIG_BOOT, "", "", "");
		else if (b.passthrough != &next->vm->passthroughs[i])
			tell(d, CONFIG_CHANGED, CONFIG_BOOT, "", "its place in the VM", "another");
		else
			properties(d, "passthrough", &a, &b);
	}
	for (unsigned i = 0; i < next->vm->passthrough_count; i++)
		if (!passthrough_named(now->vm, next->vm->passthroughs[i].name)) {
			device_node(d, next->vm, next->vm->passthroughs[i].name);
			tell(d, CONFIG_ADDED, CONFIG_BOOT, "", "", "");
		}
}

/* A VM as a whole, in words. */
static void summary(const struct config_vm *vm, char out[CONFIG_CHANGE_TEXT])
{
	config_format(out, CONFIG_CHANGE_TEXT, "%u vCPU%s, %lu MiB%s", vm->cpus,
		      vm->cpus > 1 ? "s" : "", (unsigned long)vm->memory_mib,
		      vm->disabled ? ", disabled" : "");
}

/* Added or removed. Devices of the machine are given away when lasthop starts. */
static void whole_vm(struct diff *d, const struct config_vm *vm, bool added)
{
	enum config_effect effect = vm->passthrough_count ? CONFIG_BOOT
				    : vm->disabled	  ? CONFIG_LIVE
							  : CONFIG_POWER;
	char text[CONFIG_CHANGE_TEXT];

	config_format(d->node, sizeof(d->node), "/vms/%s", vm->name);
	summary(vm, text);
	tell(d, added ? CONFIG_ADDED : CONFIG_REMOVED, effect, "", added ? "" : text,
	     added ? text : "");
}

static void both_vms(struct diff *d, const struct config_at *now, const struct config_at *next,
		     uint8_t *step)
{
	d->most = CONFIG_NEVER;
	config_format(d->node, sizeof(d->node), "/vms/%s", now->vm->name);
	properties(d, "vm", now, next);
	nets(d, now, next);
	passthroughs(d, now, next);
	*step = d->most == CONFIG_NEVER ? CONFIG_KEEP : CONFIG_RENEW;
}

static void vms(struct diff *d, const struct config *now, const struct config *placed)
{
	for (unsigned i = 0; i < CONFIG_MAX_VMS; i++) {
		const struct config_vm *from = &now->vms[i], *to = &placed->vms[i];
		const bool was = i < now->vm_count && config_vm_there(from);
		const bool is = config_vm_there(to);
		uint8_t *step = &d->plan->vms[i];

		*step = CONFIG_KEEP;
		if (was && is && !strcmp(from->name, to->name)) {
			both_vms(d, &(struct config_at){ now, from, NULL, NULL },
				 &(struct config_at){ placed, to, NULL, NULL }, step);
			continue;
		}
		if (was) {
			whole_vm(d, from, false);
			*step = CONFIG_REMOVE;
		}
		if (is) {
			whole_vm(d, to, true);
			*step = was ? CONFIG_RENEW : CONFIG_ADD;
		}
	}
}

static void one_switch(struct diff *d, const char *name, bool added)
{
	config_format(d->node, sizeof(d->node), "/%s", name);
	tell(d, added ? CONFIG_ADDED : CONFIG_REMOVED, CONFIG_LIVE, "", "", "");
}

static void switches(struct diff *d, const struct config *now, const struct config *placed)
{
	for (unsigned i = 0; i < CONFIG_MAX_SWITCHES; i++) {
		const struct config_switch *from = &now->switches[i], *to = &placed->switches[i];
		const bool was = i < now->switch_count && config_switch_there(from);
		const bool is = config_switch_there(to);
		uint8_t *step = &d->plan->switches[i];

		*step = CONFIG_KEEP;
		if (was == is && !strcmp(from->name, to->name))
			continue;
		if (was) {
			one_switch(d, from->name, false);
			*step = CONFIG_REMOVE;
		}
		if (is) {
			one_switch(d, to->name, true);
			*step = was ? CONFIG_RENEW : CONFIG_ADD;
		}
	}
}

void config_diff(const struct config *now, const struct config *placed, config_image_fn *other,
		 config_change_fn *tell_change, void *context, struct config_plan *plan)
{
	struct diff d = { .other = other, .tell = tell_change, .context = context, .plan = plan };
	const struct config_at a = { .config = now }, b = { .config = placed };
	unsigned before;

	plan->changes = plan->refused = 0;
	switches(&d, now, placed);
	config_format(d.node, sizeof(d.node), "/policy");
	before = plan->changes;
	properties(&d, "policy", &a, &b);
	plan->policies = plan->changes != before;
	vms(&d, now, placed);
}
