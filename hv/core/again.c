/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/core/again.h"

#include <stdatomic.h>
#include <stdint.h>

#include "hv/core/config.h"
#include "hv/core/percpu.h"
#include "hv/core/timer.h"
#include "hv/cpu/x86.h"

/* From the first time to the last: the gaps of a driver domain that dies at once (hv/core/lifecycle.c). A try
 * costs as much as making the VM: nobody waits for its device. */
#define FIRST_GAP_US 200000u
#define GAP_DOUBLED  5u

static struct again {
	struct timer timer;
	uint64_t due_tsc; /* 0: it does not wait */
	unsigned tries;	  /* in a row */
} agains[CONFIG_MAX_VMS];

static struct cpu *_Atomic asked; /* whose timer has fired, and nobody has looked since */

static void fired(struct timer *timer)
{
	(void)timer;
	atomic_store(&asked, this_cpu());
	cpu_post(this_cpu(), MB_RESCHED);
}

void again_at(unsigned id, uint64_t tsc)
{
	struct again *a = &agains[id];

	a->due_tsc = tsc ? tsc : 1;
	if (!a->timer.fire)
		timer_init(&a->timer, fired);
	timer_set(&a->timer, a->due_tsc);
}

bool again_wait(unsigned id)
{
	struct again *a = &agains[id];
	unsigned doubled = a->tries < GAP_DOUBLED ? a->tries : GAP_DOUBLED;

	again_at(id, rdtsc() + tsc_from_us((uint64_t)FIRST_GAP_US << doubled));
	return a->tries++ == 0;
}

bool again_cancel(unsigned id)
{
	struct again *a = &agains[id];
	bool waited = a->due_tsc != 0;

	if (waited)
		timer_cancel(&a->timer);
	a->due_tsc = 0;
	a->tries = 0;
	return waited;
}

bool again_waits(unsigned id)
{
	return agains[id].due_tsc != 0 && agains[id].tries != 0;
}

int again_take(void)
{
	uint64_t now = rdtsc();

	for (unsigned id = 0; id < CONFIG_MAX_VMS; id++) {
		if (!agains[id].due_tsc || agains[id].due_tsc > now)
			continue;
		agains[id].due_tsc = 0;
		return (int)id;
	}
	return -1;
}

bool again_asks(void)
{
	return atomic_load_explicit(&asked, memory_order_relaxed) == this_cpu();
}

bool again_due(void)
{
	return atomic_load(&asked) != NULL;
}

void again_looked(void)
{
	atomic_store(&asked, NULL);
}
