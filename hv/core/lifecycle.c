/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM runs until vm_end(); its vCPUs notice at their next pass of the run loop, and the last one
 * out leaves it to vm_reap(), which any CPU calls between slices. The switch may carry translations
 * and vCPU pointers over one pass of a CPU's run loop: memory is freed only after each CPU has
 * passed it once more.
 */
#include "hv/core/lifecycle.h"

#include <string.h>

#include "hv/core/config_diff.h"
#include "hv/core/console.h"
#include "hv/core/host_irq.h"
#include "hv/core/platform.h"
#include "hv/core/pmm.h"
#include "hv/core/sched.h"
#include "hv/core/smp.h"
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

struct spinlock vm_table_lock;
struct vm *vm_table[CONFIG_MAX_VMS];
const struct config *vm_config;

static int64_t free_before;		 /* bytes, before the first VM was made */
static bool making[CONFIG_MAX_VMS];	 /* under vm_table_lock: being made, not in the table yet */
static _Atomic unsigned vms_live;	 /* started, and not reaped or to start again */
static _Atomic unsigned vms_ended;	 /* and not reaped yet */
static _Atomic unsigned guests_live;	 /* of them, those that are no driver domains */
static unsigned doubled[CONFIG_MAX_VMS]; /* by vm_reap(): short lives in a row */
static uint64_t begun[CONFIG_MAX_VMS];	 /* under vm_table_lock: TSC when it was last started */
static enum hold {
	HOLD_NONE,
	HOLD_END,	    /* lifecycle_take() wants it, and does not make it again */
	HOLD_AGAIN,	    /* ... and does */
	HOLD_TAKEN,	    /* it has it; `making` is set, too */
} hold[CONFIG_MAX_VMS];	    /* under vm_table_lock */
static struct vm *flushing; /* whose nested translations MB_FLUSH drops */

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

/* One more VM is to live, or (-1) no longer. */
static void count_live(bool driver_domain, unsigned by)
{
	atomic_fetch_add(&vms_live, by);
	if (!driver_domain)
		atomic_fetch_add(&guests_live, by);
}

int lifecycle_start(const struct config *config)
{
	int err;

	vm_config = config;
	free_before = (int64_t)pmm_free_bytes();
	for (unsigned i = 0; i < config->vm_count; i++) {
		if (config->vms[i].disabled)
			continue;
		err = vm_create(&config->vms[i], i, false, &vm_table[i]);
		if (err < 0)
			return err;
		count_live(config->vms[i].driver_domain, 1);
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

void vm_flush_posted(void)
{
	hvm->flush_vm(flushing);
}

/*
 * Waits until every other CPU has passed its run loop and dropped its translations of the VM: none
 * holds a pointer into it then. A CPU counts the flushes that it has done, after each; one quiesce()
 * goes on at a time and leaves no MB_FLUSH behind, so the next step of the counter is the answer
 * to this one's bit. Model: tests/model/quiesce.pml.
 */
static void quiesce(struct vm *vm)
{
	const unsigned count = cpu_count;
	uint64_t seen[MAX_CPUS], begin = rdtsc();

	flushing = vm;
	for (unsigned i = 0; i < count; i++) {
		seen[i] = atomic_load(&cpus[i]->flushes);
		if (cpus[i] != this_cpu())
			cpu_post(cpus[i], MB_FLUSH);
	}
	hvm->flush_vm(vm);
	for (unsigned i = 0; i < count; i++)
		while (cpus[i] != this_cpu() && atomic_load(&cpus[i]->flushes) == seen[i])
			cpu_await(begin, i, "it was to forget a VM that has ended");
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
		making[vm->id] = true;
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

/* The machine's work is done when the last guest has ended; of driver domains alone, the last of those. */
static void tell_if_all_ended(bool guest)
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

/* Makes and starts the VM whose place is marked as being made; after an error it still is. */
static int make_and_start(unsigned id, uint64_t gap_us)
{
	struct vm *vm = NULL;
	int err = vm_create(&vm_config->vms[id], id, false, &vm);

	spin_lock(&vm_table_lock);
	if (vm) {
		vm_table[id] = vm;
		making[id] = false;
		start(vm, gap_us);
	}
	spin_unlock(&vm_table_lock);
	return err;
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

static enum hold hold_of(unsigned id)
{
	enum hold h;

	spin_lock(&vm_table_lock);
	h = hold[id];
	spin_unlock(&vm_table_lock);
	return h;
}

/* It ends for good, or its place is lifecycle_take()'s now. */
static void leave_place(unsigned id)
{
	spin_lock(&vm_table_lock);
	if (hold[id] == HOLD_NONE)
		making[id] = false;
	else
		hold[id] = HOLD_TAKEN;
	spin_unlock(&vm_table_lock);
}

static bool starts_again(const struct vm *vm, enum hold held)
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
	enum hold held = hold_of(vm->id);
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
		if (make_and_start(id, by_user ? 0 : restart_gap_us(config, id)) == 0)
			return;
		report_vm_end(config->name, config->cpus, END_FAILED, "it could not be made again",
			      &(struct report_life){ .end_ns = tsc_to_ns(rdtsc()) });
	}
	count_live(driver_domain, -1u);
	leave_place(id); /* *config may be another VM's from here on */
	tell_if_all_ended(!driver_domain);
}

void vm_reap(void)
{
	static struct spinlock
		reaping; /* one CPU at a time, since quiesce() waits for the others */
	struct vm *vm;

	/* A VM that ends while another CPU reaps is seen by that CPU: it looks again after unlock. */
	while (atomic_load(&vms_ended) && spin_trylock(&reaping)) {
		vm = take_ended();
		if (vm)
			reap(vm);
		spin_unlock(&reaping);
	}
}

static void pause(struct vm *vm, bool paused)
{
	atomic_store(&vm->paused, paused);
	platform->vm_paused(vm, paused);
	if (!paused)
		watchdog_resume(vm);
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		vcpu_kick(vm->vcpus[i]);
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

int vm_command(const char *name, enum vm_command command, const char **why)
{
	bool may_start = command == VM_START || command == VM_RESTART, driver_domain;
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
	if (vm && command == VM_START)
		*why = "it runs already";
	else if (hold[id] != HOLD_NONE)
		*why = "a new config is being applied to it: try again";
	else if (making[id])
		*why = "it is about to start or end: try again";
	else if (!vm && !may_start)
		*why = "it does not run";
	else
		*why = NULL;
	if (!*why && vm)
		command_running(vm, command);
	else if (!*why)
		making[id] = true;
	spin_unlock(&vm_table_lock);
	if (*why)
		return LH_BUSY;
	if (vm)
		return 0;
	driver_domain = vm_config->vms[id].driver_domain;
	count_live(driver_domain, 1);
	log_set_orderly(false);
	if (make_and_start(id, 0) == 0)
		return 0;
	count_live(driver_domain, -1u);
	log_set_orderly(atomic_load(&vms_live) == 0);
	leave_place(id);
	*why = "it cannot be made: the log says why";
	return LH_NOMEM;
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
		tell_if_all_ended(true);
	else if (atomic_load(&vms_live) == 0 && vms_before)
		tell_if_all_ended(false);
}

bool lifecycle_take(unsigned id, bool again)
{
	bool taken;

	spin_lock(&vm_table_lock);
	if (hold[id] != HOLD_TAKEN) {
		hold[id] = again ? HOLD_AGAIN : HOLD_END;
		if (vm_table[id]) {
			vm_end(vm_table[id], again ? END_RESTARTED : END_STOPPED,
			       "by a new config");
		} else if (!making[id]) {
			making[id] = true;
			hold[id] = HOLD_TAKEN;
		}
	}
	taken = hold[id] == HOLD_TAKEN;
	spin_unlock(&vm_table_lock);
	return taken;
}

bool lifecycle_runs(unsigned id)
{
	spin_lock(&vm_table_lock);
	bool runs = vm_table[id] != NULL || (making[id] && hold[id] != HOLD_TAKEN);
	spin_unlock(&vm_table_lock);
	return runs;
}

void lifecycle_give(unsigned id, struct vm *vm)
{
	if (vm)
		count_live(vm->config->driver_domain, 1);
	spin_lock(&vm_table_lock);
	vm_table[id] = vm;
	making[id] = false;
	hold[id] = HOLD_NONE;
	doubled[id] = 0;
	if (vm)
		start(vm, 0);
	spin_unlock(&vm_table_lock);
}

void lifecycle_kept(int64_t bytes)
{
	free_before -= bytes;
}
