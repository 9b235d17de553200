/* SPDX-License-Identifier: BSD-2-Clause */
/* Timers that fire when the test says so: it sees the one that was set last. */
#pragma once

#include "hv/core/timer.h"

static struct timer *armed;

void timer_init(struct timer *timer, void (*fire)(struct timer *))
{
	timer->fire = fire;
}

void timer_set(struct timer *timer, uint64_t deadline_tsc)
{
	timer->deadline_tsc = deadline_tsc;
	armed = timer;
}

void timer_cancel(struct timer *timer)
{
	if (armed == timer)
		armed = NULL;
}
