/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: does the loader leave a firmware whose memory map changes under its hands, with the map as
 * it was at the very end, without asking for anything it may not ask for by then, and not for ever? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hv/cpu/x86.h"

static unsigned interrupts_off_calls;
#define interrupts_off() ((void)interrupts_off_calls++) /* no host lets us */
#include "hv/boot/memory.c"

enum { MIB_PAGES = 256, MOST = 12, NO_EVENTS = 0, FOR_EVER = 1000 };

struct boot boot;

/* The firmware: its map, of larger descriptors than ours, and events that change it. */
static struct {
	EFI_MEMORY_DESCRIPTOR descriptor;
	uint64_t more;
} firmware_map[MOST];
static unsigned descriptors, events, exits, maps_read, maps_left, allocations, refusals, alone;
static UINTN key;
static bool leaving, gone;

static void add(UINT32 type, uint64_t start, uint64_t pages)
{
	firmware_map[descriptors++].descriptor = (EFI_MEMORY_DESCRIPTOR){ .Type = type,
									  .PhysicalStart = start,
									  .NumberOfPages = pages };
	key++;
}

static EFI_STATUS EFIAPI allocate(EFI_ALLOCATE_TYPE how, EFI_MEMORY_TYPE type, UINTN pages,
				  EFI_PHYSICAL_ADDRESS *base)
{
	void *p = aligned_alloc(PAGE_BYTES, pages * PAGE_BYTES);

	(void)how;
	(void)type;
	assert_false(leaving); /* UEFI: after a first failure only the map may be read */
	allocations++;
	key++;
	*base = (uintptr_t)p;
	return p ? EFI_SUCCESS : EFI_OUT_OF_RESOURCES;
}

static EFI_STATUS EFIAPI release(EFI_PHYSICAL_ADDRESS base, UINTN pages)
{
	(void)pages;
	free((void *)(uintptr_t)base);
	allocations--;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI get_map(UINTN *bytes, EFI_MEMORY_DESCRIPTOR *map_out, UINTN *map_key,
				 UINTN *step, UINT32 *version)
{
	UINTN wanted = descriptors * sizeof(firmware_map[0]);
	bool fits = *bytes >= wanted;

	assert_false(gone);
	*bytes = wanted;
	*step = sizeof(firmware_map[0]);
	*version = 1;
	if (!fits)
		return EFI_BUFFER_TOO_SMALL;
	if (!maps_left)
		return EFI_DEVICE_ERROR;
	maps_left--;
	maps_read++;
	*map_key = key;
	memcpy(map_out, firmware_map, wanted);
	return EFI_SUCCESS;
}

/* An event comes first: it takes a page more of the range that grows. */
static EFI_STATUS EFIAPI exit_services(EFI_HANDLE image, UINTN map_key)
{
	(void)image;
	assert_false(gone);
	exits++;
	if (events) {
		events--;
		key++;
		firmware_map[1].descriptor.NumberOfPages++;
	}
	if (map_key != key) {
		leaving = true;
		return EFI_INVALID_PARAMETER;
	}
	gone = true;
	return EFI_SUCCESS;
}

bool refuse(EFI_STATUS status, const char *fmt, ...)
{
	(void)fmt;
	assert_true(EFI_ERROR(status));
	refusals++;
	return false;
}

void text_alone(void)
{
	alone++;
}

static EFI_BOOT_SERVICES services = { .AllocatePages = allocate,
				      .FreePages = release,
				      .GetMemoryMap = get_map,
				      .ExitBootServices = exit_services };

static int set_up(void **state)
{
	static struct handover handover;

	(void)state;
	handover = (struct handover){ 0 };
	boot.services = &services;
	boot.handover = &handover;
	descriptors = events = exits = maps_read = refusals = alone = interrupts_off_calls = 0;
	maps_left = 100;
	leaving = gone = false;
	add(EfiConventionalMemory, ONE_MIB, MIB_PAGES);
	add(EfiACPIMemoryNVS, 4 * ONE_MIB, 1); /* grows */
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	pages_free_all();
	return allocations != 0;
}

static void assert_range(unsigned index, uint64_t base, uint64_t pages, enum mem_kind kind)
{
	const struct handover_range *r = &ranges()[index];

	assert_true(index < boot.handover->range_count);
	assert_int_equal(r->base, base);
	assert_int_equal(r->bytes, pages * PAGE_BYTES);
	assert_int_equal(r->kind, kind);
}

static void leaves_after(unsigned stale)
{
	uint64_t top;

	events = stale;
	assert_true(memory_top(&top));
	maps_read = 0;
	assert_true(leave_firmware());
	assert_true(gone);
	assert_int_equal(exits, stale + 1);
	assert_int_equal(maps_read, stale + 1);
	assert_int_equal(interrupts_off_calls, 1);
	assert_int_equal(refusals + alone, 0);
	assert_int_equal(boot.handover->range_count, 2);
	assert_range(0, ONE_MIB, MIB_PAGES, MEM_USABLE);
	assert_range(1, 4 * ONE_MIB, 1 + stale, MEM_ACPI); /* as it was at the end */
}

static void at_once(void **state)
{
	(void)state;
	leaves_after(NO_EVENTS);
}

static void after_one_stale_key(void **state)
{
	(void)state;
	leaves_after(1);
}

static void at_the_last_attempt(void **state)
{
	(void)state;
	leaves_after(EXIT_ATTEMPTS - 1);
}

static void not_for_ever(void **state)
{
	uint64_t top;

	(void)state;
	events = FOR_EVER;
	assert_true(memory_top(&top));
	assert_false(leave_firmware());
	assert_int_equal(exits, EXIT_ATTEMPTS);
	assert_int_equal(refusals, 1);
	assert_int_equal(alone, 1);
	assert_int_equal(interrupts_off_calls, 0);
	leaving = false; /* given back by a firmware that is still there */
}

static void nor_without_a_map(void **state)
{
	uint64_t top;

	(void)state;
	events = 1;
	assert_true(memory_top(&top));
	maps_left = 1;
	assert_false(leave_firmware());
	assert_int_equal(exits, 1);
	assert_int_equal(refusals, 1);
	leaving = false;
}

/* Unsorted, overlapping, empty and absurd descriptors; and the first MiB, which nobody gets. */
static void odd_maps(void **state)
{
	uint64_t top;

	(void)state;
	descriptors = 0;
	add(EfiConventionalMemory, FOUR_GIB, 16);
	add(EfiConventionalMemory, 0, 2 * MIB_PAGES);
	add(EfiLoaderData, 2 * ONE_MIB, 4);
	add(EfiReservedMemoryType, 2 * ONE_MIB + 2 * PAGE_BYTES,
	    4); /* over the end of the former */
	add(EfiConventionalMemory, 2 * ONE_MIB + 4 * PAGE_BYTES, 4); /* half of it reserved */
	add(EfiBootServicesData, 2 * ONE_MIB + 8 * PAGE_BYTES, 8);
	add(EfiConventionalMemory, 8 * ONE_MIB, 0);
	add(EfiConventionalMemory, 1ull << 60, 1);
	add(EfiConventionalMemory, PAGE_BYTES, UINT64_MAX / 2);
	assert_true(memory_top(&top));
	assert_int_equal(top, FOUR_GIB + 16 * PAGE_BYTES);
	assert_true(leave_firmware());
	assert_int_equal(boot.handover->range_count, 6);
	assert_range(0, 0, MIB_PAGES, MEM_RESERVED);
	assert_range(1, ONE_MIB, MIB_PAGES, MEM_USABLE);
	assert_range(2, 2 * ONE_MIB, 2, MEM_HANDOVER);
	assert_range(3, 2 * ONE_MIB + 2 * PAGE_BYTES, 4, MEM_RESERVED);
	assert_range(4, 2 * ONE_MIB + 6 * PAGE_BYTES, 10, MEM_USABLE);
	assert_range(5, FOUR_GIB, 16, MEM_USABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(after_one_stale_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(at_the_last_attempt, set_up, tear_down),
		cmocka_unit_test_setup_teardown(not_for_ever, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nor_without_a_map, set_up, tear_down),
		cmocka_unit_test_setup_teardown(odd_maps, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
