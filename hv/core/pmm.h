/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Physical memory: a page allocator over the RAM of the hand-over, and the direct map.
 * One lock; callable from any CPU. Memory comes zeroed.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "hv/core/fail.h"
#include "hv/core/handover.h"
#include "hv/cpu/addr.h"

#define PAGE_SIZE  4096u
#define LARGE_PAGE (2u << 20)

void pmm_init(const struct handover *h);

/* `bytes` of contiguous RAM (rounded up to pages), aligned to `align` (a power of two, at least
 * PAGE_SIZE); zeroed. HPA_NONE if there is none: the caller reports. */
hpa_t pmm_alloc(uint64_t bytes, uint64_t align);

/* Gives back what pmm_alloc() gave: same bytes. */
void pmm_free(hpa_t at, uint64_t bytes);

/* Zeroed memory for our own structures, in the direct map; NULL if there is none. */
void *page_alloc(size_t bytes);
void page_free(void *p, size_t bytes);

uint64_t pmm_free_bytes(void);
uint64_t pmm_total_bytes(void);

#define HPA_NONE ((hpa_t){ ~0ull })

static inline void *hpa_to_ptr(hpa_t at)
{
	return (void *)(DIRECT_MAP_BASE + at.v);
}

static inline hpa_t ptr_to_hpa(const void *p) /* of the direct map only */
{
	return (hpa_t){ (uint64_t)p - DIRECT_MAP_BASE };
}
