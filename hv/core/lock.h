/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Spin locks; taken with interrupts off (they are off everywhere but in the idle loop), never
 * held across a VM entry.
 *
 * Lock order, outermost first:
 *   vm_table_lock, vm->lock, cpu->runq_lock, cpu->timer_lock, a virtqueue's service try-lock, a destination
 *   port's receive lock, pmm, log, a console's ring.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

struct spinlock {
	_Atomic unsigned taken;
};

static inline bool spin_trylock(struct spinlock *lock)
{
	return atomic_exchange_explicit(&lock->taken, 1, memory_order_acquire) == 0;
}

static inline void spin_lock(struct spinlock *lock)
{
	while (!spin_trylock(lock))
		while (atomic_load_explicit(&lock->taken, memory_order_relaxed))
			__builtin_ia32_pause();
}

static inline void spin_unlock(struct spinlock *lock)
{
	atomic_store_explicit(&lock->taken, 0, memory_order_release);
}
