/* SPDX-License-Identifier: BSD-2-Clause */
/* See nearest.h. */
#include "hv/core/nearest.h"

#include "hv/cpu/x86.h"

/* SDM 2A, CPUID leaf 4: EAX */
#define CACHE_TYPE(eax)	   ((eax)&0x1fu)
#define CACHE_LEVEL(eax)   ((eax) >> 5 & 7u)
#define CACHE_SHARING(eax) ((eax) >> 14 & 0xfffu) /* IDs that share it, minus 1 */
#define SUBLEAVES	   8u

unsigned cpu_distance(const struct cache_levels *levels, uint32_t apic_id, uint32_t other)
{
	for (unsigned i = 0; i < levels->count; i++)
		if (apic_id >> levels->shift[i] == other >> levels->shift[i])
			return i;
	return levels->count;
}

void cache_levels_from(struct cache_levels *levels, const uint32_t *eax, unsigned count)
{
	levels->count = 0;
	for (unsigned i = 0; i < count && CACHE_TYPE(eax[i]) != 0; i++) {
		unsigned level = CACHE_LEVEL(eax[i]);
		uint8_t shift = 0;

		if (level == 0 || level > NEAREST_LEVELS)
			continue;
		while (1u << shift < CACHE_SHARING(eax[i]) + 1)
			shift++;
		for (; levels->count < level; levels->count++)
			levels->shift[levels->count] = 0;
		if (shift > levels->shift[level - 1])
			levels->shift[level - 1] = shift;
	}
}

void cache_levels_read(struct cache_levels *levels)
{
	uint32_t eax[SUBLEAVES] = { 0 };
	uint32_t leaf = 0;

	if (cpuid(0, 0).eax >= 4 && CACHE_TYPE(cpuid(4, 0).eax) != 0)
		leaf = 4;
	else if (cpuid(0x80000000u, 0).eax >= 0x8000001du)
		leaf = 0x8000001du;
	for (unsigned i = 0; leaf != 0 && i < SUBLEAVES; i++)
		eax[i] = cpuid(leaf, i).eax;
	cache_levels_from(levels, eax, SUBLEAVES);
}

int nearest_helper(const struct cache_levels *levels, uint32_t apic_id,
		   const struct helper *helpers, unsigned count)
{
	unsigned best_distance = 0;
	int best = -1;

	for (unsigned i = 0; i < count; i++) {
		unsigned distance = cpu_distance(levels, apic_id, helpers[i].apic_id);

		if (best >= 0 &&
		    (helpers[i].queues > helpers[best].queues ||
		     (helpers[i].queues == helpers[best].queues && distance >= best_distance)))
			continue;
		best = (int)i;
		best_distance = distance;
	}
	return best;
}
