/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/core/apply_impl.h"

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

#define TURN_US 1000 /* between two looks whether all VMs have ended, or a VM's devices are back */

struct config *apply_running;
const char *apply_apicv_lacks;
struct change *apply_change;
static struct apply_status status = { .why = "" };
static char why_text[160];
struct cpu *_Atomic apply_home; /* that does the work; NULL: there is none */
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
	apply_running = config;
	apply_apicv_lacks = apicv_lacks;
	timer_init(&tick, tick_fired);
}

static void drop(enum apply_state state)
{
	if (apply_change)
		page_free(apply_change, sizeof(*apply_change));
	apply_change = NULL;
	status.state = state;
}

void apply_drop(void)
{
	if (atomic_load(&apply_home))
		return;
	images_settle(false, apply_running);
	drop(APPLY_IDLE);
}

int apply_begin(const char **why)
{
	*why = "a config is being applied: wait until that is done";
	if (atomic_load(&apply_home))
		return LH_BUSY;
	apply_drop(); /* of one that was broken off */
	apply_change = page_alloc(sizeof(*apply_change));
	*why = "no memory for another config";
	if (!apply_change)
		return LH_NOMEM;
	status = (struct apply_status){ .state = APPLY_GATHERS, .why = "" };
	return 0;
}

bool apply_declared(const char *name)
{
	for (unsigned i = 0; apply_change && i < apply_change->declared_count; i++)
		if (!strcmp(apply_change->declared[i], name))
			return true;
	return false;
}

bool apply_declare(const char *name)
{
	if (apply_declared(name))
		return true;
	if (!apply_change || apply_change->declared_count == DECLARED_MAX)
		return false;
	snprintf(apply_change->declared[apply_change->declared_count++],
		 sizeof(apply_change->declared[0]), "%s", name);
	return true;
}

static bool concerns(unsigned id)
{
	return apply_change->plan.vms[id] != CONFIG_KEEP;
}

/* Whether the VM there before is the one that is there after it. */
static bool same_vm(unsigned id)
{
	return config_vm_there(&apply_change->before.vms[id]) &&
	       !strcmp(apply_change->before.vms[id].name, apply_change->next.vms[id].name);
}

/* One that is changed starts, though it may have ended: unless it is disabled, and nobody had started it. */
static bool wanted(unsigned id)
{
	const struct config_vm *vm = &apply_change->next.vms[id];

	if (!concerns(id) || !config_vm_there(vm))
		return false;
	return !vm->disabled ||
	       (same_vm(id) && apply_change->before.vms[id].disabled && apply_change->ran[id]);
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
		switch_destroy(apply_change->aside[i]);
		apply_change->aside[i] = NULL;
	}
}

static int make_switches(void)
{
	for (unsigned i = 0; i < CONFIG_MAX_SWITCHES; i++) {
		if (apply_change->plan.switches[i] != CONFIG_ADD &&
		    apply_change->plan.switches[i] != CONFIG_RENEW)
			continue;
		apply_change->aside[i] = switch_create(apply_change->next.switches[i].name);
		if (!apply_change->aside[i]) {
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
	if (!apply_change || !apply_change->checked || atomic_load(&apply_home))
		return LH_INVAL;
	before = pmm_free_bytes();
	*why = "no memory for the switches";
	if (make_switches() < 0)
		return LH_NOMEM;
	kept_since(before);
	*why = NULL;
	memcpy(&apply_change->before, apply_running, sizeof(*apply_running));
	status = (struct apply_status){ .state = APPLY_STOPS, .why = "" };
	for (unsigned i = 0; i < CONFIG_MAX_VMS; i++) {
		apply_change->ran[i] = concerns(i) && lifecycle_runs(i);
		apply_change->wanted[i] = wanted(i);
		status.of += apply_change->wanted[i];
	}
	lifecycle_hold(true);
	log_printf("config: %u changes are applied", apply_change->plan.changes);
	due = true;
	atomic_store(&apply_home, this_cpu());
	return 0;
}

/* False: some have not ended yet. */
static bool take_all(void)
{
	bool all = true;

	for (unsigned i = 0; i < CONFIG_MAX_VMS; i++)
		if (concerns(i))
			all &= lifecycle_take(i, apply_change->wanted[i] && same_vm(i));
	return all;
}

/* The apply_running config, at all places that are taken, becomes *to. */
static void write_config(const struct config *to)
{
	spin_lock(&vm_table_lock);
	for (unsigned i = 0; i < CONFIG_MAX_VMS; i++)
		if (concerns(i))
			platform->vm_leave(to, i);
	for (unsigned i = 0; i < CONFIG_MAX_SWITCHES; i++)
		if (apply_change->plan.switches[i] != CONFIG_KEEP) {
			apply_change->aside[i] = platform->switch_put(i, apply_change->aside[i]);
			apply_running->switches[i] = to->switches[i];
		}
	for (unsigned i = 0; i < CONFIG_MAX_VMS; i++)
		if (concerns(i))
			apply_running->vms[i] = to->vms[i];
	apply_running->vm_count = to->vm_count;
	apply_running->switch_count = to->switch_count;
	spin_unlock(&vm_table_lock);
}

/* What a VM has besides itself: a console, and what the platform makes. */
static int enter(const struct config *from, unsigned id)
{
	const struct config_vm *vm = &apply_running->vms[id];

	if (!config_vm_there(vm))
		return 0;
	if (!console_guest_there(id)) {
		if (console_guest_add(id, vm->name) < 0)
			return LH_NOMEM;
	} else if (strcmp(from->vms[id].name, vm->name) != 0) {
		console_guest_rename(id, vm->name);
	}
	apply_change->entered[id] = platform->vm_enter(id) == 0;
	return apply_change->entered[id] ? 0 : LH_NOMEM;
}

static void go_back(unsigned id);

/* There and back alike: the places of *from become those of *to. */
static void change_all(const struct config *from, const struct config *to)
{
	uint64_t before = pmm_free_bytes();
	int failed = -1;

	write_config(to);
	memset(apply_change->entered, 0, sizeof(apply_change->entered));
	apply_change->at = status.done = 0;
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
		 apply_change->next.vms[id].name);
	status.why = why_text;
	status.state = APPLY_BACK;
	log_printf("config: %s", why_text);
	for (unsigned i = 0; i < CONFIG_MAX_VMS; i++) {
		if (apply_change->made[i])
			vm_discard(apply_change->made[i]);
		apply_change->made[i] = NULL;
		apply_change->wanted[i] = apply_change->ran[i];
	}
	change_all(&apply_change->next, &apply_change->before);
}

/* Makes the VM, or goes on with it. */
static int make(unsigned id)
{
	struct vm **vm = &apply_change->made[id];
	uint64_t again_tsc;
	int err = 0;

	if (!*vm)
		err = vm_create(&apply_running->vms[id], id, status.state != APPLY_BACK, vm);
	if (!err)
		err = vm_join(*vm, &again_tsc);
	if (err && err != LH_AGAIN)
		*vm = NULL;
	return err;
}

/* The next VM. 0, or LH_AGAIN: it waits for its devices; LH_NOENT: there is none left. */
static int make_next(void)
{
	unsigned id = apply_change->at;
	int err;

	while (id < CONFIG_MAX_VMS && !(apply_change->wanted[id] && apply_change->entered[id]))
		id++;
	apply_change->at = id;
	if (id >= CONFIG_MAX_VMS)
		return LH_NOENT;
	err = make(id);
	if (err == LH_AGAIN)
		return err;
	apply_change->at = id + 1;
	if (!err)
		status.done++;
	else if (status.state != APPLY_BACK)
		go_back(id);
	return 0;
}

/* After going back, those that ran and do not now. */
static void tell_lost(void)
{
	for (unsigned i = 0; i < CONFIG_MAX_VMS; i++) {
		if (!apply_change->wanted[i] || apply_change->made[i])
			continue;
		snprintf(why_text, sizeof(why_text),
			 "neither the new config nor the old one can be made: vm %s is off now, "
			 "the log "
			 "says why",
			 apply_change->before.vms[i].name);
		log_printf("config: %s", why_text);
	}
}

static void set_policies(void)
{
	for (unsigned id = 0; id < POLICY_COUNT; id++) {
		if (apply_running->policy[id] == apply_change->next.policy[id])
			continue;
		apply_running->policy[id] = apply_change->next.policy[id];
		policy_put((enum policy_id)id, apply_running->policy[id]);
	}
}

/* What is there no more, and nobody refers to. */
static void clean_up(bool done)
{
	uint64_t before = pmm_free_bytes(), files;

	for (unsigned i = 0; i < CONFIG_MAX_VMS; i++)
		if (concerns(i) && !config_vm_there(&apply_running->vms[i]) &&
		    console_guest_there(i))
			console_guest_remove(i);
	destroy_aside();
	kept_since(before);
	images_settle(done, apply_running);
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
			lifecycle_give(i, apply_change->made[i]);
	if (done)
		set_policies();
	drop(done ? APPLY_DONE : APPLY_FAILED);
	log_printf("config: %s", done ? "applied" : "as it was before");
	atomic_store(&apply_home, NULL);
	lifecycle_hold(false);
}

/* A turn; false: it has to wait for others first. */
static bool step(void)
{
	int err;

	if (status.state == APPLY_STOPS) {
		if (!take_all())
			return false;
		change_all(&apply_change->before, &apply_change->next);
		return true;
	}
	err = make_next();
	if (err == LH_NOENT)
		finish();
	return err != LH_AGAIN;
}

bool apply_waiting(void)
{
	return due && atomic_load_explicit(&apply_home, memory_order_relaxed) == this_cpu();
}

void apply_work(void)
{
	if (!apply_waiting())
		return;
	due = step();
	if (atomic_load(&apply_home) && !due)
		timer_set(&tick, rdtsc() + tsc_from_us(TURN_US));
	if (due)
		cpu_post(this_cpu(), MB_RESCHED);
}

struct apply_status apply_status(void)
{
	return status;
}
