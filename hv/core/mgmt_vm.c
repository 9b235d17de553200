/* SPDX-License-Identifier: BSD-2-Clause */
/* Methods of the management channel about VMs. */
#include "hv/core/config.h"
#include "hv/core/config_diff.h"
#include "hv/core/facts.h"
#include "hv/core/lifecycle.h"
#include "hv/core/mgmt_impl.h"
#include "hv/core/pmm.h"

static void tell_vm(struct json *j, const struct vm_facts *f)
{
	json_object(j, NULL);
	json_string(j, "vm", f->config->name);
	json_string(j, "state", f->state);
	json_string(j, "role", f->config->driver_domain ? "driver-domain" : "guest");
	json_u64(j, "cpus", f->config->cpus);
	json_u64(j, "memory_mib", f->config->memory_mib);
	json_u64(j, "exits", exit_counts_total(&f->exits));
	json_u64(j, "wakeups", f->wakeups);
	json_bool(j, "unsafe_dma", f->unsafe_dma);
	json_object_end(j);
}

static void vm_list(struct mgmt_call *call)
{
	struct json *j = mgmt_result(call);
	struct vm_facts f;

	json_array(j, "vms");
	for (unsigned i = 0; i < vm_config->vm_count; i++) {
		if (!config_vm_there(&vm_config->vms[i]))
			continue;
		vm_facts(i, &f);
		tell_vm(j, &f);
	}
	json_array_end(j);
	json_u64(j, "free_kib", pmm_free_bytes() / 1024);
	json_u64(j, "total_kib", pmm_total_bytes() / 1024);
}

/* The VM that parameter "vm" names; -1: the call has failed. */
static int wanted(struct mgmt_call *call, char name[CONFIG_MAX_NAME + 1])
{
	int id;

	if (!mgmt_param_string(call, "vm", name, CONFIG_MAX_NAME + 1))
		return -1;
	id = vm_by_name(name);
	if (id < 0)
		mgmt_fail(call, MGMT_NOENT, "there is no VM \"%s\": vm list shows them", name);
	return id;
}

static void change(struct mgmt_call *call, enum vm_command command)
{
	char name[CONFIG_MAX_NAME + 1];
	struct vm_facts f;
	const char *why;
	int id = wanted(call, name);

	if (id < 0)
		return;
	if (vm_command(name, command, &why) < 0) {
		mgmt_fail(call, MGMT_REFUSED, "%s: %s", name, why);
		return;
	}
	vm_facts((unsigned)id, &f);
	json_string(mgmt_result(call), "vm", name);
	json_string(mgmt_result(call), "state", f.state);
}

static void vm_start(struct mgmt_call *call)
{
	change(call, VM_START);
}

static void vm_stop(struct mgmt_call *call)
{
	change(call, VM_STOP);
}

static void vm_restart(struct mgmt_call *call)
{
	change(call, VM_RESTART);
}

static void vm_pause(struct mgmt_call *call)
{
	change(call, VM_PAUSE);
}

static void vm_resume(struct mgmt_call *call)
{
	change(call, VM_RESUME);
}

static void vm_exits(struct mgmt_call *call)
{
	struct json *j = mgmt_result(call);
	char name[CONFIG_MAX_NAME + 1];
	int id = wanted(call, name);
	struct vm_facts f;

	if (id < 0)
		return;
	vm_facts((unsigned)id, &f);
	if (!f.runs) {
		mgmt_fail(call, MGMT_REFUSED, "%s does not run", name);
		return;
	}
	json_string(j, "vm", name);
	json_object(j, "exits");
	for (unsigned cause = 0; cause < EXIT_CAUSE_COUNT; cause++)
		json_u64(j, exit_cause_name(cause), f.exits.of[cause]);
	json_object_end(j);
}

static void is_off(unsigned vcpu)
{
	(void)vcpu;
}

static void dump(struct mgmt_call *call)
{
	char name[CONFIG_MAX_NAME + 1];
	int count;

	if (wanted(call, name) < 0)
		return;
	count = vm_dump(name, is_off);
	if (count < 0)
		mgmt_fail(call, MGMT_REFUSED, "%s does not run", name);
	json_string(mgmt_result(call), "vm", name);
	json_u64(mgmt_result(call), "vcpus", count < 0 ? 0 : (uint64_t)count);
}

const struct mgmt_method mgmt_vm_methods[] = {
	{ "vm.list", "", "the VMs and their states, and the free memory", vm_list },
	{ "vm.start", "vm", "make and start it, from the same images", vm_start },
	{ "vm.stop", "vm", "end it at once, as if its power were cut", vm_stop },
	{ "vm.restart", "vm", "stop it, and start it again", vm_restart },
	{ "vm.pause", "vm", "its vCPUs do not run until it is resumed", vm_pause },
	{ "vm.resume", "vm", "let it go on", vm_resume },
	{ "vm.exits", "vm", "its VM exits, by what they were for", vm_exits },
	{ "vm.dump", "vm", "the registers of its vCPUs go into the log", dump },
	{ NULL, NULL, NULL, NULL },
};
