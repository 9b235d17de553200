/* SPDX-License-Identifier: BSD-2-Clause */
/* See paging.h. Uses the three spare tables of start.S (SDM 3A section 4.5). */
#include "guest/lib/paging.h"

#include <stddef.h>

enum { TABLE_FLAGS = PTE_PRESENT | PTE_WRITABLE | PTE_USER };

#define SCRATCH (1ull << 39) /* paging_map() maps here */

extern uint64_t page_pml4[512];
extern uint64_t page_spare[3][512]; /* PDPT, PD, PT */

uint64_t *paging_entry(uint64_t linear)
{
	unsigned i4 = linear >> 39 & 511, i3 = linear >> 30 & 511, i2 = linear >> 21 & 511;
	static uint64_t region;

	if (!i4 || linear >> 47 || (region && region != linear >> 21))
		return NULL;
	region = linear >> 21;
	page_pml4[i4] = (uintptr_t)page_spare[0] | TABLE_FLAGS;
	page_spare[0][i3] = (uintptr_t)page_spare[1] | TABLE_FLAGS;
	page_spare[1][i2] = (uintptr_t)page_spare[2] | TABLE_FLAGS;
	return &page_spare[2][linear >> 12 & 511];
}

void paging_flush(uint64_t linear)
{
	__asm__ volatile("invlpg (%0)" : : "r"(linear) : "memory");
}

volatile uint8_t *paging_map(uint64_t gpa)
{
	uint64_t *entry = paging_entry(SCRATCH);

	*entry = (gpa & ~0xfffull) | PTE_PRESENT | PTE_WRITABLE | PTE_UNCACHED;
	paging_flush(SCRATCH);
	return (volatile uint8_t *)(SCRATCH + (gpa & 0xfff));
}
