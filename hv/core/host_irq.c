/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The places of vectors are never freed, and each has a lock that is held around the handlers: so a
 * device may go while its interrupt, or the timer that lets it go on, is on the way.
 */
#include "hv/core/host_irq.h"

#include <stddef.h>

#include "hv/core/list.h"
#include "hv/core/lock.h"
#include "hv/core/log.h"
#include "hv/core/timer.h"
#include "hv/cpu/x86.h"

/* Above the exceptions and what an 8259 may still send, below the core's own (hv/cpu/lapic.h). */
#define FIRST_VECTOR 0x40u
#define LAST_VECTOR  0xefu
#define VECTORS	     (LAST_VECTOR - FIRST_VECTOR + 1)

#define LEAST_SHARE 2u /* a pin and a message */

#define WINDOW_US  1000
#define WINDOW_MAX 64 /* far beyond what a NIC with any moderation sends */
#define ON_THE_WAY 1  /* interrupts that had been sent before the source was held back */

/* [s] under its lock */
struct slot {
	struct spinlock lock;
	struct host_irq *irq; /* [s] NULL: free */
	bool held;	      /* [s] back, until the timer fires */
	unsigned while_held;  /* [s] interrupts that came all the same */
	struct timer timer;
};

static struct slot slots[VECTORS];
static unsigned share = VECTORS; /* (c) after host_irq_share() */
static struct log_limit storm_limit, mask_limit;

static void let_go(struct timer *timer)
{
	struct slot *s = container_of(timer, struct slot, timer);

	spin_lock(&s->lock);
	if (s->irq && s->held) {
		s->held = false;
		if (s->while_held > ON_THE_WAY)
			s->irq->ops->cut_off(s->irq, false);
		s->irq->ops->hold(s->irq, false);
		s->irq->ops->handle(s->irq);
	}
	spin_unlock(&s->lock);
}

void host_irq_init(void)
{
	for (unsigned i = 0; i < VECTORS; i++)
		timer_init(&slots[i].timer, let_go);
}

void host_irq_share(unsigned devices)
{
	share = devices ? VECTORS / devices : VECTORS;
	if (share < LEAST_SHARE)
		share = LEAST_SHARE;
}

int host_irq_alloc(struct host_irq *irq)
{
	if (atomic_fetch_add(&irq->window->taken, 1) >= share) {
		atomic_fetch_sub(&irq->window->taken, 1);
		return fail(LH_NOMEM,
			    "vm %s: its device has the %u interrupt vectors that it can have",
			    irq->owner, share);
	}
	for (unsigned i = 0; i < VECTORS; i++) {
		struct slot *s = &slots[i];
		bool mine;

		spin_lock(&s->lock);
		mine = !s->irq;
		if (mine) {
			irq->vector = (int)(FIRST_VECTOR + i);
			s->irq = irq;
			s->held = false;
		}
		spin_unlock(&s->lock);
		if (mine)
			return 0;
	}
	atomic_fetch_sub(&irq->window->taken, 1);
	return fail(LH_NOMEM, "vm %s: all %u interrupt vectors for devices are taken", irq->owner,
		    VECTORS);
}

void host_irq_free(struct host_irq *irq)
{
	struct slot *s;

	if (!irq->vector)
		return;
	s = &slots[(unsigned)irq->vector - FIRST_VECTOR];
	timer_cancel(&s->timer);
	spin_lock(&s->lock);
	s->irq = NULL;
	s->held = false;
	spin_unlock(&s->lock);
	irq->vector = 0;
	atomic_fetch_sub(&irq->window->taken, 1);
}

unsigned host_irq_count(void)
{
	unsigned taken = 0;

	for (unsigned i = 0; i < VECTORS; i++) {
		spin_lock(&slots[i].lock);
		taken += slots[i].irq != NULL;
		spin_unlock(&slots[i].lock);
	}
	return taken;
}

/* Whether the device has sent all that it may; then *end is when it may again. */
static bool count(struct host_irq_window *w, uint64_t *end)
{
	uint64_t now = rdtsc();
	bool full;

	spin_lock(&w->lock);
	if (now - w->begin_tsc >= tsc_from_us(WINDOW_US)) {
		w->begin_tsc = now;
		w->count = 0;
	}
	full = ++w->count >= WINDOW_MAX;
	*end = w->begin_tsc + tsc_from_us(WINDOW_US);
	spin_unlock(&w->lock);
	return full;
}

/* The device's other vectors are held back as soon as they send. Under the lock, as what follows. */
static void hold_back(struct slot *s, uint64_t end)
{
	s->held = true;
	s->while_held = 0;
	s->irq->ops->hold(s->irq, true);
	timer_set(&s->timer, end);
	log_limited(&storm_limit, "vm %s: its device sends %u interrupts a millisecond: held back",
		    s->irq->owner, WINDOW_MAX);
}

/* The mask is the device's: it need not heed it, and what looks like a message may be its DMA. When
 * it is let go, it is handled. */
static void came_while_held(struct slot *s)
{
	if (s->while_held > ON_THE_WAY || ++s->while_held <= ON_THE_WAY)
		return;
	s->irq->ops->cut_off(s->irq, true);
	log_limited(&mask_limit, "vm %s: its device ignores its mask: cut off for a millisecond",
		    s->irq->owner);
}

bool host_irq_handle(uint8_t vector)
{
	struct slot *s;
	uint64_t end;
	bool known;

	if (vector < FIRST_VECTOR || vector > LAST_VECTOR)
		return false;
	s = &slots[vector - FIRST_VECTOR];
	spin_lock(&s->lock);
	known = s->irq;
	if (known) {
		if (s->held) {
			came_while_held(s);
		} else {
			if (count(s->irq->window, &end))
				hold_back(s, end);
			s->irq->ops->handle(s->irq);
		}
	}
	spin_unlock(&s->lock);
	return known;
}
