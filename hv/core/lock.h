/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Spin locks; taken with interrupts off (they are off everywhere but in the idle loop), never
 * held across a VM entry.
 *
 * Lock order, outermost first; who holds one takes only such as stand behind it:
 *   life cycle: reaping (a try-lock), vm_table_lock, vm->lock;
 *   a guest's devices: pcie, virtio_pci, a queue of the device's own, uart, rtc;
 *   switch: its control lock, the table of uplinks, the list of network devices, a queue's service try-lock, a
 *   destination port's receive lock, a CPU's list of queues with work;
 *   passed-through devices: passthrough, a vector's place in host_irq, the host's I/O APIC;
 *   behind all devices: bus, msix, ioapic, marker;
 *   pages shared with driver domains: the list of all (reuse), one domain's;
 *   IOMMU: vtd.lock, a domain's lock, a unit's queue_lock; fault_lock;
 *   CPUs: runq_lock, timer_lock;
 *   memory: paging, pmm;
 *   text: log, a console's ring; report.
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
