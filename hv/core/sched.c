/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One run queue per CPU. A vCPU whose state is still loaded in a CPU (struct vcpu ->loaded) can
 * only run there; every other may go to any CPU of its affinity: to an idle one when it becomes
 * runnable, or by an idle CPU that looks into the others' queues.
 *
 * No wake-up is lost: whoever enqueues posts MB_RESCHED to the queue's CPU, and an idle CPU halts
 * only with an empty mailbox (cpu_wait).
 */
#include "hv/core/sched.h"

#include "hv/core/lifecycle.h"
#include "hv/core/platform.h"
#include "hv/core/percpu.h"
#include "hv/core/trap.h"

bool sched_permitted(const struct vcpu *vcpu, const struct cpu *cpu)
{
	return vcpu->vm->config->affinity[cpu->index / 64] >> cpu->index % 64 & 1;
}

bool sched_waiting(void)
{
	return __atomic_load_n(&this_cpu()->runq_length, __ATOMIC_RELAXED) != 0;
}

/* How soon a CPU would come to one more vCPU: 0 if it idles. */
static uint32_t load_of(const struct cpu *cpu)
{
	return __atomic_load_n(&cpu->runq_length, __ATOMIC_RELAXED) * 2 +
	       (atomic_load_explicit(&cpu->idle, memory_order_relaxed) ? 0 : 1);
}

static struct cpu *choose_cpu(const struct vcpu *v)
{
	struct cpu *last = atomic_load(&v->cpu), *best = NULL;

	if (last && atomic_load(&v->loaded))
		return last;
	if (last && sched_permitted(v, last))
		best = last; /* warm; wins a tie */
	for (unsigned i = 0; i < cpu_count; i++)
		if (sched_permitted(v, cpus[i]) && (!best || load_of(cpus[i]) < load_of(best)))
			best = cpus[i];
	assert(best); /* config_check_machine() refused an affinity without a CPU */
	return best;
}

void sched_enqueue(struct vcpu *v, bool wakeup)
{
	struct cpu *cpu = choose_cpu(v);

	spin_lock(&cpu->runq_lock);
	atomic_store(&v->cpu, cpu);
	list_insert_before(wakeup ? cpu->runq.next : &cpu->runq, &v->runq);
	__atomic_store_n(&cpu->runq_length, cpu->runq_length + 1, __ATOMIC_RELAXED);
	spin_unlock(&cpu->runq_lock);
	cpu_post(cpu, MB_RESCHED);
}

/* Takes the first vCPU of a queue that may run on this CPU; it is RUNNING then. */
static struct vcpu *take_from(struct cpu *queue)
{
	struct cpu *self = this_cpu();
	struct vcpu *found = NULL;

	if (__atomic_load_n(&queue->runq_length, __ATOMIC_RELAXED) == 0)
		return NULL;
	spin_lock(&queue->runq_lock);
	list_for_each(node, &queue->runq) {
		struct vcpu *v = container_of(node, struct vcpu, runq);

		if (queue != self && (atomic_load(&v->loaded) || !sched_permitted(v, self)))
			continue;
		list_remove(&v->runq);
		__atomic_store_n(&queue->runq_length, queue->runq_length - 1, __ATOMIC_RELAXED);
		atomic_store(&v->cpu, self);
		found = v;
		break;
	}
	spin_unlock(&queue->runq_lock);
	if (found)
		vcpu_transition(found, VCPU_RUNNABLE, VCPU_RUNNING);
	return found;
}

static struct vcpu *next_vcpu(void)
{
	struct cpu *self = this_cpu();
	struct vcpu *v = take_from(self);

	for (unsigned i = 1; !v && i < cpu_count; i++)
		v = take_from(cpus[(self->index + i) % cpu_count]);
	return v;
}

uint32_t sched_mail(void)
{
	struct cpu *self = this_cpu();
	uint32_t bits = mailbox_take();

	if (bits & MB_STOP)
		cpu_halt();
	if (bits & MB_FLUSH)
		vm_flush_posted();
	atomic_fetch_add(&self->epoch, 1);
	if (bits & MB_SWITCH_WORK && platform->switch_work())
		cpu_post(self, MB_SWITCH_WORK);
	return bits;
}

void sched_loop(void)
{
	struct cpu *self = this_cpu();

	for (;;) {
		struct vcpu *v;

		sched_mail();
		timer_poll();
		vm_reap();
		v = next_vcpu();
		if (v) {
			atomic_store(&self->idle, false);
			self->current = v;
			vcpu_run(v);
			self->current = NULL;
			continue;
		}
		atomic_store(&self->idle, true);
		cpu_wait();
	}
}
