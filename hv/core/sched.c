/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loop of each CPU: mail, timers, then the vCPU that the run queues name (runq.c), else HLT.
 *
 * No wake-up is lost, and nobody waits while a permitted CPU idles: whoever queues a vCPU then
 * looks for idle CPUs and tells one by its mailbox; a CPU declares itself idle, then looks into the
 * queues, then halts with an empty mailbox only (cpu_wait). A vCPU that is loaded in a CPU (struct
 * vcpu ->loaded) can run there only; having unloaded it, that CPU tells others (sched_offer).
 * Model: tests/model/vcpu_wake.pml.
 */
#include "hv/core/sched.h"

#include "hv/core/apply.h"
#include "hv/core/console.h"
#include "hv/core/cpu_time.h"
#include "hv/core/lifecycle.h"
#include "hv/core/log.h"
#include "hv/core/mgmt.h"
#include "hv/core/platform.h"
#include "hv/core/percpu.h"
#include "hv/core/quiesce.h"
#include "hv/core/trap.h"

static _Atomic uint32_t vcpus; /* that may want a CPU */

static uint64_t now_ns(void)
{
	return tsc_to_ns(rdtsc());
}

static void offer(struct cpu *queue)
{
	struct cpu *helper = runq_helper(queue);

	if (helper)
		cpu_post(helper, MB_RESCHED);
}

void sched_enqueue(struct vcpu *v, bool wakeup)
{
	struct cpu *cpu;

	v->ready_tsc = wakeup ? rdtsc() : 0;
	cpu = runq_put(v, wakeup, now_ns());
	cpu_post(cpu, MB_RESCHED);
	if (!atomic_load(&cpu->idle))
		offer(cpu);
}

void sched_offer(void)
{
	offer(this_cpu());
}

static bool too_few_cpus(void)
{
	return atomic_load(&vcpus) > cpu_count;
}

void sched_count(int change)
{
	bool before = too_few_cpus();

	atomic_fetch_add(&vcpus, (uint32_t)change);
	for (unsigned i = 0; !before && too_few_cpus() && i < cpu_count; i++)
		cpu_post(cpus[i], MB_RESCHED); /* ends long slices */
}

/* Nobody is kept from a CPU by the vCPU here. More vCPUs than CPUs are made to share them fairly at the
 * ends of slices (runq_outranked()). */
static bool is_alone(void)
{
	return !too_few_cpus() &&
	       atomic_load(&this_cpu()->runq_length) == 0; /* partner: sched_enqueue() */
}

static void begin_slice(struct vcpu *v, uint64_t start)
{
	v->slice_start_tsc = start;
	v->slice_end_tsc = start + tsc_from_us(is_alone() ? LONE_SLICE_US : SLICE_US);
}

void sched_begin(struct vcpu *v, uint64_t start)
{
	uint64_t waited = v->ready_tsc && start > v->ready_tsc ? start - v->ready_tsc : 0;

	v->ready_tsc = 0;
	if (waited > atomic_load_explicit(&v->wake_max_tsc, memory_order_relaxed))
		atomic_store_explicit(&v->wake_max_tsc, waited, memory_order_relaxed);
	v->charged_tsc = start;
	begin_slice(v, start);
}

void sched_charge(struct vcpu *v)
{
	uint64_t now = rdtsc(), spent = now - v->charged_tsc;

	v->charged_tsc = now;
	atomic_store_explicit(&v->run_tsc, v->run_tsc + spent, memory_order_relaxed);
	runq_charge(this_cpu(), v, tsc_to_ns(spent), tsc_to_ns(now));
}

void sched_hurry(struct vcpu *v)
{
	uint64_t now = rdtsc(), soon = v->slice_start_tsc + tsc_from_us(WAKEUP_US);
	uint64_t end = v->slice_start_tsc + tsc_from_us(SLICE_US);
	uint64_t spent = tsc_to_ns(now - v->charged_tsc);

	if (end < v->slice_end_tsc && !is_alone())
		v->slice_end_tsc = end;
	if (soon < v->slice_end_tsc && runq_outranked(this_cpu(), v, spent, false, tsc_to_ns(now)))
		v->slice_end_tsc = soon;
}

bool sched_slice_over(struct vcpu *v)
{
	sched_charge(v);
	begin_slice(v, v->charged_tsc);
	return runq_outranked(this_cpu(), v, 0, true, tsc_to_ns(v->charged_tsc));
}

bool sched_contended(void)
{
	return atomic_load_explicit(&this_cpu()->runq_length, memory_order_relaxed) != 0;
}

void sched_yield(struct vcpu *v)
{
	sched_charge(v);
	if (runq_yield(this_cpu(), v, tsc_to_ns(v->charged_tsc)))
		v->slice_end_tsc = v->charged_tsc;
}

uint32_t sched_mail(void)
{
	static struct log_limit nmi_limit;
	struct cpu *self = this_cpu();
	uint32_t bits = mailbox_take();

	if (bits & MB_STOP)
		cpu_halt();
	if (bits & MB_FLUSH) {
		vm_flush_posted();
		atomic_fetch_add(&self->flushes, 1); /* partner: quiesce() */
	}
	if (bits & MB_SWITCH_WORK && platform->switch_work())
		cpu_post(self, MB_SWITCH_WORK);
	if (bits & MB_CONSOLE)
		console_work();
	if (bits & MB_MGMT)
		mgmt_work();
	if (bits & MB_NMI)
		log_limited(&nmi_limit, "trap: CPU %u: NMI of unknown origin", self->index);
	return bits;
}

/* The vCPU to run, or NULL: then this CPU is idle by `idle`, and whoever queues one will tell. */
static struct vcpu *next_vcpu(struct cpu *self)
{
	struct vcpu *v = runq_take(self, now_ns());

	if (!v) {
		atomic_store(&self->idle, true);
		v = runq_take(self, now_ns()); /* partner: sched_enqueue(), sched_offer() */
	}
	if (v) {
		atomic_store(&self->idle, false);
		vcpu_transition(v, VCPU_RUNNABLE, VCPU_RUNNING);
	}
	return v;
}

void sched_loop(void)
{
	struct cpu *self = this_cpu();

	cpu_time_begin(self);
	for (;;) {
		struct vcpu *v;

		sched_mail();
		timer_poll();
		vm_reap();
		apply_work();
		console_command();
		mgmt_answer();
		v = next_vcpu(self);
		if (!v) {
			platform->switch_poll();
			if (console_idle())
				continue;
			cpu_time_turn(self, TIME_ROOT, TIME_IDLE);
			cpu_wait();
			cpu_time_turn(self, TIME_IDLE, TIME_ROOT);
			continue;
		}
		self->current = v;
		vcpu_run(v);
		self->current = NULL;
		runq_released(self);
	}
}
