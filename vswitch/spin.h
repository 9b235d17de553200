/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A spin lock for the data plane's short critical sections: the FDB's writers, the reservation and
 * the publishing of a receive queue, what has come back to a transmit queue. Each holds for a bounded number of
 * steps. One is taken while another is held: a transmit queue's `returned` within a receive queue's `reserve`; and
 * one is held across calls to env.h: `reserve`, when what is lent has come back or its sender stops (lend.c), across
 * env_unshare(), env_unshare_disowned() and env_disown(), which may wait for an IOMMU, a second at most.
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
