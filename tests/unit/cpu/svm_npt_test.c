/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Do nested page tables translate what was mapped and nothing else, with the largest pages, through
 * splits, lack of memory and to the last page given back?
 *
 * Linked with hv/cpu/svm/npt.c.
 */
#include "hv/core/pmm.h"
#include "hv/cpu/svm/svm_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB	 (1ull << 20)
#define GIB	 (1ull << 30)
#define UNMAPPED (~0ull)

struct svm_machine svm;
static int pages_out, pages_left;
static const struct config_vm config = { .name = "test" };
static struct vm vm = { .config = &config };

void *page_alloc(size_t bytes)
{
	void *p;

	if (pages_left-- <= 0)
		return NULL;
	p = aligned_alloc(4096, bytes);
	memset(p, 0, bytes);
	pages_out++;
	return p;
}

void page_free(void *p, size_t bytes)
{
	(void)bytes;
	pages_out--;
	free(p);
}

int(fail)(enum lh_err err, const char *fmt, ...)
{
	(void)fmt;
	return err;
}

void panic(const char *fmt, ...)
{
	fail_msg("panic: %s", fmt);
	abort();
}

/* The processor's view; *page: the size of the page found. */
static uint64_t translate(uint64_t gpa, uint64_t *page)
{
	const uint64_t *table = hpa_to_ptr(vm.nested);

	for (unsigned shift = 39;; shift -= 9) {
		const uint64_t entry = table[gpa >> shift & 511];

		if (!(entry & 1))
			return UNMAPPED;
		assert_int_equal(entry & 7, 7);
		if (shift == 12 || entry & 0x80) {
			*page = 1ull << shift;
			assert_int_equal(entry & 0x000ffffffffff000ull & (*page - 1), 0);
			return (entry & 0x000ffffffffff000ull) + (gpa & (*page - 1));
		}
		table = hpa_to_ptr((hpa_t){ entry & 0x000ffffffffff000ull });
	}
}

static void begin(bool page_1g)
{
	svm.page_1g = page_1g;
	pages_out = 0;
	pages_left = 1000;
	assert_int_equal(svm_vm_init(&vm), 0);
}

static void end(void)
{
	svm_vm_free(&vm);
	assert_int_equal(pages_out, 0);
}

static void test_largest_pages(void **state)
{
	uint64_t page;

	(void)state;
	begin(true);
	assert_int_equal(svm_map(&vm, (gpa_t){ 0 }, (hpa_t){ 5 * GIB }, 0x9f000), 0);
	assert_int_equal(svm_map(&vm, (gpa_t){ MIB }, (hpa_t){ 7 * GIB + MIB }, 3 * GIB - MIB), 0);
	assert_int_equal(translate(0x9efff, &page), 5 * GIB + 0x9efff);
	assert_int_equal(page, 4096);
	assert_int_equal(translate(0x9f000, &page), UNMAPPED);
	assert_int_equal(translate(MIB, &page), 7 * GIB + MIB);
	assert_int_equal(translate(2 * MIB + 5, &page), 7 * GIB + 2 * MIB + 5);
	assert_int_equal(page, 2 * MIB);
	assert_int_equal(translate(GIB + 77, &page), 8 * GIB + 77);
	assert_int_equal(page, GIB);
	assert_int_equal(translate(3 * GIB, &page), UNMAPPED);
	end();
	begin(false);
	assert_int_equal(svm_map(&vm, (gpa_t){ GIB }, (hpa_t){ GIB }, GIB), 0);
	assert_int_equal(translate(2 * GIB - 1, &page), 2 * GIB - 1);
	assert_int_equal(page, 2 * MIB);
	end();
}

/* Every allocation may fail: an error, never a leak. */
static void test_no_memory(void **state)
{
	(void)state;
	for (int n = 0; n < 5; n++) {
		begin(false);
		pages_left = n;
		assert_int_equal(svm_map(&vm, (gpa_t){ MIB }, (hpa_t){ MIB }, 4 * MIB),
				 n < 4 ? LH_NOMEM : 0);
		end();
	}
	pages_left = 0;
	assert_int_equal(svm_vm_init(&vm), LH_NOMEM);
}

static uint64_t leaf_at(uint64_t gpa)
{
	const uint64_t *table = hpa_to_ptr(vm.nested);

	for (unsigned shift = 39; shift > 12; shift -= 9)
		table = hpa_to_ptr((hpa_t){ table[gpa >> shift & 511] & 0x000ffffffffff000ull });
	return table[gpa >> 12 & 511];
}

/* PCD and PWT: entry 3 of the PAT, uncached; no execution. */
static void test_device_memory(void **state)
{
	uint64_t page;
	int pages;

	(void)state;
	begin(true);
	assert_int_equal(svm_map_device(&vm, (gpa_t){ 3 * GIB }, (hpa_t){ 5 * GIB }, 2 * MIB), 0);
	assert_int_equal(leaf_at(3 * GIB), 5 * GIB | 0x800000000000007full);
	svm_unmap_device(&vm, (gpa_t){ 3 * GIB }, 2 * MIB);
	assert_int_equal(translate(3 * GIB + 2 * MIB - 1, &page), UNMAPPED);
	svm_unmap_device(&vm, (gpa_t){ 2 * GIB }, 2 * MIB); /* nothing is there */
	pages = pages_out;
	assert_int_equal(svm_map_device(&vm, (gpa_t){ 3 * GIB }, (hpa_t){ 6 * GIB }, 0x3000), 0);
	assert_int_equal(pages_out, pages);
	assert_int_equal(leaf_at(3 * GIB + 0x2000) & 0x000ffffffffff000ull, 6 * GIB + 0x2000);
	assert_int_equal(translate(3 * GIB + 0x3000, &page), UNMAPPED);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_largest_pages),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_device_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
