/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How near two CPUs are: by the smallest cache that they share, told by their APIC IDs (SDM 3A,
 * "Hierarchical ID of Logical Processors in an MP System"; CPUID leaf 4, AMD: 8000001Dh).
 */
#pragma once

#include <stdint.h>

#define NEAREST_LEVELS 4u /* of caches */

/* shift[n]: two CPUs share the cache of level n + 1 if their IDs are the same but for so many low
 * bits; growing. */
struct cache_levels {
	unsigned count;
	uint8_t shift[NEAREST_LEVELS];
};

/* A CPU that could help, and what it does already. */
struct helper {
	uint32_t apic_id;
	unsigned queues; /* that it polls */
};

/* Which of the helpers is to help the CPU: of those that poll the fewest queues the nearest, of these
 * the first; -1 for count = 0. */
int nearest_helper(const struct cache_levels *levels, uint32_t apic_id,
		   const struct helper *helpers, unsigned count);

/* 0: share the smallest cache; count: none. */
unsigned cpu_distance(const struct cache_levels *levels, uint32_t apic_id, uint32_t other);

/* Of this CPU; those of a machine are alike. */
void cache_levels_read(struct cache_levels *levels);

/* From the answers (EAX) of the leaf to subleaf 0, 1, ... */
void cache_levels_from(struct cache_levels *levels, const uint32_t *eax, unsigned count);
