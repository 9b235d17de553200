/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/core/apply.h"

#include <string.h>

#include "hv/core/config_policy.h"
#include "hv/core/console.h"
#include "hv/core/images.h"
#include "hv/core/lifecycle.h"
#include "hv/core/platform.h"
#include "hv/core/pmm.h"
#include "hv/core/policy_put.h"
#include "hv/cpu/x86.h"
#include "vswitch/policy.h"
#include "vswitch/switch.h"

#define TURN_US	     1000 /* between two looks whether all VMs have ended */
#define DECLARED_MAX (2 * CONFIG_MAX_VMS)

/* What is being gathered and done; in memory of its own, while there is something. */
struct change {
	struct config parsed; /* as the blob has it */
	struct config next;   /* the same, placed over the running one */
	struct config before;
	struct config_plan plan;
	bool checked; /* without errors */
	unsigned declared_count;
	char declared[DECLARED_MAX][CONFIG_MAX_FILE + 1];

	bool ran[CONFIG_MAX_VMS];     /* when it began */
	bool wanted[CONFIG_MAX_VMS];  /* it is to run after it */
	bool entered[CONFIG_MAX_VMS]; /* by vm_enter(), in this direction */
	struct vm *made[CONFIG_MAX_VMS];
	struct vswitch
		*aside[CONFIG_MAX_SWITCHES]; /* to be put at its place, or taken from there */
	unsigned at;			     /* the next VM to be made */
};

static struct config *running;
static const char *lacks;
static struct change *change;
static struct apply_status status = { .why = "" };
static char why_text[160];
static struct cpu *_Atomic home; /* that does the work; NULL: there is none */
static struct timer tick;
static bool due;	       /* home's */
static uint64_t files_counted; /* of images_bytes(), by lifecycle_kept() */

static void tick_fired(struct timer *timer)
{
	(void)timer;
	due = true;
}

void apply_init(struct config *config, const char *apicv_lacks)
{
	running = config;
	lacks = apicv_lacks;
	timer_init(&tick, tick_fired);
}

static void drop(enum apply_state state)
{
	if (change)
		page_free(change, sizeof(*change));
	change = NULL;
	status.state = state;
}

void apply_drop(void)
{
	if (atomic_load(&home))
		return;
	images_settle(false, running);
	drop(APPLY_IDLE);
}

int apply_begin(const char **why)
{
	*why = "a config is being applied: wait until that is done";
	if (atomic_load(&home))
		return LH_BUSY;
	apply_drop(); /* of one that was broken off */
	change = page_alloc(sizeof(*change));
	*why = "no memory for another config";
	if (!change)
		return LH_NOMEM;
	status = (struct apply_status){ .state = APPLY_GATHERS, .why = "" };
	return 0;
}

bool apply_declared(const char *name)
{
	for (unsigned i = 0; change && i < change->declared_count; i++)
		if (!strcmp(change->declared[i], name))
			return true;
	return false;
}

bool apply_declare(const char *name)
{
	if (apply_declared(name))
		return true;
	if (!change || change->declared_count == DECLARED_MAX)
		return false;
	snprintf(change->declared[change->declared_count++], sizeof(change->declared[0]), "%s",
		 name);
	return true;
}

/* --- checks --- */

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
	for (unsigned i = 0; i < running->vm_count; i++)
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
					  initrd ? initrd->bytes : 0, c->report, c->context);
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
		const struct config_vm *vm = &change->next.vms[i];

		if (config_vm_there(vm) && change->plan.vms[i] != CONFIG_KEEP)
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
		.apicv_lacks = lacks,
	};

	assert(change && !atomic_load(&home));
	change->checked = false;
	vcpu_unload(
		this_cpu()); /* libfdt is not compiled by us: a guest's registers are not to be in use */
	c.errors = config_parse(dtb, bytes, &change->parsed, report, context);
	if (c.errors)
		return c.errors;
	for (unsigned id = 0; id < POLICY_COUNT; id++)
		running->policy[id] =
			policy_get((enum policy_id)id); /* the shell's `set` may have been there */
	config_place(running, &change->parsed, &change->next);
	config_diff(running, &change->next, other, told, &c, &change->plan);
	c.errors = change->plan.refused;
	c.errors += config_check_machine(&change->parsed, &machine, report, context);
	c.errors += check_images(staged, &c);
	change->checked = staged && !c.errors;
	return c.errors;
}

/* --- what is done --- */

static bool concerns(unsigned id)
{
	return change->plan.vms[id] != CONFIG_KEEP;
}

/* Whether the VM there before is the one that is there after it. */
static bool same_vm(unsigned id)
{
	return config_vm_there(&change->before.vms[id]) &&
	       !strcmp(change->before.vms[id].name, change->next.vms[id].name);
}

/* One that is changed starts, though it may have ended: unless it is disabled, and nobody had started it. */
static bool wanted(unsigned id)
{
	const struct config_vm *vm = &change->next.vms[id];

	if (!concerns(id) || !config_vm_there(vm))
		return false;
	return !vm->disabled || (same_vm(id) && change->before.vms[id].disabled && change->ran[id]);
}

/* What outlasts VMs is not to look like memory that they have not returned. A VM that another CPU makes just
 * now, or destroys, disturbs that: nothing but a line of the log depends on it. */
static void kept_since(uint64_t free_before)
{
	lifecycle_kept((int64_t)free_before - (int64_t)pmm_free_bytes());
}

static void destroy_aside(void)
{
	for (unsigned i = 0; i < CONFIG_MAX_SWITCHES; i++) {
		switch_destroy(change->aside[i]);
		change->aside[i] = NULL;
	}
}

static int make_switches(void)
{
	for (unsigned i = 0; i < CONFIG_MAX_SWITCHES; i++) {
		if (change->plan.switches[i] != CONFIG_ADD &&
		    change->plan.switches[i] != CONFIG_RENEW)
			continue;
		change->aside[i] = switch_create(change->next.switches[i].name);
		if (!change->aside[i]) {
			destroy_aside();
			return LH_NOMEM;
		}
	}
	return 0;
}

int apply_run(const char **why)
{
	uint64_t before;

	*why = "there is no config that was checked";
	if (!change || !change->checked || atomic_load(&home))
		return LH_INVAL;
	before = pmm_free_bytes();
	*why = "no memory for the switches";
	if (make_switches() < 0)
		return LH_NOMEM;
	kept_since(before);
	*why = NULL;
	memcpy(&change->before, running, sizeof(*running));
	status = (struct apply_status){ .state = APPLY_STOPS, .why = "" };
	for (unsigned i = 0; i < CONFIG_MAX_VMS; i++) {
		change->ran[i] = concerns(i) && lifecycle_runs(i);
		change->wanted[i] = wanted(i);
		status.of += change->wanted[i];
	}
	lifecycle_hold(true);
	log_printf("config: %u changes are applied", change->plan.changes);
	due = true;
	atomic_store(&home, this_cpu());
	return 0;
}

/* False: some have not ended yet. */
static bool take_all(void)
{
	bool all = true;

	for (unsigned i = 0; i < CONFIG_MAX_VMS; i++)
		if (concerns(i))
			all &= lifecycle_take(i, change->wanted[i] && same_vm(i));
	return all;
}

/* The running config, at all places that are taken, becomes *to. */
static void write_config(const struct config *to)
{
	spin_lock(&vm_table_lock);
	for (unsigned i = 0; i < CONFIG_MAX_VMS; i++)
		if (concerns(i))
			platform->vm_leave(to, i);
	for (unsigned i = 0; i < CONFIG_MAX_SWITCHES; i++)
		if (change->plan.switches[i] != CONFIG_KEEP) {
			change->aside[i] = platform->switch_put(i, change->aside[i]);
			running->switches[i] = to->switches[i];
		}
	for (unsigned i = 0; i < CONFIG_MAX_VMS; i++)
		if (concerns(i))
			running->vms[i] = to->vms[i];
	running->vm_count = to->vm_count;
	running->switch_count = to->switch_count;
	spin_unlock(&vm_table_lock);
}

/* What a VM has besides itself: a console, and what the platform makes. */
static int enter(const struct config *from, unsigned id)
{
	const struct config_vm *vm = &running->vms[id];

	if (!config_vm_there(vm))
		return 0;
	if (!console_guest_there(id)) {
		if (console_guest_add(id, vm->name) < 0)
			return LH_NOMEM;
	} else if (strcmp(from->vms[id].name, vm->name) != 0) {
		console_guest_rename(id, vm->name);
	}
	change->entered[id] = platform->vm_enter(id) == 0;
	return change->entered[id] ? 0 : LH_NOMEM;
}

static void go_back(unsigned id);

/* There and back alike: the places of *from become those of *to. */
static void change_all(const struct config *from, const struct config *to)
{
	uint64_t before = pmm_free_bytes();
	int failed = -1;

	write_config(to);
	memset(change->entered, 0, sizeof(change->entered));
	change->at = status.done = 0;
	for (unsigned i = 0; i < CONFIG_MAX_VMS; i++)
		if (concerns(i) && enter(from, i) < 0 && failed < 0)
			failed = (int)i;
	kept_since(before);
	if (failed >= 0 && status.state != APPLY_BACK) {
		go_back((unsigned)failed);
		return;
	}
	if (status.state != APPLY_BACK)
		status.state = APPLY_MAKES;
}

/* Something of the new config cannot be made for that VM. Nothing of it has run. */
static void go_back(unsigned id)
{
	snprintf(why_text, sizeof(why_text),
		 "vm %s cannot be made, the log says why: all is as it was before",
		 change->next.vms[id].name);
	status.why = why_text;
	status.state = APPLY_BACK;
	log_printf("config: %s", why_text);
	for (unsigned i = 0; i < CONFIG_MAX_VMS; i++) {
		if (change->made[i])
			vm_unmake(change->made[i]);
		change->made[i] = NULL;
		change->wanted[i] = change->ran[i];
	}
	change_all(&change->next, &change->before);
}

/* The next VM; false: there is none left. */
static bool make_next(void)
{
	unsigned id = change->at;

	while (id < CONFIG_MAX_VMS && !(change->wanted[id] && change->entered[id]))
		id++;
	change->at = id + 1;
	if (id >= CONFIG_MAX_VMS)
		return false;
	if (vm_create(&running->vms[id], id, status.state != APPLY_BACK, &change->made[id]) == 0)
		status.done++;
	else if (status.state != APPLY_BACK)
		go_back(id);
	return true;
}

/* After going back, those that ran and do not now. */
static void tell_lost(void)
{
	for (unsigned i = 0; i < CONFIG_MAX_VMS; i++) {
		if (!change->wanted[i] || change->made[i])
			continue;
		snprintf(why_text, sizeof(why_text),
			 "neither the new config nor the old one can be made: vm %s is off now, "
			 "the log "
			 "says why",
			 change->before.vms[i].name);
		log_printf("config: %s", why_text);
	}
}

static void set_policies(void)
{
	for (unsigned id = 0; id < POLICY_COUNT; id++) {
		if (running->policy[id] == change->next.policy[id])
			continue;
		running->policy[id] = change->next.policy[id];
		policy_put((enum policy_id)id, running->policy[id]);
	}
}

/* What is there no more, and nobody refers to. */
static void clean_up(bool done)
{
	uint64_t before = pmm_free_bytes(), files;

	for (unsigned i = 0; i < CONFIG_MAX_VMS; i++)
		if (concerns(i) && !config_vm_there(&running->vms[i]) && console_guest_there(i))
			console_guest_remove(i);
	destroy_aside();
	kept_since(before);
	images_settle(done, running);
	files = images_bytes();
	lifecycle_kept((int64_t)files - (int64_t)files_counted);
	files_counted = files;
}

static void finish(void)
{
	const bool done = status.state != APPLY_BACK;

	if (!done)
		tell_lost();
	clean_up(done);
	for (unsigned i = 0; i < CONFIG_MAX_VMS; i++)
		if (concerns(i))
			lifecycle_give(i, change->made[i]);
	if (done)
		set_policies();
	drop(done ? APPLY_DONE : APPLY_FAILED);
	log_printf("config: %s", done ? "applied" : "as it was before");
	atomic_store(&home, NULL);
	lifecycle_hold(false);
}

/* A turn; false: it has to wait for others first. */
static bool step(void)
{
	if (status.state == APPLY_STOPS) {
		if (!take_all())
			return false;
		change_all(&change->before, &change->next);
	} else if (!make_next()) {
		finish();
	}
	return true;
}

bool apply_waiting(void)
{
	return due && atomic_load_explicit(&home, memory_order_relaxed) == this_cpu();
}

void apply_work(void)
{
	if (!apply_waiting())
		return;
	due = step();
	if (atomic_load(&home) && !due)
		timer_set(&tick, rdtsc() + tsc_from_us(TURN_US));
	if (due)
		cpu_post(this_cpu(), MB_RESCHED);
}

struct apply_status apply_status(void)
{
	return status;
}
