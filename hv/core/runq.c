/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decayed usage (as 4.4BSD's and Mach's schedulers have it) over queues per CPU. Usage is one word,
 * {epoch, ns as of that epoch}, and halved for each epoch that has passed when it is read. That
 * keeps an order: a queue sorted once stays sorted.
 *
 * The lag between two that compete stays within some slices: a CPU takes the least of its own queue
 * or of another's that is behind by more than RUNQ_MIGRATE_NS. Who sleeps gathers no credit beyond
 * RUNQ_CREDIT_NS, and loses no debt, so that it cannot gain by sleeping.
 */
#include "hv/core/runq.h"

#include "hv/core/percpu.h"
#include "hv/core/vcpu.h"

#define HALVED_EVERY 27 /* log2 of ns */
#define NS_BITS	     40 /* of usage; it stays below 2^28 */
#define NS_MASK	     ((1ull << NS_BITS) - 1)
#define EPOCH_MASK   ((1ull << (64 - NS_BITS)) - 1)
#define NOBODY	     (~0ull)

static uint64_t epoch_at(uint64_t now)
{
	return now >> HALVED_EVERY & EPOCH_MASK;
}

static uint64_t usage_make(uint64_t ns, uint64_t now)
{
	return epoch_at(now) << NS_BITS | (ns & NS_MASK);
}

/* In ns as of now. */
static uint64_t usage_at(uint64_t usage, uint64_t now)
{
	uint64_t halvings = (epoch_at(now) - (usage >> NS_BITS)) & EPOCH_MASK;

	if (halvings == EPOCH_MASK)
		halvings = 0; /* of a CPU whose clock is a moment ahead */
	return halvings < NS_BITS ? (usage & NS_MASK) >> halvings : 0;
}

bool sched_permitted(const struct vcpu *vcpu, const struct cpu *cpu)
{
	return vcpu->vm->config->affinity[cpu->index / 64] >> cpu->index % 64 & 1;
}

static void set_level(struct cpu *cpu, const struct vcpu *v, uint64_t now)
{
	atomic_store_explicit(&cpu->level, v->usage, memory_order_relaxed);
	atomic_store_explicit(&cpu->level_ns, now, memory_order_relaxed);
}

void runq_charge(struct cpu *cpu, struct vcpu *v, uint64_t spent, uint64_t now)
{
	v->usage = usage_make(usage_at(v->usage, now) + spent, now);
	set_level(cpu, v, now);
}

void runq_released(struct cpu *cpu)
{
	atomic_store_explicit(&cpu->level_ns, 0, memory_order_relaxed);
}

static uint32_t waiting(const struct cpu *cpu)
{
	return atomic_load(&cpu->runq_length);
}

static bool free_for(const struct vcpu *v, const struct cpu *cpu)
{
	return atomic_load(&cpu->idle) && waiting(cpu) == 0 && sched_permitted(v, cpu);
}

static struct cpu *find_idle(const struct vcpu *v)
{
	struct cpu *last = atomic_load(&v->cpu);

	if (last && free_for(v, last))
		return last;
	for (unsigned i = 0; i < cpu_count; i++)
		if (free_for(v, cpus[i]))
			return cpus[i];
	return NULL;
}

/* What the vCPU that runs there has used, or has run there last: what it was charged for, and since. */
static uint64_t level_of(const struct cpu *cpu, uint64_t now)
{
	uint64_t level = usage_at(atomic_load_explicit(&cpu->level, memory_order_relaxed), now);
	uint64_t since = atomic_load_explicit(&cpu->level_ns, memory_order_relaxed);

	return since == 0 || since > now ? level : level + (now - since);
}

/* The highest level of the busy CPUs that it may run on. */
static uint64_t highest_level(const struct vcpu *v, uint64_t now)
{
	uint64_t level = 0;

	for (unsigned i = 0; i < cpu_count; i++) {
		uint64_t here;

		if (atomic_load(&cpus[i]->idle) || !sched_permitted(v, cpus[i]))
			continue;
		here = level_of(cpus[i], now);
		if (here > level)
			level = here;
	}
	return level;
}

/* Where it gets its turn soonest, if no CPU idles. */
static struct cpu *find_most_advanced(const struct vcpu *v, uint64_t now)
{
	struct cpu *last = atomic_load(&v->cpu), *best = NULL;
	int64_t best_score = 0;

	for (unsigned i = 0; i < cpu_count; i++) {
		struct cpu *cpu = cpus[i];
		int64_t score;

		if (!sched_permitted(v, cpu))
			continue;
		/* each that waits there is a turn more; where it was last its data are warm */
		score = (int64_t)level_of(cpu, now) - (int64_t)waiting(cpu) * RUNQ_MIGRATE_NS +
			(cpu == last ? RUNQ_CREDIT_NS : 0);
		if (!best || score > best_score) {
			best = cpu;
			best_score = score;
		}
	}
	assert(best); /* config_check_machine() refused an affinity without a CPU */
	return best;
}

/* Where, by the contract of runq_put(); raises the usage of one that has slept. */
static struct cpu *choose(struct vcpu *v, bool wakeup, uint64_t now)
{
	struct cpu *last = atomic_load(&v->cpu), *idle;
	uint64_t level;

	if (!wakeup && last) {
		idle = find_idle(v);
		return idle ? idle : last;
	}
	level = highest_level(v, now);
	if (usage_at(v->usage, now) + RUNQ_CREDIT_NS < level)
		v->usage = usage_make(level - RUNQ_CREDIT_NS, now);
	if (last && atomic_load(&v->loaded))
		return last;
	idle = find_idle(v);
	return idle ? idle : find_most_advanced(v, now);
}

struct cpu *runq_put(struct vcpu *v, bool wakeup, uint64_t now)
{
	struct cpu *cpu = choose(v, wakeup, now);
	uint64_t usage = usage_at(v->usage, now);
	struct list *at;

	spin_lock(&cpu->runq_lock);
	at = cpu->runq.next;
	while (at != &cpu->runq &&
	       usage_at(container_of(at, struct vcpu, runq)->usage, now) <= usage)
		at = at->next;
	atomic_store(&v->cpu, cpu);
	list_insert_before(at, &v->runq);
	atomic_store(&cpu->runq_length, waiting(cpu) + 1);
	spin_unlock(&cpu->runq_lock);
	return cpu;
}

/* The first in the queue that may run on `self`. Under the queue's lock. */
static struct vcpu *first_for(struct cpu *queue, const struct cpu *self)
{
	list_for_each(node, &queue->runq) {
		struct vcpu *v = container_of(node, struct vcpu, runq);

		if (queue == self || (!atomic_load(&v->loaded) && sched_permitted(v, self)))
			return v;
	}
	return NULL;
}

static uint64_t first_usage(struct cpu *queue, const struct cpu *self, uint64_t now)
{
	uint64_t usage = NOBODY;
	struct vcpu *v;

	if (waiting(queue) == 0)
		return NOBODY;
	spin_lock(&queue->runq_lock);
	v = first_for(queue, self);
	if (v)
		usage = usage_at(v->usage, now);
	spin_unlock(&queue->runq_lock);
	return usage;
}

/* The queue whose first is to run on `self` rather than one that has used `least`. */
static struct cpu *best_queue(struct cpu *self, uint64_t least, bool elsewhere, uint64_t now)
{
	uint64_t usage = first_usage(self, self, now);
	struct cpu *best = NULL;

	if (usage < least) {
		least = usage;
		best = self;
	}
	for (unsigned i = 1; elsewhere && i < cpu_count; i++) {
		struct cpu *queue = cpus[(self->index + i) % cpu_count];

		usage = first_usage(queue, self, now);
		if (usage == NOBODY || usage + RUNQ_MIGRATE_NS >= least)
			continue;
		least = usage + RUNQ_MIGRATE_NS;
		best = queue;
	}
	return best;
}

/* NULL if others took it meanwhile. */
static struct vcpu *take_first(struct cpu *queue, struct cpu *self)
{
	struct vcpu *v;

	spin_lock(&queue->runq_lock);
	v = first_for(queue, self);
	if (v) {
		list_remove(&v->runq);
		atomic_store(&queue->runq_length, waiting(queue) - 1);
		atomic_store(&v->cpu, self);
	}
	spin_unlock(&queue->runq_lock);
	return v;
}

struct vcpu *runq_take(struct cpu *self, uint64_t now)
{
	struct cpu *queue;
	struct vcpu *v;

	/* each time round another CPU has got somebody to run */
	while ((queue = best_queue(self, NOBODY, true, now))) {
		v = take_first(queue, self);
		if (!v)
			continue;
		set_level(self, v, now);
		return v;
	}
	return NULL;
}

bool runq_outranked(struct cpu *self, const struct vcpu *v, uint64_t spent, bool elsewhere,
		    uint64_t now)
{
	return best_queue(self, usage_at(v->usage, now) + spent, elsewhere, now) != NULL;
}

bool runq_yield(struct cpu *self, struct vcpu *v, uint64_t now)
{
	uint64_t first = first_usage(self, self, now), usage = usage_at(v->usage, now);

	if (first == NOBODY || first > usage + RUNQ_YIELD_NS)
		return false;
	if (usage <= first) {
		v->usage = usage_make(first + 1, now);
		set_level(self, v, now);
	}
	return true;
}

struct cpu *runq_helper(struct cpu *queue)
{
	struct cpu *helper = NULL;

	if (waiting(queue) == 0)
		return NULL;
	spin_lock(&queue->runq_lock);
	list_for_each(node, &queue->runq) {
		struct vcpu *v = container_of(node, struct vcpu, runq);

		if (!atomic_load(&v->loaded))
			helper = find_idle(v);
		if (helper)
			break;
	}
	spin_unlock(&queue->runq_lock);
	return helper;
}
