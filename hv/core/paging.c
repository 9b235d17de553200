/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The core's address space (SDM 3A, "4-Level Paging"), one for all CPUs:
 *   DIRECT_MAP_BASE  all RAM, RW NX, without the image's pages and the trampoline page
 *   DEVICE_BASE      + address: device memory, uncached, RW NX
 *   STACK_BASE       stacks, RW NX, each above a page that is not there
 *   SCREEN_BASE      + address: the framebuffer, write-combining, RW NX
 *   CORE_BASE        the image, each section with its own rights
 * No page is writable and executable at once, under any address. Entries are only ever added once
 * several CPUs run, so no other CPU's TLB can hold a stale one.
 */
#include "hv/core/paging.h"

#include <stdbool.h>

#include "hv/core/lock.h"
#include "hv/core/pmm.h"
#include "hv/cpu/msr.h"

#define DEVICE_BASE 0xffffc00000000000ull
#define STACK_BASE  0xffffd00000000000ull
#define SCREEN_BASE 0xffffe00000000000ull

enum pte_bits { /* SDM 3A, "Paging-Structure Entries" */
		PTE_P = 1u << 0,
		PTE_W = 1u << 1,
		PTE_PWT = 1u << 3,
		PTE_PCD = 1u << 4,
		PTE_PAT = 1u << 7, /* of a page of 4 KiB */
		PTE_PS = 1u << 7,
		PTE_G = 1u << 8,
};
#define PTE_NX	 BIT(63)
#define PTE_ADDR 0x000ffffffffff000ull

#define RIGHTS_R      (PTE_P | PTE_G | PTE_NX)
#define RIGHTS_RX     (PTE_P | PTE_G)
#define RIGHTS_RW     (PTE_P | PTE_G | PTE_W | PTE_NX)
#define RIGHTS_DEVICE (RIGHTS_RW | PTE_PCD | PTE_PWT)

#define RIGHTS_SCREEN (RIGHTS_RW | PTE_PAT)

/* SDM 3A, "Page Attribute Table": as at reset, where PCD|PWT is UC, but for PAT alone: WC. */
#define PAT_OF_CORE 0x0007040100070406ull

#define TOP_LEVEL  4
#define HUGE_LEVEL 3 /* 1 GiB pages */

extern char __text_start[], __text_end[], __rodata_start[], __rodata_end[], __data_start[],
	__data_end[], boot_stack_guard[];

static struct spinlock paging_lock;
static uint64_t *top;			 /* [paging_lock] and all tables below it */
static uint64_t next_stack = STACK_BASE; /* [paging_lock] */
static bool has_huge_pages;		 /* constant after paging_init() */
static uint64_t physical_end;		 /* constant after paging_init() */

struct hole { /* physical, page-aligned, left out of the direct map */
	uint64_t start, end;
};
static struct hole holes[2]; /* trampoline, image: in this order */

static uint64_t level_bytes(unsigned level)
{
	return 1ull << (12 + 9 * (level - 1));
}

static uint64_t *new_table(void)
{
	uint64_t *table = page_alloc(PAGE_SIZE);

	if (!table)
		panic("paging: no memory for a page table");
	return table;
}

/* The entry for `va` at `level`; tables above it are made as needed. */
static uint64_t *entry_at(uint64_t va, unsigned level)
{
	uint64_t *table = top;

	for (unsigned l = TOP_LEVEL;; l--) {
		uint64_t *entry = &table[va >> (12 + 9 * (l - 1)) & 511];

		if (l == level)
			return entry;
		if (!(*entry & PTE_P))
			*entry = ptr_to_hpa(new_table()).v | PTE_P | PTE_W;
		assert(!(*entry & PTE_PS));
		table = hpa_to_ptr((hpa_t){ *entry & PTE_ADDR });
	}
}

/* Largest page that starts at both addresses and fits. */
static unsigned best_level(uint64_t va, uint64_t hpa, uint64_t bytes)
{
	for (unsigned level = has_huge_pages ? HUGE_LEVEL : HUGE_LEVEL - 1; level > 1; level--)
		if (((va | hpa) & (level_bytes(level) - 1)) == 0 && bytes >= level_bytes(level))
			return level;
	return 1;
}

static void map(uint64_t va, uint64_t hpa, uint64_t bytes, uint64_t rights)
{
	while (bytes > 0) {
		unsigned level = best_level(va, hpa, bytes);
		uint64_t step = level_bytes(level);

		*entry_at(va, level) = hpa | rights | (level > 1 ? PTE_PS : 0);
		va += step;
		hpa += step;
		bytes -= step;
	}
}

static void map_direct(uint64_t start, uint64_t end)
{
	for (unsigned i = 0; i < sizeof(holes) / sizeof(holes[0]) && start < end; i++) {
		if (holes[i].end <= start || holes[i].start >= end)
			continue;
		if (start < holes[i].start)
			map(DIRECT_MAP_BASE + start, start, holes[i].start - start, RIGHTS_RW);
		start = holes[i].end;
	}
	if (start < end)
		map(DIRECT_MAP_BASE + start, start, end - start, RIGHTS_RW);
}

/* Neighbouring ranges of RAM are joined first: what kind they are makes no difference here. */
static void map_ram(const struct handover *h)
{
	const struct handover_range *r = hpa_to_ptr((hpa_t){ h->ranges });
	uint64_t start = 0, end = 0;

	for (uint32_t i = 0; i < h->range_count; i++, r++) {
		if (r->kind == MEM_RESERVED)
			continue;
		if (r->base != end) {
			map_direct(start, end);
			start = r->base;
		}
		end = r->base + r->bytes;
	}
	map_direct(start, end);
}

static void map_section(const struct handover *h, const char *start, const char *end,
			uint64_t rights)
{
	uint64_t offset = (uint64_t)start - CORE_BASE;

	for (uint64_t i = 0; i < (uint64_t)(end - start); i += PAGE_SIZE)
		if (start + i != boot_stack_guard)
			*entry_at((uint64_t)start + i, 1) = (h->core_addr + offset + i) | rights;
}

/* Where the processor's addresses end (SDM 3A, "Physical-Address Size"), or our room for them. */
static uint64_t find_physical_end(void)
{
	uint64_t room = STACK_BASE - DEVICE_BASE, end = BIT(36);

	if (cpuid(0x80000000, 0).eax >= 0x80000008)
		end = BIT(cpuid(0x80000008, 0).eax & 63);
	return end < room ? end : room;
}

static bool addressable(uint64_t hpa, size_t bytes)
{
	return bytes <= physical_end && hpa <= physical_end - bytes;
}

void paging_init(const struct handover *h)
{
	uint64_t image_end = h->core_addr + (uint64_t)(__data_end - __text_start);

	has_huge_pages =
		cpuid(0x80000000, 0).eax >= 0x80000001 && (cpuid(0x80000001, 0).edx & BIT(26));
	physical_end = find_physical_end();
	holes[0] = (struct hole){ h->trampoline, h->trampoline + PAGE_SIZE };
	holes[1] = (struct hole){ h->core_addr, image_end };
	top = new_table();
	if (ptr_to_hpa(top).v >> 32) /* the trampoline loads CR3 in 32-bit mode */
		panic("paging: no free memory below 4 GiB for the top page table");
	map_ram(h);
	map_section(h, __text_start, __text_end, RIGHTS_RX);
	map_section(h, __rodata_start, __rodata_end, RIGHTS_R);
	map_section(h, __data_start, __data_end, RIGHTS_RW);
	paging_load();
}

/*
 * CR0, CR4, EFER and PAT the same on every CPU. No SMEP or SMAP: nothing is ever mapped for user
 * mode here. Turning CR4.PGE off and on drops what the loader's tables left in the TLB.
 */
void paging_load(void)
{
	uint32_t features = cpuid(1, 0).edx;
	uint64_t keep = read_cr4() & (CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE);
	uint64_t cr4 = keep | CR4_PAE;

	if (features & BIT(7))
		cr4 |= CR4_MCE;
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
	if (features & BIT(16))
		wrmsr(MSR_PAT, PAT_OF_CORE);
	write_cr0(CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG);
	write_cr4(cr4);
	write_cr3(paging_cr3());
	if (features & BIT(13))
		write_cr4(cr4 | CR4_PGE);
}

uint64_t paging_cr3(void)
{
	return ptr_to_hpa(top).v;
}

void *map_device(uint64_t hpa, size_t bytes)
{
	uint64_t start = hpa & ~(uint64_t)(PAGE_SIZE - 1);
	uint64_t end = (hpa + bytes + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);

	if (!addressable(hpa, bytes))
		return NULL;
	spin_lock(&paging_lock);
	for (uint64_t at = start; at < end; at += PAGE_SIZE)
		*entry_at(DEVICE_BASE + at, 1) = at | RIGHTS_DEVICE;
	spin_unlock(&paging_lock);
	return (void *)(DEVICE_BASE + hpa);
}

/* Every CPU with 64 bits has a PAT. */
void *map_framebuffer(uint64_t hpa, size_t bytes)
{
	uint64_t at = hpa & ~(uint64_t)(PAGE_SIZE - 1);

	if (!addressable(hpa, bytes))
		return NULL;
	spin_lock(&paging_lock);
	for (; at < hpa + bytes; at += PAGE_SIZE)
		*entry_at(SCREEN_BASE + at, 1) = at | RIGHTS_SCREEN;
	spin_unlock(&paging_lock);
	return (void *)(SCREEN_BASE + hpa);
}

static bool direct_mapped(uint64_t hpa)
{
	const uint64_t *table = top;

	for (unsigned l = TOP_LEVEL; l > 0; l--) {
		uint64_t entry = table[(DIRECT_MAP_BASE + hpa) >> (12 + 9 * (l - 1)) & 511];

		if (!(entry & PTE_P))
			return false;
		if (entry & PTE_PS)
			return true;
		table = hpa_to_ptr((hpa_t){ entry & PTE_ADDR });
	}
	return true;
}

const void *map_firmware(uint64_t hpa, size_t bytes)
{
	uint64_t at = hpa & ~(uint64_t)(PAGE_SIZE - 1);

	if (!addressable(hpa, bytes))
		return NULL;
	for (; at < hpa + bytes; at += PAGE_SIZE)
		if (!direct_mapped(at))
			return map_device(hpa, bytes);
	return hpa_to_ptr((hpa_t){ hpa });
}

bool is_foreign(uint64_t hpa, uint64_t bytes)
{
	uint64_t at = hpa & ~(uint64_t)(PAGE_SIZE - 1);

	if (!addressable(hpa, bytes))
		return false;
	for (unsigned i = 0; i < sizeof(holes) / sizeof(holes[0]); i++)
		if (holes[i].start < hpa + bytes && hpa < holes[i].end)
			return false;
	for (; at < hpa + bytes; at += PAGE_SIZE)
		if (direct_mapped(at))
			return false;
	return true;
}

void *stack_alloc(size_t bytes)
{
	hpa_t at;
	uint64_t bottom;

	bytes = (bytes + PAGE_SIZE - 1) & ~(size_t)(PAGE_SIZE - 1);
	at = pmm_alloc(bytes, PAGE_SIZE);
	if (at.v == HPA_NONE.v)
		panic("paging: no memory for a stack");
	spin_lock(&paging_lock);
	bottom = next_stack + PAGE_SIZE;
	next_stack = bottom + bytes;
	for (size_t i = 0; i < bytes; i += PAGE_SIZE)
		*entry_at(bottom + i, 1) = (at.v + i) | RIGHTS_RW;
	spin_unlock(&paging_lock);
	return (void *)(bottom + bytes);
}

bool is_stack_guard(uint64_t va)
{
	if (va - (uint64_t)boot_stack_guard < PAGE_SIZE)
		return true;
	return va >= STACK_BASE && va < next_stack && !(*entry_at(va, 1) & PTE_P);
}

void trampoline_writable(uint64_t hpa)
{
	*entry_at(hpa, 1) = 0;
	*entry_at(DIRECT_MAP_BASE + hpa, 1) = hpa | RIGHTS_RW;
	invlpg((void *)hpa);
}

void trampoline_executable(uint64_t hpa)
{
	*entry_at(DIRECT_MAP_BASE + hpa, 1) = 0;
	*entry_at(hpa, 1) = hpa | RIGHTS_RX;
	invlpg(hpa_to_ptr((hpa_t){ hpa }));
}
