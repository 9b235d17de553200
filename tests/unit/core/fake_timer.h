/* SPDX-License-Identifier: BSD-2-Clause */
/* Timers that fire when the test says so: it sees the one that was set last. */
#pragma once

#include "hv/core/timer.h"

struct timer *fake_timer; /* NULL: it was cancelled */

void timer_init(struct timer *timer, void (*fire)(struct timer *))
{
	timer->fire = fire;
}

void timer_set(struct timer *timer, uint64_t deadline_tsc)
{
	timer->deadline_tsc = deadline_tsc;
	fake_timer = timer;
}

void timer_cancel(struct timer *timer)
{
	if (fake_timer == timer)
		fake_timer = NULL;
}
