/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory in the firmware's hands: pages for the hand-over, and at the end the memory map as
 * handover.h wants it. What must outlive the jump has the type EfiLoaderData, and nothing else
 * has: so the map itself tells the core what to keep. Sorted, merged, no overlaps whatever the
 * firmware says; nothing below 1 MiB is given away.
 */
#include "hv/boot/boot_impl.h"

#include <string.h>

#include "hv/cpu/x86.h"

#define ONE_MIB	  (1ull << 20)
#define FOUR_GIB  (1ull << 32)
#define HPA_LIMIT (1ull << 52) /* of any x86 */

enum {
	MAX_BLOCKS = 256,   /* the images, twice the number of VMs, and some more */
	MAP_SPARE = 16384,  /* the map grows by what we allocate, and while it is read */
	EXIT_ATTEMPTS = 16, /* each but the first after an event of the firmware changed the map */
};

static struct {
	uint64_t base, pages;
} blocks[MAX_BLOCKS]; /* given back if nothing is started */
static unsigned block_count;

static struct {
	EFI_MEMORY_DESCRIPTOR *map;
	UINTN room, bytes, key, step;
} map;

static uint64_t pages_of(uint64_t bytes)
{
	return (bytes + PAGE_BYTES - 1) / PAGE_BYTES;
}

void *pages_alloc(uint64_t bytes, enum page_use use, uint64_t below)
{
	EFI_MEMORY_TYPE type = use == PAGES_HANDOVER ? EfiLoaderData : EfiBootServicesData;
	EFI_ALLOCATE_TYPE how = below == UINT64_MAX ? AllocateAnyPages : AllocateMaxAddress;
	EFI_PHYSICAL_ADDRESS base = below - 1;
	uint64_t pages = pages_of(bytes);

	if (block_count == MAX_BLOCKS ||
	    EFI_ERROR(boot.services->AllocatePages(how, type, pages, &base)))
		return NULL;
	blocks[block_count].base = base;
	blocks[block_count++].pages = pages;
	if (base) /* some firmware catches null pointers */
		memset((void *)(uintptr_t)base, 0, pages * PAGE_BYTES);
	return (void *)(uintptr_t)base;
}

/* Takes 2 MiB more than needed and gives back what lies before and behind. */
void *pages_alloc_large(uint64_t bytes)
{
	uint64_t pages = pages_of(bytes);
	void *p = pages_alloc(pages * PAGE_BYTES + LARGE_PAGE, PAGES_HANDOVER, FOUR_GIB);

	if (!p)
		p = pages_alloc(pages * PAGE_BYTES + LARGE_PAGE, PAGES_HANDOVER, UINT64_MAX);
	if (!p)
		return NULL;
	uint64_t base = (uintptr_t)p;
	uint64_t start = (base + LARGE_PAGE - 1) & ~(LARGE_PAGE - 1);
	uint64_t before = (start - base) / PAGE_BYTES;
	uint64_t behind = LARGE_PAGE / PAGE_BYTES - before;

	if (before)
		boot.services->FreePages(base, before);
	if (behind)
		boot.services->FreePages(start + pages * PAGE_BYTES, behind);
	blocks[block_count - 1].base = start;
	blocks[block_count - 1].pages = pages;
	return (void *)(uintptr_t)start;
}

void *pages_at(uint64_t base, uint64_t bytes)
{
	EFI_PHYSICAL_ADDRESS at = base;

	if (block_count == MAX_BLOCKS ||
	    EFI_ERROR(boot.services->AllocatePages(AllocateAddress, EfiLoaderData, pages_of(bytes),
						   &at)))
		return NULL;
	blocks[block_count].base = base;
	blocks[block_count++].pages = pages_of(bytes);
	return (void *)(uintptr_t)base;
}

void pages_free_last(void)
{
	block_count--;
	boot.services->FreePages(blocks[block_count].base, blocks[block_count].pages);
}

void pages_free_all(void)
{
	while (block_count)
		pages_free_last();
}

static EFI_STATUS read_map(void)
{
	UINT32 version;

	map.bytes = map.room;
	return boot.services->GetMemoryMap(&map.bytes, map.map, &map.key, &map.step, &version);
}

static const EFI_MEMORY_DESCRIPTOR *descriptor(UINTN index)
{
	return (const EFI_MEMORY_DESCRIPTOR *)((const uint8_t *)map.map + index * map.step);
}

static UINTN descriptor_count(void)
{
	return map.bytes / map.step;
}

static bool is_ram(UINT32 type)
{
	return type >= EfiLoaderCode && type <= EfiACPIMemoryNVS && type != EfiUnusableMemory;
}

/* Base and end of a descriptor; false if there is nothing in it, or nonsense. */
static bool extent(const EFI_MEMORY_DESCRIPTOR *d, uint64_t *base, uint64_t *end)
{
	*base = d->PhysicalStart;
	*end = d->PhysicalStart + d->NumberOfPages * PAGE_BYTES;
	return d->NumberOfPages && d->NumberOfPages <= HPA_LIMIT / PAGE_BYTES &&
	       *base <= HPA_LIMIT && *end <= HPA_LIMIT;
}

bool memory_top(uint64_t *top)
{
	uint64_t base, end;

	*top = FOUR_GIB;
	map.room = 0;
	read_map(); /* tells how much room it wants */
	map.room = map.bytes + MAP_SPARE;
	map.map = pages_alloc(map.room, PAGES_SCRATCH, UINT64_MAX);
	if (!map.map || EFI_ERROR(read_map()) || map.step < sizeof(EFI_MEMORY_DESCRIPTOR))
		return refuse(EFI_OUT_OF_RESOURCES, "the firmware does not give its memory map");
	/* For each descriptor of the largest map two ranges: one may end at 1 MiB. */
	uint64_t ranges = map.room / map.step * 2;
	void *p = pages_alloc(ranges * sizeof(struct handover_range), PAGES_HANDOVER, UINT64_MAX);
	if (!p)
		return refuse(EFI_OUT_OF_RESOURCES, "the firmware has no memory left");
	boot.handover->ranges = (uintptr_t)p;
	for (UINTN i = 0; i < descriptor_count(); i++)
		if (is_ram(descriptor(i)->Type) && extent(descriptor(i), &base, &end) && end > *top)
			*top = end;
	return true;
}

static enum mem_kind kind_of(UINT32 type)
{
	switch (type) {
	case EfiConventionalMemory:
	case EfiBootServicesCode:
	case EfiBootServicesData:
	case EfiLoaderCode: /* this program: nothing of it is used after the jump */
		return MEM_USABLE;
	case EfiLoaderData:
		return MEM_HANDOVER;
	case EfiACPIReclaimMemory:
	case EfiACPIMemoryNVS:
		return MEM_ACPI;
	default:
		return MEM_RESERVED;
	}
}

static struct handover_range *ranges(void)
{
	return (struct handover_range *)(uintptr_t)boot.handover->ranges;
}

/* By base; the firmware's map need not be sorted, but nearly is. */
static void insert_range(uint64_t base, uint64_t end, enum mem_kind kind)
{
	struct handover_range *r = ranges();
	unsigned at = boot.handover->range_count++;

	for (; at && r[at - 1].base > base; at--)
		r[at] = r[at - 1];
	r[at] = (struct handover_range){ .base = base, .bytes = end - base, .kind = kind };
}

/*
 * Where two claim the same memory, the stricter kind gets it (enum mem_kind is in this order): cuts
 * the last range that was kept, or the next one. False if nothing of the next one is left.
 */
static bool part(struct handover_range *last, struct handover_range *next)
{
	uint64_t end = last->base + last->bytes;

	if (next->base >= end)
		return true;
	if (next->kind > last->kind) {
		last->bytes = next->base - last->base;
		return true;
	}
	if (next->base + next->bytes <= end)
		return false;
	next->bytes -= end - next->base;
	next->base = end;
	return true;
}

static void merge_ranges(void)
{
	struct handover_range *r = ranges();
	unsigned kept = 0;

	for (unsigned i = 0; i < boot.handover->range_count; i++) {
		struct handover_range next = r[i];

		if (kept && !part(&r[kept - 1], &next))
			continue;
		if (kept && !r[kept - 1].bytes)
			kept--;
		if (kept && r[kept - 1].base + r[kept - 1].bytes == next.base &&
		    r[kept - 1].kind == next.kind)
			r[kept - 1].bytes += next.bytes;
		else
			r[kept++] = next;
	}
	boot.handover->range_count = kept;
}

static void convert_map(void)
{
	uint64_t base, end;

	for (UINTN i = 0; i < descriptor_count(); i++) {
		enum mem_kind kind = kind_of(descriptor(i)->Type);

		if (!extent(descriptor(i), &base, &end))
			continue;
		if (kind == MEM_USABLE && base < ONE_MIB) {
			uint64_t low_end = end < ONE_MIB ? end : ONE_MIB;

			insert_range(base, low_end, MEM_RESERVED);
			base = low_end;
		}
		if (base < end)
			insert_range(base, end, kind);
	}
	merge_ranges();
}

/*
 * UEFI, "EFI_BOOT_SERVICES.ExitBootServices()": the key is stale if anything was allocated since
 * the map was read; after a first failure only the map may be read again. If all fails, the firmware
 * may have lost its timer and some devices already, but it is asked to show why, after COM1 has.
 */
bool leave_firmware(void)
{
	for (unsigned i = 0; i < EXIT_ATTEMPTS; i++) {
		if (EFI_ERROR(read_map()))
			break;
		if (!EFI_ERROR(boot.services->ExitBootServices(boot.image, map.key))) {
			interrupts_off();
			convert_map();
			return true;
		}
	}
	text_alone();
	return refuse(EFI_ABORTED, "the firmware does not end its boot services: update it, or "
				   "take away USB devices and network boot");
}
