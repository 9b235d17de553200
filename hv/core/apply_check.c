/* SPDX-License-Identifier: BSD-2-Clause */
/* Another config is looked at: nothing is changed. */
#include <string.h>

#include "hv/core/apply_impl.h"
#include "hv/core/images.h"
#include "hv/core/lifecycle.h"
#include "hv/core/platform.h"
#include "hv/core/pmm.h"
#include "vswitch/policy.h"

struct check {
	config_error_fn *report;
	config_change_fn *tell;
	void *context;
	unsigned errors;
};

static void told(void *context, const struct config_change *c)
{
	const struct check *check = context;
	struct config_error error;

	check->tell(check->context, c);
	if (c->effect != CONFIG_BOOT)
		return;
	snprintf(error.node, sizeof(error.node), "%s", c->node);
	snprintf(error.property, sizeof(error.property), "%s", c->property);
	snprintf(error.text, sizeof(error.text),
		 "cannot change while lasthop runs: put this config on the disk and start the "
		 "machine "
		 "again");
	check->report(check->context, &error);
}

static bool other(void *context, const char *name)
{
	(void)context;
	return apply_declared(name);
}

static uint64_t memory_of_vms(void)
{
	uint64_t bytes = 0;

	spin_lock(&vm_table_lock);
	for (unsigned i = 0; i < apply_running->vm_count; i++)
		for (unsigned e = 0; vm_table[i] && e < GMEM_EXTENTS; e++)
			bytes += vm_table[i]->extent[e].bytes;
	spin_unlock(&vm_table_lock);
	return bytes;
}

static const void *file_data(const struct handover_image *file)
{
	return file ? hpa_to_ptr((hpa_t){ file->addr }) : NULL;
}

/* The files of a VM, as they are here. */
static unsigned check_files(const struct config_vm *vm, struct check *c)
{
	const struct handover_image *kernel = image_find(vm->kernel, true), *initrd = NULL;
	unsigned errors = 0;

	if (vm->initrd[0])
		initrd = image_find(vm->initrd, true);
	errors += config_check_image(vm, "kernel", file_data(kernel), kernel ? kernel->bytes : 0,
				     c->report, c->context);
	if (vm->initrd[0])
		errors += config_check_image(vm, "initrd", file_data(initrd),
					     initrd ? initrd->bytes : 0, c->report, c->context);
	if (!errors)
		errors = config_check_fit(vm, file_data(kernel), kernel->bytes,
					  initrd ? initrd->bytes : 0, c->report, c->context) +
			 platform->host_devices_check_vm(vm, kernel, c->report, c->context);
	return errors;
}

/* Those that are to come are not here yet. */
static unsigned check_there(const struct config_vm *vm, struct check *c)
{
	const char *const names[] = { vm->kernel, vm->initrd }, *const property[] = { "kernel",
										      "initrd" };
	unsigned errors = 0;

	for (unsigned i = 0; i < 2; i++)
		if (names[i][0] && !apply_declared(names[i]) && !image_find(names[i], true))
			errors +=
				config_check_image(vm, property[i], NULL, 0, c->report, c->context);
	return errors;
}

static unsigned check_images(bool staged, struct check *c)
{
	unsigned errors = 0;

	for (unsigned i = 0; i < CONFIG_MAX_VMS; i++) {
		const struct config_vm *vm = &apply_change->next.vms[i];

		if (config_vm_there(vm) && apply_change->plan.vms[i] != CONFIG_KEEP)
			errors += staged ? check_files(vm, c) : check_there(vm, c);
	}
	return errors;
}

unsigned apply_check(const void *dtb, size_t bytes, bool staged, config_error_fn *report,
		     config_change_fn *tell, void *context)
{
	struct check c = { report, tell, context, 0 };
	struct config_machine machine = {
		.cpus = cpu_count,
		.free_mib = (pmm_free_bytes() + memory_of_vms()) >> 20,
		.apicv_lacks = apply_apicv_lacks,
	};

	assert(apply_change && !atomic_load(&apply_home));
	apply_change->checked = false;
	vcpu_unload(
		this_cpu()); /* libfdt is not compiled by us: a guest's registers are not to be in use */
	c.errors = config_parse(dtb, bytes, &apply_change->parsed, report, context);
	if (c.errors)
		return c.errors;
	for (unsigned id = 0; id < POLICY_COUNT; id++)
		apply_running->policy[id] =
			policy_get((enum policy_id)id); /* the shell's `set` may have been there */
	config_place(apply_running, &apply_change->parsed, &apply_change->next);
	config_diff(apply_running, &apply_change->next, other, told, &c, &apply_change->plan);
	c.errors = apply_change->plan.refused;
	c.errors += config_check_machine(&apply_change->parsed, &machine, report, context);
	c.errors += check_images(staged, &c);
	apply_change->checked = staged && !c.errors;
	return c.errors;
}
