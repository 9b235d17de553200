/* SPDX-License-Identifier: BSD-2-Clause */
/* What the user asks of a VM: at the shell, by the management channel. */
#include <string.h>

#include "hv/core/again.h"
#include "hv/core/config_diff.h"
#include "hv/core/lifecycle_impl.h"
#include "hv/core/platform.h"
#include "hv/core/vcpu.h"
#include "hv/core/watchdog.h"
#include "hv/cpu/x86.h"

static bool all_out(const struct vm *vm)
{
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		if (atomic_load(&vm->vcpus[i]->state) == VCPU_RUNNING)
			return false;
	return true;
}

/* One that becomes RUNNING from here on sees that it is paused before it enters the guest. The lock keeps the
 * VM from ending, with its devices, and from being resumed. Model: tests/model/pause.pml. */
void vm_paused_out(struct vm *vm)
{
	spin_lock(&vm->lock);
	if (atomic_load(&vm->paused) && atomic_load(&vm->state) == VM_RUNNING && all_out(vm))
		platform->vm_paused(vm, true);
	spin_unlock(&vm->lock);
}

/* Its devices stand still only while none of its vCPUs runs: a driver that tells a NIC of a frame which that may
 * not read would wait for it in vain. */
static void pause(struct vm *vm, bool paused)
{
	if (!paused) {
		watchdog_resume(vm);
		spin_lock(&vm->lock);
		platform->vm_paused(vm, false);
		atomic_store(&vm->paused, false);
		spin_unlock(&vm->lock);
	} else {
		atomic_store(&vm->paused, true);
	}
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		vcpu_kick(vm->vcpus[i]);
	if (paused)
		vm_paused_out(vm); /* those that were out already */
	log_printf("vm %s: %s", vm->config->name, paused ? "paused" : "goes on");
	report_vm_paused(vm->config->name, paused, tsc_to_ns(rdtsc()));
}

/* A command to a VM that runs. Under vm_table_lock. */
static void command_running(struct vm *vm, enum vm_command command)
{
	switch (command) {
	case VM_STOP:
		vm_end(vm, END_STOPPED, "by the user");
		break;
	case VM_RESTART:
		vm_end(vm, END_RESTARTED, "by the user");
		break;
	case VM_PAUSE:
	case VM_RESUME:
		if (atomic_load(&vm->state) == VM_RUNNING) /* else its devices stay silent */
			pause(vm, command == VM_PAUSE);
		break;
	case VM_START: /* refused before */
		break;
	}
}

/* The VM whose place is marked as being made, and that does not run. waited: it was to be made again all the
 * same, and still is if this fails. */
static int make(unsigned id, bool waited, const char **why)
{
	const bool driver_domain = vm_config->vms[id].driver_domain;

	if (!waited)
		vm_count_live(driver_domain, 1);
	log_set_orderly(false);
	if (vm_make(id, 0, false) == 0)
		return 0;
	*why = "it cannot be made: the log says why";
	if (waited) {
		vm_make_later(id);
		return LH_NOMEM;
	}
	vm_count_live(driver_domain, -1u);
	log_set_orderly(atomic_load(&vms_live) == 0);
	vm_leave_place(id);
	return LH_NOMEM;
}

/* Why the command cannot be; NULL: it can. Under vm_table_lock. */
static const char *refused(unsigned id, enum vm_command command)
{
	if (vm_table[id] && command == VM_START)
		return "it runs already";
	if (vm_hold[id] != HOLD_NONE)
		return "a new config is being applied to it: try again";
	if (vm_making[id])
		return "it is about to start or end: try again";
	if (vm_table[id] || command == VM_START || command == VM_RESTART)
		return NULL;
	return command == VM_STOP && again_waits(id) ? NULL : "it does not run";
}

int vm_command(const char *name, enum vm_command command, const char **why)
{
	bool waited = false;
	struct vm *vm;
	unsigned id = 0;

	*why = "there is no VM of that name: \"vm list\" shows them";
	spin_lock(&vm_table_lock);
	while (id < vm_config->vm_count && (!config_vm_there(&vm_config->vms[id]) ||
					    strcmp(vm_config->vms[id].name, name) != 0))
		id++;
	if (id == vm_config->vm_count) {
		spin_unlock(&vm_table_lock);
		return LH_NOENT;
	}
	vm = vm_table[id];
	*why = refused(id, command);
	if (!*why && vm) {
		command_running(vm, command);
	} else if (!*why) {
		waited = again_cancel(id);
		if (command == VM_STOP)
			vm_forget_waiting(id, false, "by the user");
		else
			vm_making[id] = true;
	}
	spin_unlock(&vm_table_lock);
	if (*why)
		return LH_BUSY;
	if (!vm && command != VM_STOP)
		return make(id, waited, why);
	if (!vm)
		vm_tell_if_all_ended(false);
	return 0;
}
