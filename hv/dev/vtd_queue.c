/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VT-d's invalidation queue ("Queued Invalidation Interface"): a page of 256 descriptors. Whoever
 * submits some appends a wait descriptor and waits until the unit has written its number, all under
 * the queue's lock: the queue is empty between two submissions and never full.
 */
#include "hv/dev/vtd_impl.h"

#include "hv/core/log.h"
#include "hv/core/timer.h"

#define ENTRIES	  (PAGE_SIZE / sizeof(struct vtd_entry))
#define BYTES(at) ((at) * sizeof(struct vtd_entry))
#define WAIT_US	  1000000u

enum descriptor_type { /* bits 3:0 */
		       INV_CONTEXT = 1,
		       INV_IOTLB = 2,
		       INV_INTERRUPT = 4,
		       INV_WAIT = 5,
};
enum granularity { /* of the first two, bits 5:4 */
		   GLOBAL = 1 << 4,
		   OF_DOMAIN = 2 << 4,
		   OF_DEVICE = 3 << 4,
};
#define INTERRUPT_ONE BIT(4) /* one index; else all */
#define IOTLB_DRAIN   6	     /* DW, DR: shift */
#define WAIT_STATUS   BIT(5) /* SW: tell by writing */

/* "Context-cache Invalidate Descriptor" */
struct vtd_entry vtd_inv_context(uint16_t domain, uint16_t source)
{
	return (struct vtd_entry){ .lo = INV_CONTEXT | OF_DEVICE | (uint64_t)domain << 16 |
					 (uint64_t)source << 32 };
}

/* "IOTLB Invalidate": of one domain, with what is under way drained as far as the unit can. */
struct vtd_entry vtd_inv_iotlb(const struct vtd_unit *u, uint16_t domain)
{
	return (struct vtd_entry){ .lo = INV_IOTLB | OF_DOMAIN | CAP_DRAIN(u->cap) << IOTLB_DRAIN |
					 (uint64_t)domain << 16 };
}

/* "Interrupt Entry Cache Invalidate Descriptor" */
struct vtd_entry vtd_inv_interrupt(unsigned index)
{
	return (struct vtd_entry){ .lo = INV_INTERRUPT | INTERRUPT_ONE | (uint64_t)index << 32 };
}

int vtd_queue_start(struct vtd_unit *u)
{
	if (vtd_read32(u, VTD_GSTS) & GCMD_QIE) { /* firmware's, or one that has failed */
		uint32_t tail = vtd_read32(u, VTD_IQT);

		/* an error stops it: then it is as empty as it gets */
		if (!(vtd_read32(u, VTD_FSTS) & FSTS_IQE) && !vtd_await(u, VTD_IQH, ~0u, tail))
			log_printf("iommu: the unit at 0x%lx: its queue is stuck at 0x%x", u->base,
				   vtd_read32(u, VTD_IQH));
		if (vtd_command(u, GCMD_QIE, false) < 0)
			return LH_TIMEOUT;
	}
	vtd_write32(u, VTD_FSTS, FSTS_IQE | FSTS_ICE | FSTS_ITE);
	u->tail = 0;
	vtd_write64(u, VTD_IQT, 0);
	vtd_write64(u, VTD_IQA, ptr_to_hpa(u->queue).v); /* QS 0: one page; DW 0: of 128 bits */
	return vtd_command(u, GCMD_QIE, true);
}

static void put(struct vtd_unit *u, struct vtd_entry descriptor)
{
	u->queue[u->tail] = descriptor;
	u->tail = (u->tail + 1) % ENTRIES;
}

/* "Hardware Handling of Queued Invalidation Interface Errors". ICE and ITE speak of Device-TLBs,
 * which we never ask anything: whatever they tell, the queue is no longer to be trusted. */
static int check(struct vtd_unit *u)
{
	uint32_t status = vtd_read32(u, VTD_FSTS) & (FSTS_IQE | FSTS_ICE | FSTS_ITE);
	unsigned head = (unsigned)(vtd_read32(u, VTD_IQH) / sizeof(struct vtd_entry) % ENTRIES);

	if (!status)
		return 0;
	return fail(LH_INVAL,
		    "iommu: the unit at 0x%lx refuses descriptor %u, %016lx %016lx (FSTS 0x%x)",
		    u->base, head, u->queue[head].lo, u->queue[head].hi, status);
}

/* "Invalidation Wait Descriptor" */
static int await_number(struct vtd_unit *u, uint32_t number)
{
	uint64_t start = rdtsc(), limit = tsc_from_us(WAIT_US);
	bool late = false;

	/* partner: the unit's write, which comes after all that was before the descriptor */
	while (atomic_load_explicit(u->waited, memory_order_acquire) != number) {
		if (check(u) < 0)
			return LH_INVAL;
		if (late)
			return fail(LH_TIMEOUT, "iommu: the unit at 0x%lx does not invalidate",
				    u->base);
		late = rdtsc() - start > limit; /* once more: this CPU may have been held up */
		__builtin_ia32_pause();
	}
	return 0;
}

/* Under queue_lock. */
static int submit(struct vtd_unit *u, const struct vtd_entry *list, unsigned count)
{
	uint64_t number = ++u->waits;

	for (unsigned i = 0; i < count; i++)
		put(u, list[i]);
	put(u, (struct vtd_entry){
		       .lo = INV_WAIT | WAIT_STATUS | number << 32,
		       .hi = ptr_to_hpa(u->queue).v + PAGE_SIZE,
	       });
	atomic_thread_fence(memory_order_release); /* partner: the unit, once it has the tail */
	vtd_write64(u, VTD_IQT, BYTES(u->tail));
	return await_number(u, (uint32_t)number);
}

/* In the order of "Set Root Table Pointer Operation". */
static int submit_all(struct vtd_unit *u)
{
	const struct vtd_entry all[] = {
		{ .lo = INV_CONTEXT | GLOBAL },
		{ .lo = INV_IOTLB | GLOBAL | CAP_DRAIN(u->cap) << IOTLB_DRAIN },
		{ .lo = INV_INTERRUPT },
	};

	return submit(u, all, sizeof(all) / sizeof(all[0]));
}

int vtd_queue_invalidate_all(struct vtd_unit *u)
{
	int error;

	spin_lock(&u->queue_lock);
	error = submit_all(u);
	spin_unlock(&u->queue_lock);
	return error;
}

void vtd_invalidate(struct vtd_unit *u, const struct vtd_entry *list, unsigned count)
{
	bool done;

	spin_lock(&u->queue_lock);
	done = submit(u, list, count) == 0;
	if (!done && vtd_queue_start(u) == 0 && submit_all(u) == 0) {
		log_printf("iommu: the unit at 0x%lx: queue started anew, everything invalidated",
			   u->base);
		done = true;
	}
	spin_unlock(&u->queue_lock);
	if (!done)
		panic("iommu: the unit at 0x%lx keeps what it has cached: no device can be "
		      "contained",
		      u->base);
}
