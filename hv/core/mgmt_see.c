/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a program needs to show a machine at work: the tables that give numbers their names, once; and all
 * numbers of a moment, again and again. The host's tool has no such list of its own.
 */
#include "hv/core/mgmt_see.h"

#include <string.h>

#include "hv/core/config_diff.h"
#include "hv/core/config_policy.h"
#include "hv/core/cpu_time.h"
#include "hv/core/json.h"
#include "hv/core/lifecycle.h"
#include "hv/core/platform.h"
#include "lasthop/stats.h"
#include "lasthop/verdict.h"
#include "vswitch/policy.h"
#include "vswitch/switch.h"

const struct mgmt_method mgmt_see_methods[] = {
	{ "see.tables", "",
	  "what counters, verdicts, exits and policies there are, and what they mean", see_tables },
	{ "see.sample", "",
	  "all counters of all ports, exits of all VMs, the CPUs' time, and what the IOMMU has "
	  "blocked, of now",
	  see_sample },
	{ "see.why", "vm", "its vCPUs and queues, to find out why it hangs; the next call has news",
	  see_why },
	{ "see.trace", "port frame bytes?", "what would become of a frame (hex), and why",
	  see_trace },
	{ "see.capture", "port snap? ring_kib?",
	  "a stream of what passes a port (lasthop/capture.h)", see_capture },
	{ "see.capture_end", "port",
	  "the stream ends with what the switch has written by now; how many records there were",
	  see_capture_end },
	{ NULL, NULL, NULL, NULL },
};

struct port *see_find_port(const char *name)
{
	struct port *port;

	for (unsigned s = 0; s < vm_config->switch_count; s++)
		for (unsigned i = 0; (port = switch_port(platform->switch_at(s), i)) != NULL; i++)
			if (strcmp(port_name(port), name) == 0)
				return port;
	return NULL;
}

/* An array of strings. */
static void put_row(struct json *j, const char *const *texts, unsigned count)
{
	json_array(j, NULL);
	for (unsigned i = 0; i < count; i++)
		json_string(j, NULL, texts[i]);
	json_array_end(j);
}

#define STRINGS(...)                                                                               \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

static void put_policies(struct json *j)
{
	json_array(j, "policies");
	for (unsigned id = 0; id < POLICY_COUNT; id++) {
		const struct policy *p = &policies[id];
		const char *word;

		json_object(j, NULL);
		json_string(j, "name", p->name);
		json_string(j, "help", p->help);
		if (!p->words) {
			json_u64(j, "least", p->least);
			json_u64(j, "most", p->most);
		} else {
			json_array(j, "words");
			for (uint32_t i = 0; (word = policy_word(p, i)) != NULL; i++)
				json_string(j, NULL, word);
			json_array_end(j);
		}
		json_object_end(j);
	}
	json_array_end(j);
}

void see_tables(struct mgmt_call *call)
{
	static const char *const times[TIME_KINDS] = { [TIME_ROOT] = "root",
						       [TIME_GUEST] = "guest",
						       [TIME_DRIVER] = "driver",
						       [TIME_IDLE] = "idle",
						       [TIME_POLL] = "poll" };
	struct json *j = mgmt_result(call);

	json_array(j, "counters");
#define ROW(name, unit, class, help) put_row(j, STRINGS(#name, #unit, #class, help), 4);
	STATS_TABLE(ROW)
#undef ROW
	json_array_end(j);
	json_array(j, "verdicts");
#define ROW(name, stat, text) put_row(j, STRINGS(#stat, text), 2);
	VERDICT_TABLE(ROW)
#undef ROW
	json_array_end(j);
	json_array(j, "exits");
#define ROW(id, help) put_row(j, STRINGS(#id, help), 2);
	EXIT_CAUSES(ROW)
#undef ROW
	json_array_end(j);
	json_array(j, "times");
	for (unsigned i = 0; i < TIME_KINDS; i++)
		json_string(j, NULL, times[i]);
	json_array_end(j);
	put_policies(j);
}

static void put_vm(struct json *j, const struct config_vm *config, const struct vm *vm)
{
	struct exit_counts exits = { 0 };
	uint64_t wakeups = 0, run_tsc = 0;

	json_object(j, NULL);
	json_string(j, "name", config->name);
	json_bool(j, "runs", vm != NULL);
	json_bool(j, "paused", vm && atomic_load(&vm->paused));
	json_bool(j, "driver_domain", config->driver_domain);
	json_u64(j, "vcpus", config->cpus);
	if (vm) {
		exit_counts_add(&exits, vm);
		for (unsigned i = 0; i < vm->vcpu_count; i++) {
			wakeups +=
				atomic_load_explicit(&vm->vcpus[i]->wakeups, memory_order_relaxed);
			run_tsc +=
				atomic_load_explicit(&vm->vcpus[i]->run_tsc, memory_order_relaxed);
		}
		json_u64(j, "started_us", tsc_to_ns(vm->start_tsc) / 1000);
	}
	json_u64(j, "wakeups", wakeups);
	json_u64(j, "run_us", tsc_to_ns(run_tsc) / 1000);
	json_array(j, "exits");
	for (unsigned id = 0; id < EXIT_CAUSE_COUNT; id++)
		json_u64(j, NULL, exits.of[id]);
	json_array_end(j);
	json_object_end(j);
}

static void put_port(struct json *j, struct port *port)
{
	json_object(j, NULL);
	json_string(j, "name", port_name(port));
	json_string(j, "switch", port_switch_name(port));
	json_bool(j, "link", port_link(port));
	json_bool(j, "uplinks_away", platform->port_uplinks_away(port));
	json_bool(j, "uplink", port_is_uplink(port));
	json_array(j, "counters");
	for (unsigned id = 0; id < STAT_COUNT; id++)
		json_u64(j, NULL, port_counter(port, (enum stat_id)id));
	json_array_end(j);
	json_object_end(j);
}

static void put_machine(struct json *j)
{
	uint64_t time[TIME_KINDS];

	cpu_time_sum(time);
	json_u64(j, "time_us", tsc_to_ns(rdtsc()) / 1000);
	json_u64(j, "cpus", cpu_count);
	json_array(j, "cpu_us");
	for (unsigned i = 0; i < TIME_KINDS; i++)
		json_u64(j, NULL, tsc_to_ns(time[i]) / 1000);
	json_array_end(j);
	json_array(j, "policies");
	for (unsigned id = 0; id < POLICY_COUNT; id++) {
		uint32_t value = policy_get((enum policy_id)id);
		const char *word = policy_word(&policies[id], value);

		if (word)
			json_string(j, NULL, word);
		else
			json_u64(j, NULL, value);
	}
	json_array_end(j);
}

/* More are not told of. */
#define MOST_DEVICES 256u

static void put_faults(struct json *j)
{
	uint64_t faults;
	char name[16];

	json_array(j, "iommu_faults");
	for (unsigned i = 0;
	     i < MOST_DEVICES && platform->host_device_faults(i, name, sizeof(name), &faults);
	     i++) {
		json_object(j, NULL);
		json_string(j, "device", name);
		json_u64(j, "faults", faults);
		json_object_end(j);
	}
	json_array_end(j);
}

/* At most, of one: names, braces and the like, and numbers of 20 digits. */
enum {
	PORT_BYTES = 512 + STAT_COUNT * 21,
	VM_BYTES = 512 + EXIT_CAUSE_COUNT * 21,
	DEVICE_BYTES = 64
};

_Static_assert(CONFIG_MAX_SWITCHES *CONFIG_MAX_PORTS *PORT_BYTES + CONFIG_MAX_VMS * VM_BYTES +
			       MOST_DEVICES * DEVICE_BYTES <
		       MGMT_ANSWER_MOST,
	       "a sample fits into an answer");

void see_sample(struct mgmt_call *call)
{
	struct json *j = mgmt_result(call);
	struct port *port;

	put_machine(j);
	put_faults(j);
	spin_lock(&vm_table_lock);
	json_array(j, "vms");
	for (unsigned i = 0; i < vm_config->vm_count; i++)
		if (config_vm_there(&vm_config->vms[i]))
			put_vm(j, &vm_config->vms[i], vm_table[i]);
	json_array_end(j);
	json_array(j, "ports");
	for (unsigned s = 0; s < vm_config->switch_count; s++)
		for (unsigned i = 0; (port = switch_port(platform->switch_at(s), i)) != NULL; i++)
			put_port(j, port);
	json_array_end(j);
	spin_unlock(&vm_table_lock);
}
