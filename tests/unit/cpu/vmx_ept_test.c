/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Do the nested page tables map what they were told, with the largest pages, and give all memory
 * back? A walk as in SDM 3C, "EPT Translation Mechanism", is the judge. Links: hv/cpu/vmx/ept.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hv/core/pmm.h"
#include "hv/cpu/vmx/vmx_impl.h"

#include <cmocka.h> /* last: it has a macro fail() */

#define MIB (1ull << 20)
#define GIB (1ull << 30)

struct vmx_caps vmx_caps;

static int pages_in_use;
static int pages_left; /* until page_alloc() fails */

void *page_alloc(size_t bytes)
{
	void *p = aligned_alloc(PAGE_SIZE, bytes);

	if (pages_left-- <= 0) {
		free(p);
		return NULL;
	}
	memset(p, 0, bytes);
	pages_in_use++;
	return p;
}

void page_free(void *p, size_t bytes)
{
	(void)bytes;
	pages_in_use--;
	free(p);
}

void panic(const char *fmt, ...)
{
	(void)fmt;
	abort();
}

static struct vm vm;

/* Where a guest-physical address leads: ~0 if nowhere; *bytes is the size of the page. */
static uint64_t walk(uint64_t gpa, uint64_t *bytes)
{
	uint64_t *table = hpa_to_ptr(vm.nested);

	for (unsigned shift = 39;; shift -= 9) {
		uint64_t entry = table[gpa >> shift & 511];
		uint64_t offset = gpa & ((1ull << shift) - 1);

		*bytes = 1ull << shift;
		if (!(entry & 7))
			return ~0ull;
		assert_int_equal(entry & 7, 7);
		if (shift == 12 || (entry & 0x80)) {
			assert_int_equal(entry >> 3 & 7, 6); /* write-back */
			return (entry & 0x000ffffffffff000) + offset;
		}
		assert_int_equal(entry & 0xff8, 0);
		table = hpa_to_ptr((hpa_t){ entry & 0x000ffffffffff000 });
	}
}

static int setup(void **state)
{
	(void)state;
	vmx_caps.ept_vpid = EPT_CAP_2M | EPT_CAP_1G;
	pages_left = 1000;
	return ept_vm_init(&vm);
}

static int teardown(void **state)
{
	(void)state;
	ept_vm_free(&vm);
	return pages_in_use; /* 0, or something leaked */
}

static void expect(uint64_t gpa, uint64_t hpa, uint64_t page_bytes)
{
	uint64_t bytes;

	assert_int_equal(walk(gpa, &bytes), hpa);
	assert_int_equal(bytes, page_bytes);
}

static void largest_pages(void **state)
{
	(void)state;
	assert_int_equal(ept_map(&vm, (gpa_t){ GIB - 2 * MIB }, (hpa_t){ 3 * GIB - 2 * MIB },
				 GIB + 4 * MIB + 0x3000),
			 0);
	expect(GIB - 2 * MIB, 3 * GIB - 2 * MIB, 2 * MIB);
	expect(GIB + 0x123456, 3 * GIB + 0x123456, GIB);
	expect(2 * GIB, 4 * GIB, 2 * MIB);
	expect(2 * GIB + 2 * MIB + 0x2fff, 4 * GIB + 2 * MIB + 0x2fff, 4096);
	expect(2 * GIB + 2 * MIB + 0x3000, ~0ull, 4096);
	expect(GIB - 2 * MIB - 1, ~0ull, 2 * MIB);
}

static void only_pages_that_the_cpu_has(void **state)
{
	(void)state;
	vmx_caps.ept_vpid = EPT_CAP_2M;
	assert_int_equal(ept_map(&vm, (gpa_t){ 0 }, (hpa_t){ GIB }, GIB), 0);
	expect(5 * MIB, GIB + 5 * MIB, 2 * MIB);
	vmx_caps.ept_vpid = 0;
	assert_int_equal(ept_map(&vm, (gpa_t){ 8 * GIB }, (hpa_t){ GIB }, 4 * MIB), 0);
	expect(8 * GIB + 3 * MIB, GIB + 3 * MIB, 4096);
}

static void misaligned_to_each_other(void **state)
{
	(void)state;
	assert_int_equal(ept_map(&vm, (gpa_t){ 2 * MIB }, (hpa_t){ GIB + 0x1000 }, 4 * MIB), 0);
	expect(2 * MIB, GIB + 0x1000, 4096);
	expect(6 * MIB - 1, GIB + 0x1000 + 4 * MIB - 1, 4096);
}

static void large_page_over_small_ones(void **state)
{
	(void)state;
	assert_int_equal(ept_map(&vm, (gpa_t){ 0 }, (hpa_t){ GIB }, 0x3000), 0);
	assert_int_equal(ept_map(&vm, (gpa_t){ 0 }, (hpa_t){ 2 * GIB }, 2 * MIB), 0);
	expect(0x1234, 2 * GIB + 0x1234, 2 * MIB);
}

static void without_memory(void **state)
{
	(void)state;
	for (int n = 0; n < 3; n++) { /* a 4 KiB page takes three tables */
		pages_left = n;
		assert_int_equal(
			ept_map(&vm, (gpa_t){ (unsigned)n * 512 * GIB }, (hpa_t){ 0 }, 4096),
			LH_NOMEM);
	}
	pages_left = 0;
	assert_int_equal(ept_vm_init(&(struct vm){ 0 }), LH_NOMEM);
}

static uint64_t leaf_at(uint64_t gpa)
{
	uint64_t *table = hpa_to_ptr(vm.nested);

	for (unsigned shift = 39; shift > 12; shift -= 9)
		table = hpa_to_ptr((hpa_t){ table[gpa >> shift & 511] & 0x000ffffffffff000 });
	return table[gpa >> 12 & 511];
}

/* Read and write, no execution, memory type 0; and again elsewhere. */
static void device_memory_is_uncached_and_moves(void **state)
{
	int pages;

	(void)state;
	assert_int_equal(ept_map(&vm, (gpa_t){ 0 }, (hpa_t){ GIB }, 4 * MIB), 0);
	assert_int_equal(ept_map_device(&vm, (gpa_t){ 3 * GIB }, (hpa_t){ 5 * GIB }, 2 * MIB), 0);
	assert_int_equal(leaf_at(3 * GIB), 5 * GIB | 3);
	assert_int_equal(leaf_at(3 * GIB + 2 * MIB - 4096), (5 * GIB + 2 * MIB - 4096) | 3);
	ept_unmap_device(&vm, (gpa_t){ 3 * GIB }, 2 * MIB);
	assert_int_equal(leaf_at(3 * GIB), 0);
	assert_int_equal(leaf_at(3 * GIB + 2 * MIB - 4096), 0);
	ept_unmap_device(&vm, (gpa_t){ 3 * GIB + GIB / 2 }, 2 * MIB); /* nothing is there */
	pages = pages_in_use;
	assert_int_equal(ept_map_device(&vm, (gpa_t){ 3 * GIB }, (hpa_t){ 6 * GIB }, 0x3000), 0);
	assert_int_equal(pages_in_use, pages); /* in the same tables */
	assert_int_equal(leaf_at(3 * GIB + 0x2000), (6 * GIB + 0x2000) | 3);
	assert_int_equal(leaf_at(3 * GIB + 0x3000), 0);
	expect(0, GIB, 2 * MIB);
}

static void pointer(void **state)
{
	(void)state;
	assert_int_equal(ept_pointer(&vm), vm.nested.v | 0x1e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(largest_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(only_pages_that_the_cpu_has, setup, teardown),
		cmocka_unit_test_setup_teardown(misaligned_to_each_other, setup, teardown),
		cmocka_unit_test_setup_teardown(large_page_over_small_ones, setup, teardown),
		cmocka_unit_test_setup_teardown(without_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(device_memory_is_uncached_and_moves, setup,
						teardown),
		cmocka_unit_test_setup_teardown(pointer, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
