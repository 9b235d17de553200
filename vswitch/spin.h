/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A spin lock for the data plane's short critical sections: the FDB's writers, the reservation and
 * the publishing of a receive queue. None is taken while another is held, none is held across a
 * call to env.h, and each holds for a bounded number of steps.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct spin {
	_Atomic uint32_t held;
};

static inline void spin_lock(struct spin *lock)
{
	while (atomic_exchange_explicit(&lock->held, 1, memory_order_acquire) != 0)
		while (atomic_load_explicit(&lock->held, memory_order_relaxed) != 0)
			__builtin_ia32_pause();
}

static inline void spin_unlock(struct spin *lock)
{
	atomic_store_explicit(&lock->held, 0, memory_order_release);
}
