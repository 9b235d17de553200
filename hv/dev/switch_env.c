/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the switch asks of the machine (vswitch/env.h): CPU, time, memory; and the lists of transmit
 * queues with more work. What it asks of the receiver's device is in virtio_net.c.
 */
#include "hv/dev/switch_env.h"

#include "hv/core/percpu.h"
#include "hv/core/pmm.h"
#include "hv/core/timer.h"
#include "hv/cpu/x86.h"
#include "vswitch/env.h"
#include "vswitch/switch.h"

#define SLICE_QUEUES 4u /* served in one call of switch_work_run(), a batch each */

_Static_assert(MAX_CPUS <= VS_MAX_CPUS, "the switch knows all CPUs");

static struct work_list {
	struct spinlock lock;
	bool ready;	  /* under lock */
	struct list head; /* under lock */
} lists[MAX_CPUS];

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

void *env_alloc(size_t bytes)
{
	return page_alloc(bytes);
}

void env_free(void *p, size_t bytes)
{
	if (p)
		page_free(p, bytes);
}

void switch_work_init(struct switch_work *work, struct port *port, unsigned queue)
{
	list_init(&work->node);
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
		list->ready = true;
	}
	return list;
}

void switch_work_queue(struct switch_work *work)
{
	struct cpu *cpu = this_cpu();
	struct work_list *list;
	uint32_t none = 0;

	if (atomic_load(&work->cancelled) ||
	    !atomic_compare_exchange_strong(&work->home, &none, cpu->index + 1))
		return;
	list = lock_list(cpu->index);
	list_insert_before(&list->head, &work->node);
	spin_unlock(&list->lock);
	cpu_post(cpu, MB_SWITCH_WORK);
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
	atomic_store(&work->cancelled, true);
	/* Nobody becomes busy but through a list: with nobody busy and then in no list, it is over. */
	for (;;) {
		uint32_t home;

		while (atomic_load(&work->busy))
			__builtin_ia32_pause();
		home = atomic_load(&work->home);
		if (home)
			unlist(work, home - 1);
		else if (!atomic_load(&work->busy))
			return;
	}
}

/* The first of this CPU's list, marked as busy; NULL: it is empty. */
static struct switch_work *take(unsigned cpu)
{
	struct work_list *list = lock_list(cpu);
	struct switch_work *work = NULL;

	if (!list_empty(&list->head)) {
		work = container_of(list->head.next, struct switch_work, node);
		list_remove(&work->node);
		atomic_fetch_add(&work->busy, 1);
		atomic_store(&work->home, 0); /* after busy: partner: switch_work_cancel() */
	}
	spin_unlock(&list->lock);
	return work;
}

bool switch_work_run(void)
{
	unsigned cpu = this_cpu()->index;
	struct switch_work *work;
	struct work_list *list;
	bool more;

	for (unsigned i = 0; i < SLICE_QUEUES && (work = take(cpu)) != NULL; i++) {
		port_service(work->port, work->queue, VS_BATCH);
		atomic_fetch_sub(&work->busy, 1);
	}
	list = lock_list(cpu);
	more = !list_empty(&list->head);
	spin_unlock(&list->lock);
	return more;
}
