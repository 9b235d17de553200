/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM runs until vm_end(); its vCPUs notice at their next pass of the run loop, and the last one
 * out leaves it to vm_reap(), which any CPU calls between slices. The switch may carry translations
 * and vCPU pointers over one pass of a CPU's run loop: memory is freed only after each CPU has
 * passed it once more.
 */
#include "hv/core/lifecycle.h"

#include <string.h>

#include "hv/core/again.h"
#include "hv/core/config_diff.h"
#include "hv/core/console.h"
#include "hv/core/host_irq.h"
#include "hv/core/lifecycle_impl.h"
#include "hv/core/platform.h"
#include "hv/core/pmm.h"
#include "hv/core/quiesce.h"
#include "hv/core/sched.h"
#include "hv/core/vm_past.h"
#include "hv/core/watchdog.h"

/* Bytes of console text that go out before the line about a VM's end, and with it: we wait for the
 * serial line. */
#define LAST_WORDS 512

/* A guest that resets itself over and over shall cost the others little: making a VM takes time. */
#define RESET_GAP_US 100000

/* A driver domain that lives less than this time gets twice the gap each time, so often at most. One
 * that dies once a second all the same costs the others little. */
#define STEADY_US    1000000
#define MOST_DOUBLED 6

#define BOOT_LOOK_US 1000 /* at devices that are being reset */

struct spinlock vm_table_lock;
struct vm *vm_table[CONFIG_MAX_VMS];
const struct config *vm_config;

static int64_t free_before; /* bytes, before the first VM was made */
bool vm_making[CONFIG_MAX_VMS];
_Atomic unsigned vms_live;
static _Atomic unsigned vms_ended;	 /* and not reaped yet */
static _Atomic unsigned guests_live;	 /* of them, those that are no driver domains */
static unsigned doubled[CONFIG_MAX_VMS]; /* by vm_reap(): short lives in a row */
static uint64_t begun[CONFIG_MAX_VMS];	 /* under vm_table_lock: TSC when it was last started */
enum vm_hold vm_hold[CONFIG_MAX_VMS];

/* Made, but for the machine's devices, which are being reset: make_waiting() goes on with it. Of whose place is
 * marked as being made, by who makes it. */
static struct unjoined {
	struct vm *vm; /* NULL: none */
	uint64_t gap_us;
	bool silently;
} unjoined[CONFIG_MAX_VMS];

/* gap_us: since its last start, at least; the VM waits until that is over. */
static void start(struct vm *vm, uint64_t gap_us)
{
	uint64_t now = rdtsc(), at = begun[vm->id] + tsc_from_us(gap_us);

	begun[vm->id] = gap_us && at > now ? at : now;
	vm->start_tsc = begun[vm->id];
	atomic_store(&vm->live_vcpus, vm->vcpu_count);
	for (unsigned i = 1; i < vm->vcpu_count; i++)
		vcpu_start(vm->vcpus[i]);
	atomic_store(&vm->state, VM_RUNNING);
	report_vm_start(vm->config->name, tsc_to_ns(begun[vm->id]), pmm_free_bytes() / 1024,
			host_irq_count());
	log_printf("vm %s: started, %u vCPU, %llu MiB%s", vm->config->name, vm->vcpu_count,
		   (unsigned long long)vm->config->memory_mib,
		   vm_virtualizes_apics(vm) ? ", apicv" : "");
	if (begun[vm->id] > now)
		vcpu_start_at(vm->vcpus[0], begun[vm->id]);
	else
		vcpu_start(vm->vcpus[0]);
}

void vm_count_live(bool driver_domain, unsigned by)
{
	atomic_fetch_add(&vms_live, by);
	if (!driver_domain)
		atomic_fetch_add(&guests_live, by);
}

/* Nothing runs yet that could wait for us. */
static int join_at_once(struct vm *vm)
{
	uint64_t again_tsc;
	int err;

	while ((err = vm_join(vm, &again_tsc)) == LH_AGAIN)
		delay_us(BOOT_LOOK_US);
	return err;
}

int lifecycle_start(const struct config *config)
{
	struct vm *vm;
	int err;

	vm_config = config;
	free_before = (int64_t)pmm_free_bytes();
	for (unsigned i = 0; i < config->vm_count; i++) {
		if (config->vms[i].disabled)
			continue;
		err = vm_create(&config->vms[i], i, false, &vm);
		if (err == 0)
			err = join_at_once(vm);
		if (err < 0)
			return err;
		vm_table[i] = vm;
		vm_count_live(config->vms[i].driver_domain, 1);
	}
	for (unsigned i = 0; i < config->vm_count; i++)
		if (vm_table[i])
			start(vm_table[i], 0);
	log_set_orderly(atomic_load(&vms_live) == 0);
	if (atomic_load(&vms_live) == 0)
		report_end();
	return 0;
}

void vm_end(struct vm *vm, const char *end, const char *reason_fmt, ...)
{
	uint32_t running = VM_RUNNING;
	__builtin_va_list ap;
	bool first;

	spin_lock(&vm->lock);
	first = atomic_compare_exchange_strong(&vm->state, &running, VM_ENDING);
	/* the user's stop counts even if the VM is ending by itself just now: it is not to start again */
	if (first || !strcmp(end, END_STOPPED)) {
		vm->end = end;
		vm->end_tsc = first ? rdtsc() : vm->end_tsc;
		__builtin_va_start(ap, reason_fmt);
		vsnprintf(vm->end_reason, sizeof(vm->end_reason), reason_fmt, ap);
		__builtin_va_end(ap);
	}
	spin_unlock(&vm->lock);
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		vcpu_kick(vm->vcpus[i]);
}

void vm_crash(struct vcpu *vcpu, const char *reason_fmt, ...)
{
	struct vm *vm = vcpu->vm;
	char reason[sizeof(vm->end_reason)];
	__builtin_va_list ap;

	__builtin_va_start(ap, reason_fmt);
	vsnprintf(reason, sizeof(reason), reason_fmt, ap);
	__builtin_va_end(ap);
	log_printf("vm %s: stopped: %s", vm->config->name, reason);
	vcpu_dump(vcpu);
	vm_end(vm, END_CRASH, "%s", reason);
}

void vm_last_out(struct vm *vm)
{
	platform->vm_paused(vm, true);	    /* its devices, until they are given back */
	atomic_store(&vm->state, VM_ENDED); /* from here on it may be gone */
	atomic_fetch_add(&vms_ended, 1);
}

/* Takes one ended VM out of the table, its devices and ports destroyed. Its place stays taken. Nobody who
 * looks at the table waits for a device of the machine. */
static struct vm *take_ended(void)
{
	struct vm *vm = NULL;

	spin_lock(&vm_table_lock);
	for (unsigned i = 0; i < CONFIG_MAX_VMS && !vm; i++)
		if (vm_table[i] && atomic_load(&vm_table[i]->state) == VM_ENDED)
			vm = vm_table[i];
	if (vm) {
		vm_table[vm->id] = NULL;
		vm_making[vm->id] = true;
		atomic_fetch_sub(&vms_ended, 1);
	}
	spin_unlock(&vm_table_lock);
	if (!vm)
		return NULL;
	platform->vm_give_back(vm);
	spin_lock(&vm_table_lock);
	platform->vm_destroy(vm);
	vm->platform = NULL;
	spin_unlock(&vm_table_lock);
	return vm;
}

void vm_tell_if_all_ended(bool guest)
{
	static _Atomic bool told; /* programs; people are told each time */
	bool all = atomic_load(&vms_live) == 0;

	if (all) {
		log_set_orderly(true);
		console_flush(CONSOLE_ALL);
		log_printf("all VMs have ended, %llu MiB free, %lld KiB not returned",
			   (unsigned long long)(pmm_free_bytes() >> 20),
			   ((long long)free_before - (long long)pmm_free_bytes()) / 1024);
		console_flush(CONSOLE_ALL);
	}
	if ((guest ? atomic_load(&guests_live) == 0 : all) && !atomic_exchange(&told, true)) {
		if (!all)
			log_printf("all guests have ended, driver domains run on");
		platform->uplinks_report();
		report_end();
	}
}

/* The second half of vm_make(). */
static int join(struct vm *vm, uint64_t gap_us, bool silently)
{
	const unsigned id = vm->id;
	uint64_t again_tsc;
	int err;

	log_quiet(silently);
	err = vm_join(vm, &again_tsc);
	log_quiet(false);
	spin_lock(&vm_table_lock);
	if (err == LH_AGAIN) {
		unjoined[id] = (struct unjoined){ vm, gap_us, silently };
		again_at(id, again_tsc);
	} else if (!err) {
		vm_table[id] = vm;
		vm_making[id] = false;
		(void)again_cancel(id);
		start(vm, gap_us);
	}
	spin_unlock(&vm_table_lock);
	return err == LH_AGAIN ? 0 : err;
}

int vm_make(unsigned id, uint64_t gap_us, bool silently)
{
	struct vm *vm;
	int err;

	log_quiet(silently);
	err = vm_create(&vm_config->vms[id], id, false, &vm);
	log_quiet(false);
	return err ? err : join(vm, gap_us, silently);
}

static void report_ended(const struct vm *vm)
{
	struct report_life life = { 0 };
	uint64_t run_tsc = 0, wake_tsc = 0;

	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		const struct vcpu *v = vm->vcpus[i];

		run_tsc += v->run_tsc;
		life.wakeups += v->wakeups;
		if (v->wake_max_tsc > wake_tsc)
			wake_tsc = v->wake_max_tsc;
	}
	exit_counts_add(&life.exits, vm);
	life.run_us = tsc_to_ns(run_tsc) / 1000;
	life.wake_us_max = tsc_to_ns(wake_tsc) / 1000;
	life.end_ns = tsc_to_ns(vm->end_tsc);
	report_vm_end(vm->config->name, vm->vcpu_count, vm->end, vm->end_reason, &life);
}

/* Between the start of a VM that has ended by itself and its next one. */
static uint64_t restart_gap_us(const struct config_vm *config, unsigned id)
{
	uint64_t lived_us = tsc_to_ns(rdtsc() - begun[id]) / 1000;

	if (!config->driver_domain || lived_us > STEADY_US)
		doubled[id] = 0;
	else if (doubled[id] < MOST_DOUBLED)
		doubled[id]++;
	return (uint64_t)RESET_GAP_US << doubled[id];
}

static enum vm_hold hold_of(unsigned id)
{
	enum vm_hold h;

	spin_lock(&vm_table_lock);
	h = vm_hold[id];
	spin_unlock(&vm_table_lock);
	return h;
}

void vm_leave_place(unsigned id)
{
	spin_lock(&vm_table_lock);
	if (vm_hold[id] == HOLD_NONE)
		vm_making[id] = false;
	else
		vm_hold[id] = HOLD_TAKEN;
	spin_unlock(&vm_table_lock);
}

void vm_make_later(unsigned id)
{
	bool later, first = false;

	spin_lock(&vm_table_lock);
	later = vm_hold[id] == HOLD_NONE;
	if (later) {
		vm_making[id] = false;
		first = again_wait(id);
	}
	if (first) {
		log_printf("vm %s: cannot be made again, see above: tried until it can",
			   vm_config->vms[id].name);
		report_vm_waits(vm_config->vms[id].name, "it cannot be made again",
				tsc_to_ns(rdtsc()));
	}
	spin_unlock(&vm_table_lock);
	if (later)
		return;
	vm_count_live(true, -1u); /* lifecycle_take() waits for its place */
	vm_leave_place(id);
}

/* The VM whose place is marked as being made, and which counts as live, cannot be. */
static void not_made(unsigned id)
{
	const struct config_vm *config = &vm_config->vms[id];

	if (config->driver_domain) {
		vm_make_later(id);
		return;
	}
	report_vm_end(config->name, config->cpus, END_FAILED, "it could not be made again",
		      &(struct report_life){ .end_ns = tsc_to_ns(rdtsc()) });
	vm_count_live(false, -1u);
	vm_leave_place(id); /* *config may be another VM's from here on */
	vm_tell_if_all_ended(true);
}

/* Under `reaping`. */
static void make_waiting(void)
{
	struct unjoined u;
	int id, err;

	again_looked();
	for (;;) {
		spin_lock(&vm_table_lock);
		id = again_take();
		if (id >= 0)
			vm_making[id] = true;
		spin_unlock(&vm_table_lock);
		if (id < 0)
			return;
		u = unjoined[id];
		unjoined[id].vm = NULL;
		err = u.vm ? join(u.vm, u.gap_us, u.silently) : vm_make((unsigned)id, 0, true);
		if (err < 0)
			not_made((unsigned)id);
	}
}

void vm_forget_waiting(unsigned id, bool again, const char *why)
{
	const char *name = vm_config->vms[id].name;

	if (!again) {
		log_printf("vm %s: ended: %s: %s", name, END_STOPPED, why);
		report_vm_end(name, vm_config->vms[id].cpus, END_STOPPED, why,
			      &(struct report_life){ .end_ns = tsc_to_ns(rdtsc()) });
	}
	vm_count_live(true, -1u);
}

static bool starts_again(const struct vm *vm, enum vm_hold held)
{
	if (held != HOLD_NONE)
		return held == HOLD_AGAIN;
	return !strcmp(vm->end, END_RESTARTED) || !strcmp(vm->end, END_REBOOT) ||
	       (vm->config->driver_domain && strcmp(vm->end, END_STOPPED) != 0);
}

static void reap(struct vm *vm)
{
	const struct config_vm *config = vm->config;
	bool by_user = !strcmp(vm->end, END_RESTARTED);
	enum vm_hold held = hold_of(vm->id);
	bool again = starts_again(vm, held), driver_domain = config->driver_domain;
	unsigned id = vm->id;

	watchdog_cancel(vm);
	vm_past_add(vm);
	quiesce(vm);
	/* Not if it starts again: the serial line is slow, a guest may reset itself for ever, and a driver
	 * domain is waited for. */
	if (!again)
		console_flush(LAST_WORDS);
	log_printf("vm %s: ended: %s%s%s", config->name, vm->end, vm->end_reason[0] ? ": " : "",
		   vm->end_reason);
	if (again) {
		report_vm_reset(config->name, vm->end, vm->end_reason, tsc_to_ns(vm->end_tsc));
	} else {
		console_flush(LAST_WORDS); /* who reads the report may end the machine */
		report_ended(vm);
	}
	vm_destroy(vm);
	if (again && held == HOLD_NONE) {
		if (vm_make(id, by_user ? 0 : restart_gap_us(config, id), false) < 0)
			not_made(id);
		return;
	}
	vm_count_live(driver_domain, -1u);
	vm_leave_place(id); /* *config may be another VM's from here on */
	vm_tell_if_all_ended(!driver_domain);
}

void vm_reap(void)
{
	static struct spinlock
		reaping; /* one CPU at a time, since quiesce() waits for the others */
	struct vm *vm;

	/* A VM that ends while another CPU reaps, or that is to be made again, is seen by that CPU: it looks again
	 * after unlock. */
	while ((atomic_load(&vms_ended) || again_due()) && spin_trylock(&reaping)) {
		vm = take_ended();
		if (vm)
			reap(vm);
		else
			make_waiting();
		spin_unlock(&reaping);
	}
}

void lifecycle_hold(bool on)
{
	static unsigned vms_before, guests_before; /* without ours */

	if (on) {
		vms_before = atomic_fetch_add(&vms_live, 1);
		guests_before = atomic_fetch_add(&guests_live, 1);
		return;
	}
	atomic_fetch_sub(&vms_live, 1);
	if (atomic_fetch_sub(&guests_live, 1) == 1 && guests_before)
		vm_tell_if_all_ended(true);
	else if (atomic_load(&vms_live) == 0 && vms_before)
		vm_tell_if_all_ended(false);
}

bool lifecycle_take(unsigned id, bool again)
{
	bool taken;

	spin_lock(&vm_table_lock);
	if (vm_hold[id] != HOLD_TAKEN) {
		vm_hold[id] = again ? HOLD_AGAIN : HOLD_END;
		if (vm_table[id]) {
			vm_end(vm_table[id], again ? END_RESTARTED : END_STOPPED,
			       "by a new config");
		} else if (!vm_making[id]) {
			if (again_cancel(id))
				vm_forget_waiting(id, again, "by a new config");
			vm_making[id] = true;
			vm_hold[id] = HOLD_TAKEN;
		}
	}
	taken = vm_hold[id] == HOLD_TAKEN;
	spin_unlock(&vm_table_lock);
	return taken;
}

bool lifecycle_runs(unsigned id)
{
	spin_lock(&vm_table_lock);
	bool runs = vm_table[id] != NULL || again_waits(id) ||
		    (vm_making[id] && vm_hold[id] != HOLD_TAKEN);
	spin_unlock(&vm_table_lock);
	return runs;
}

void lifecycle_give(unsigned id, struct vm *vm)
{
	if (vm)
		vm_count_live(vm->config->driver_domain, 1);
	spin_lock(&vm_table_lock);
	vm_table[id] = vm;
	vm_making[id] = false;
	vm_hold[id] = HOLD_NONE;
	doubled[id] = 0;
	if (vm)
		start(vm, 0);
	spin_unlock(&vm_table_lock);
}

void lifecycle_kept(int64_t bytes)
{
	free_before -= bytes;
}
