/* SPDX-License-Identifier: BSD-2-Clause */
/* See histogram.h. Values below 64 have a bucket each. */
#include "guest/bench/histogram.h"

#include "guest/lib/string.h"

enum { SUB_BITS = 6 };

_Static_assert(HISTOGRAM_SUB == 1 << SUB_BITS, "buckets for each power of two");

static unsigned index_of(uint64_t value)
{
	unsigned top, index;

	if (value < HISTOGRAM_SUB)
		return (unsigned)value;
	top = 63 - (unsigned)__builtin_clzll(value);
	if (top >= 40)
		return HISTOGRAM_BUCKETS - 1;
	index = (top - SUB_BITS + 1) * HISTOGRAM_SUB;
	return index + (unsigned)(value >> (top - SUB_BITS) & (HISTOGRAM_SUB - 1));
}

static uint64_t middle_of(unsigned index)
{
	unsigned power = index / HISTOGRAM_SUB;
	uint64_t low, width;

	if (!power)
		return index;
	width = 1ull << (power - 1);
	low = (uint64_t)(HISTOGRAM_SUB + index % HISTOGRAM_SUB) << (power - 1);
	return low + width / 2;
}

void histogram_clear(struct histogram *h)
{
	memset(h, 0, sizeof(*h));
}

void histogram_add(struct histogram *h, uint64_t value)
{
	h->bucket[index_of(value)]++;
	h->count++;
}

uint64_t histogram_quantile(const struct histogram *h, unsigned per_mille)
{
	uint64_t rank = (h->count * per_mille + 999) / 1000, seen = 0;

	if (!h->count)
		return 0;
	if (!rank)
		rank = 1;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen >= rank)
			return middle_of(i);
	}
	return middle_of(HISTOGRAM_BUCKETS - 1);
}
