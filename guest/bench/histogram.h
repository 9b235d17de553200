/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A log-linear histogram: 64 buckets for each power of two, so that a value is known to 1.6 %.
 * Values from 2^40 on are counted in the last bucket.
 */
#pragma once

#include <stdint.h>

enum { HISTOGRAM_SUB = 64, HISTOGRAM_BUCKETS = HISTOGRAM_SUB * 35 + 1 };

struct histogram {
	uint64_t count;
	uint32_t bucket[HISTOGRAM_BUCKETS];
};

void histogram_clear(struct histogram *h);
void histogram_add(struct histogram *h, uint64_t value);

/* The middle of the bucket that holds the value at this rank, 1..1000 per mille; 0 if empty. */
uint64_t histogram_quantile(const struct histogram *h, unsigned per_mille);
