/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The policies' values (include/lasthop/policy.h), for all switches together. Each is a word that may
 * change at any time and is read once where it matters, once a batch at most: a batch that has begun
 * ends as it began.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "lasthop/policy.h"

enum reuse_policy { REUSE_OFF, REUSE_ON, REUSE_PER_PACKET };

extern _Atomic uint32_t policy_value[POLICY_COUNT];

static inline uint32_t policy_get(enum policy_id id)
{
	return atomic_load_explicit(&policy_value[id], memory_order_relaxed);
}

/* How long who polls may leave an interrupt that is owed. */
static inline uint32_t policy_patience_us(void)
{
	return policy_get(POLICY_poll_us) / 10;
}

/* In effect from each CPU's next batch on. value: one that is allowed. */
void policy_set(enum policy_id id, uint32_t value);
