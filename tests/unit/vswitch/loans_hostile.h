/* SPDX-License-Identifier: BSD-2-Clause */
/* Drivers on both sides of a loan that do as they like (lend.c). */
#pragma once

#include "tests/unit/vswitch/loans.h"

/* Asks for an interrupt when three quarters of what is out are back, as Linux does when a ring is getting full
 * (virtqueue_enable_cb_delayed()). out: in positions. */
static void want_interrupt_late(struct drv_queue *q, unsigned out)
{
	unsigned at = (q->seen & 0x7fffu) + out * 3 / 4, wrap = q->seen & 0x8000u;

	if (q->packed) {
		if (at >= q->size) {
			at -= q->size;
			wrap ^= 0x8000u;
		}
		*q->driver_event = 2u << 16 | wrap | at; /* 2.8.14: at that descriptor */
	} else {
		q->avail[2 + q->size] = (uint16_t)(q->seen + out * 3 / 4);
	}
}

/* The descriptor that the switch takes as the n-th from now on. */
static _Atomic uint16_t *offered(unsigned n)
{
	return &up->rx.avail[2 + ((up->rx.used[1] + n) & (up->rx.size - 1))];
}

static void offer(uint16_t id)
{
	up->rx.avail[2 + (up->rx.avail_idx++ & (up->rx.size - 1))] = id;
	up->rx.avail[1] = up->rx.avail_idx;
	port_kick(up->port, 0, VS_BATCH);
	if (atomic_exchange(&a->env.more_work[1], 0) > 0)
		port_service(a->port, 1, VS_BATCH);
}
