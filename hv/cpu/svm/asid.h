/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Address space identifiers (APM 2, "TLB Control"). Each CPU gives out its own, to vCPUs as they
 * come; one is good on that CPU and in that epoch only. When all are used up, or a VM's
 * translations must go, a new epoch begins; numbers are used again only after everything was
 * flushed. So any number of vCPUs runs on any number of ASIDs from 2 on (0 is the host's).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct asid_pool {	/* its CPU's only */
	uint32_t count; /* ASIDs 1 … count-1 */
	uint32_t next;
	uint64_t epoch;
	bool flush; /* the next entry drops all translations */
};

struct asid {			      /* a vCPU's */
	const struct asid_pool *pool; /* NULL: none yet */
	uint64_t epoch;
	uint32_t number;
};

static inline void asid_pool_init(struct asid_pool *pool, uint32_t count)
{
	*pool = (struct asid_pool){ .count = count, .next = 1, .epoch = 1, .flush = true };
}

/* Makes asid valid on this CPU; true if all translations must be dropped at the entry. */
static inline bool asid_prepare(struct asid *asid, struct asid_pool *pool)
{
	const bool flush = pool->flush;

	if (asid->pool == pool && asid->epoch == pool->epoch) {
		pool->flush = false;
		return flush;
	}
	if (pool->next >= pool->count) {
		pool->next = 1;
		pool->epoch++;
		pool->flush = true;
	}
	*asid = (struct asid){ .pool = pool, .epoch = pool->epoch, .number = pool->next++ };
	if (!pool->flush)
		return false;
	pool->flush = false;
	return true;
}

/* Every vCPU gets a new ASID at its next entry on this CPU: nothing cached is used again. */
static inline void asid_new_epoch(struct asid_pool *pool)
{
	pool->epoch++;
}
