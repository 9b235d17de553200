/* SPDX-License-Identifier: BSD-2-Clause */
/* Beyond the identity map of the low 4 GiB: a few pages elsewhere, for tests. */
#pragma once

#include <stdint.h>

enum { PTE_PRESENT = 1, PTE_WRITABLE = 2, PTE_USER = 4, PTE_UNCACHED = 0x18 };

/*
 * The page table entry of a linear address from 512 GiB on, page-aligned; the 2 MiB around it get
 * page tables. All addresses asked for must lie in the same 2 MiB. NULL: they do not.
 */
uint64_t *paging_entry(uint64_t linear);

void paging_flush(uint64_t linear);

/* Maps the page that holds the GPA and returns where. */
volatile uint8_t *paging_map(uint64_t gpa);
