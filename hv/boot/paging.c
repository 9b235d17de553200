/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page tables of the jump (hv/core/handover.h): identity map and direct map of all RAM, which
 * share everything below the top level, and the core's image at its link address; 2 MiB pages,
 * all may be written and executed, since the core replaces them at once.
 */
#include "hv/boot/boot_impl.h"

enum {
	ENTRIES = 512,
	P_PRESENT = 1 << 0, /* SDM 3A, "4-Level Paging" */
	P_WRITE = 1 << 1,
	P_LARGE = 1 << 7,
};

#define TABLE	 ((uint64_t)(P_PRESENT | P_WRITE))
#define LEAF	 ((uint64_t)(P_PRESENT | P_WRITE | P_LARGE))
#define ONE_GIB	 (1ull << 30)
#define PDPT_MAP (512 * ONE_GIB) /* what one PDPT maps */

static unsigned index_at(uint64_t address, unsigned shift)
{
	return (address >> shift) % ENTRIES;
}

static uint64_t round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) / unit;
}

/* Pages of 2 MiB from `to` on, in a page directory. */
static void fill(uint64_t *directory, uint64_t to, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		directory[i] = (to + i * LARGE_PAGE) | LEAF;
}

bool build_page_tables(uint64_t top, uint64_t *cr3)
{
	const struct handover *h = boot.handover;
	uint64_t directories = round_up(top, ONE_GIB), pdpts = round_up(top, PDPT_MAP);

	/* The upper half of the address space has 256, and the last is the core's. */
	if (pdpts >= ENTRIES / 2)
		return refuse(EFI_UNSUPPORTED, "this machine's RAM lies above 127 TiB");
	uint64_t tables = 1 + pdpts + directories + 2;
	uint64_t *pml4 = pages_alloc(tables * PAGE_BYTES, PAGES_HANDOVER, UINT64_MAX);
	if (!pml4)
		return refuse(EFI_OUT_OF_RESOURCES, "no memory for page tables with %lu KiB",
			      (unsigned long)tables * 4);
	uint64_t *pdpt = pml4 + ENTRIES, *directory = pdpt + pdpts * ENTRIES;
	uint64_t *core_pdpt = directory + directories * ENTRIES, *core = core_pdpt + ENTRIES;

	for (uint64_t i = 0; i < pdpts; i++) {
		pml4[i] = (uintptr_t)(pdpt + i * ENTRIES) | TABLE;
		pml4[index_at(DIRECT_MAP_BASE, 39) + i] = pml4[i];
	}
	for (uint64_t i = 0; i < directories; i++) {
		pdpt[i] = (uintptr_t)(directory + i * ENTRIES) | TABLE;
		fill(directory + i * ENTRIES, i * ONE_GIB, ENTRIES);
	}
	pml4[index_at(CORE_BASE, 39)] = (uintptr_t)core_pdpt | TABLE;
	core_pdpt[index_at(CORE_BASE, 30)] = (uintptr_t)core | TABLE;
	fill(core + index_at(CORE_BASE, 21), h->core_addr, round_up(h->core_bytes, LARGE_PAGE));
	*cr3 = (uintptr_t)pml4;
	return true;
}
