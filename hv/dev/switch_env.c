/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the switch asks of the machine (vswitch/env.h): CPU, time, memory; and the lists of transmit
 * queues with more work. What it asks of the receiver's device is in virtio_net.c.
 */
#include "hv/dev/switch_env.h"

#include "hv/core/cpu_time.h"
#include "hv/core/nearest.h"
#include "hv/core/percpu.h"
#include "hv/core/pmm.h"
#include "hv/core/smp.h"
#include "hv/core/timer.h"
#include "hv/cpu/x86.h"
#include "vswitch/env.h"
#include "vswitch/policy.h"
#include "vswitch/switch.h"

#define SLICE_QUEUES 4u /* served in one call of switch_work_run(), a batch each */
#define POLL_QUEUES  4u /* polled by one CPU at a time */

/* Queues are polled up to 2^MOST_PATIENCE times poll_us in vain: acknowledgements of a stream come far
 * apart. */
#define MOST_PATIENCE 3

_Static_assert(MAX_CPUS <= VS_MAX_CPUS, "the switch knows all CPUs");

static struct work_list {
	struct spinlock lock;
	bool ready;		/* under lock */
	struct list head;	/* under lock: to be served */
	struct list poll;	/* under lock: to be polled, when the CPU has nobody to run */
	_Atomic uint32_t polls; /* queues that the CPU polls */
} lists[MAX_CPUS];

static struct cache_levels caches;
static _Atomic bool caches_known;

unsigned env_cpus(void)
{
	return cpu_count;
}

unsigned env_cpu(void)
{
	return this_cpu()->index;
}

uint64_t env_now_us(void)
{
	return tsc_to_ns(rdtsc()) / 1000;
}

void env_await(unsigned cpu, uint64_t since_us)
{
	cpu_await(tsc_from_us(since_us), cpu, "its batch of packets was to end");
}

void *env_alloc(size_t bytes)
{
	return page_alloc(bytes);
}

void env_free(void *p, size_t bytes)
{
	if (p)
		page_free(p, bytes);
}

void switch_work_init(struct switch_work *work, switch_work_fn *serve)
{
	list_init(&work->node);
	work->serve = serve;
}

static void serve_queue(struct switch_work *work)
{
	port_service(work->port, work->queue, VS_BATCH);
}

void switch_work_init_queue(struct switch_work *work, struct port *port, unsigned queue)
{
	switch_work_init(work, serve_queue);
	work->port = port;
	work->queue = queue;
}

/* The list, its head made on first use. */
static struct work_list *lock_list(unsigned cpu)
{
	struct work_list *list = &lists[cpu];

	spin_lock(&list->lock);
	if (!list->ready) {
		list_init(&list->head);
		list_init(&list->poll);
		list->ready = true;
	}
	return list;
}

/* Into the CPU's list, unless it is in one. */
static bool enlist(struct switch_work *work, struct cpu *cpu, bool poll)
{
	struct work_list *list;
	uint32_t none = 0;

	if (!atomic_compare_exchange_strong(&work->home, &none, cpu->index + 1))
		return false;
	if (atomic_load(&work->cancelled)) { /* after home: partner: switch_work_cancel() */
		atomic_store(&work->home, 0);
		return false;
	}
	list = lock_list(cpu->index);
	list_insert_before(poll ? &list->poll : &list->head, &work->node);
	spin_unlock(&list->lock);
	cpu_post(cpu, MB_SWITCH_WORK);
	return true;
}

void switch_work_queue(struct switch_work *work)
{
	enlist(work, this_cpu(), false);
}

void switch_work_hurry(void)
{
	struct work_list *list = lock_list(this_cpu()->index);
	bool any = !list_empty(&list->poll);

	spin_unlock(&list->lock);
	if (any)
		cpu_post(this_cpu(), MB_SWITCH_WORK);
}

void switch_work_queue_on(struct switch_work *work, struct cpu *cpu)
{
	enlist(work, cpu, false);
}

bool switch_work_handed_on(struct switch_work *work)
{
	struct cpu *next =
		atomic_exchange(&work->next, NULL); /* once: `next` may have begun to poll it */

	if (next)
		enlist(work, next, true);
	return next != NULL;
}

/* It idles, nobody waits for it, and it was not busy a moment ago: the CPU of a receiver that sleeps
 * between two packets has no time to spare, and would take it from the receiver. */
static bool spare(const struct cpu *cpu)
{
	if (!atomic_load(&cpu->idle) || atomic_load(&cpu->runq_length) > 0)
		return false;
	if (atomic_load(&lists[cpu->index].polls) > 0 && atomic_load(&cpu->loaded) == NULL)
		return true; /* it polls, and nobody sleeps there */
	return cpu_time_idle(cpu) > tsc_from_us(policy_get(POLICY_poll_us));
}

/* The CPU that is to poll for this one. */
static struct cpu *find_helper(void)
{
	struct helper helpers[MAX_CPUS];
	struct cpu *which[MAX_CPUS], *self = this_cpu();
	unsigned count = 0;
	int best;

	if (!atomic_load_explicit(&caches_known, memory_order_acquire)) {
		cache_levels_read(&caches); /* alike on all CPUs, so twice does no harm */
		atomic_store_explicit(&caches_known, true, memory_order_release);
	}
	for (unsigned i = 1; i < cpu_count; i++) {
		struct cpu *cpu = cpus[(self->index + i) % cpu_count];

		if (!spare(cpu) || atomic_load(&lists[cpu->index].polls) >= POLL_QUEUES)
			continue;
		which[count] = cpu;
		helpers[count].apic_id = cpu->apic_id;
		helpers[count].queues = atomic_load(&lists[cpu->index].polls);
		if (atomic_load(&cpu->loaded) != NULL) /* who sleeps there wants it back soon */
			helpers[count].queues += POLL_QUEUES;
		count++;
	}
	best = nearest_helper(&caches, self->apic_id, helpers, count);
	return best < 0 ? NULL : which[best];
}

/* Packets that come just after the CPU has given up are worth waiting for longer; none for long, not. */
static void adapt_patience(struct switch_work *work)
{
	uint8_t times = atomic_load_explicit(&work->patience, memory_order_relaxed);
	uint64_t wait = tsc_from_us((uint64_t)policy_get(POLICY_poll_us) << times);

	if (rdtsc() - atomic_load(&work->ended_tsc) > wait)
		times = 0;
	else if (times < MOST_PATIENCE)
		times++;
	atomic_store_explicit(&work->patience, times, memory_order_relaxed);
}

bool switch_work_offer(struct switch_work *work)
{
	struct cpu *cpu;

	if (atomic_load(&work->home) || atomic_load(&work->busy))
		return false;
	cpu = find_helper();
	if (cpu == NULL)
		return false;
	adapt_patience(work);
	atomic_store(&work->found_tsc, rdtsc());
	return enlist(work, cpu, true);
}

/* Takes it out of the list of a CPU, if it is there already. */
static void unlist(struct switch_work *work, unsigned cpu)
{
	struct work_list *list = lock_list(cpu);

	if (!list_empty(&work->node)) {
		list_remove(&work->node);
		atomic_store(&work->home, 0);
	}
	spin_unlock(&list->lock);
}

void switch_work_cancel(struct switch_work *work)
{
	const uint64_t begin = rdtsc();

	atomic_store(&work->cancelled, true);
	/* Nobody becomes busy but through a list: with nobody busy and then in no list, it is over. */
	for (;;) {
		uint32_t home;

		while (atomic_load(&work->busy))
			cpu_await(begin, atomic_load(&work->server),
				  "it was to let a queue go that has been stopped");
		home = atomic_load(&work->home);
		if (home)
			unlist(work, home - 1);
		else if (!atomic_load(&work->busy))
			return;
	}
}

/* The first of this CPU's list, or of those to be polled, marked as busy; NULL: it is empty. */
static struct switch_work *take(unsigned cpu, bool poll)
{
	struct work_list *list = lock_list(cpu);
	struct list *head = poll ? &list->poll : &list->head;
	struct switch_work *work = NULL;

	if (!list_empty(head)) {
		work = container_of(head->next, struct switch_work, node);
		list_remove(&work->node);
		atomic_store(&work->server, cpu);
		atomic_fetch_add(&work->busy, 1);
		atomic_store(&work->home, 0); /* after busy: partner: switch_work_cancel() */
	}
	spin_unlock(&list->lock);
	return work;
}

/* What this CPU was to poll and cannot, since it has no room or somebody to run, is served once: then its
 * driver is asked for kicks, or it is announced. Nobody has begun to poll it. */
static void serve_poll_list(unsigned cpu)
{
	struct switch_work *work;

	while ((work = take(cpu, true)) != NULL) {
		work->serve(work);
		atomic_fetch_sub(&work->busy, 1);
	}
}

bool switch_work_run(void)
{
	unsigned cpu = this_cpu()->index;
	struct switch_work *work;
	struct work_list *list;
	bool more;

	for (unsigned i = 0; i < SLICE_QUEUES && (work = take(cpu, false)) != NULL; i++) {
		work->serve(work);
		atomic_fetch_sub(&work->busy, 1);
	}
	if (this_cpu()->current != NULL)
		serve_poll_list(cpu);
	list = lock_list(cpu);
	more = !list_empty(&list->head);
	spin_unlock(&list->lock);
	return more;
}

/* What a CPU polls. */
struct polling {
	unsigned count;
	struct switch_work *work[POLL_QUEUES];
};

/* Takes what this CPU was handed, as far as there is room. */
static void poll_more(struct polling *p)
{
	unsigned cpu = this_cpu()->index;
	struct switch_work *work;

	while (p->count < POLL_QUEUES && (work = take(cpu, true)) != NULL) {
		port_poll_begin(work->port, work->queue);
		p->work[p->count++] = work;
	}
	atomic_store(&lists[cpu].polls, p->count);
	serve_poll_list(cpu); /* more than there is room for */
}

/* Where a queue is polled on that this CPU must let go of. It keeps it over a timer and other matters of a moment:
 * else all queues came together on the one CPU that has none. NULL: there is nobody. */
static struct cpu *next_poller(void)
{
	struct cpu *self = this_cpu();
	uint32_t mail = atomic_load(&self->mailbox);

	if (mail & (MB_RESCHED | MB_KICK | MB_STOP) || atomic_load(&self->runq_length) > 0)
		return find_helper();
	return self;
}

/* Its driver is asked for kicks again, or a CPU goes on. */
static void poll_end(struct polling *p, unsigned i, bool in_vain)
{
	struct switch_work *work = p->work[i];

	p->count--;
	p->work[i] = p->work[p->count];
	atomic_store(&lists[this_cpu()->index].polls, p->count);
	atomic_store(&work->next, in_vain ? NULL : next_poller());
	port_poll_end(work->port, work->queue,
		      in_vain ? VS_BATCH : 1); /* 1: somebody wants this CPU */
	if (in_vain)
		atomic_store(&work->ended_tsc, rdtsc());
	switch_work_handed_on(work);
	atomic_fetch_sub(&work->busy, 1);
}

static uint64_t patience_tsc(const struct switch_work *work)
{
	uint64_t us = policy_get(POLICY_polling) ? policy_get(POLICY_poll_us) : 0;

	return tsc_from_us(us << atomic_load_explicit(&work->patience, memory_order_relaxed));
}

/* One look at it; false: no more. */
static bool poll_once(struct polling *p, unsigned i)
{
	struct switch_work *work = p->work[i];
	bool found;

	if (!policy_get(POLICY_offload))
		return false;
	found = port_poll(work->port, work->queue) > 0;
	cpu_time_turn(this_cpu(), found ? TIME_ROOT : TIME_POLL, TIME_ROOT);
	if (found)
		atomic_store_explicit(&work->found_tsc, rdtsc(), memory_order_relaxed);
	return !atomic_load(&work->cancelled) &&
	       rdtsc() - atomic_load_explicit(&work->found_tsc, memory_order_relaxed) <
		       patience_tsc(work);
}

/* This CPU has something else to do: mail, which also tells of somebody to run, or a timer. Queues
 * that it is handed meanwhile are no reason to let the others go. */
static bool wanted_elsewhere(struct polling *p)
{
	struct cpu *self = this_cpu();

	if (atomic_load(&self->mailbox) == MB_SWITCH_WORK) {
		atomic_fetch_and(&self->mailbox, ~(uint32_t)MB_SWITCH_WORK);
		if (switch_work_run())
			cpu_post(self, MB_SWITCH_WORK);
		poll_more(p);
	}
	return (atomic_load(&self->mailbox) & ~(uint32_t)MB_SWITCH_WORK) != 0 ||
	       rdtsc() >= self->armed_tsc;
}

/* In turn, each until it was empty for its patience. */
void switch_poll(void)
{
	struct polling p = { .count = 0 };

	poll_more(&p);
	for (unsigned i = 0; p.count > 0 && !wanted_elsewhere(&p); i++) {
		if (!poll_once(&p, i % p.count))
			poll_end(&p, i % p.count, true);
		__builtin_ia32_pause();
	}
	while (p.count > 0)
		poll_end(&p, p.count - 1, false);
}
