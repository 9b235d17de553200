/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Do VT-d's page tables map what they were told, with three and four levels, the largest pages and
 * just the rights asked for? Does unmapping take away that and no more, and no table before the
 * end? Is each entry written back where a unit does not snoop? A walk as in the VT-d specification,
 * "Second-Stage Translation", is the judge.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hv/dev/vtd_impl.h"

#include <cmocka.h> /* last: it has a macro fail() */

#define KIB 1024ull
#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define RW  (IOMMU_READ | IOMMU_WRITE)

static int pages_in_use, pages_left;
static uint64_t written_back;
static struct vtd_format f;
static uint64_t *root;

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

void vtd_write_back(const void *p, size_t bytes)
{
	(void)p;
	written_back += bytes;
}

int(fail)(enum lh_err err, const char *fmt, ...)
{
	(void)fmt;
	return err;
}

void panic(const char *fmt, ...)
{
	(void)fmt;
	abort();
}

/* Where an address leads, with what rights and by a page of what size; 0 rights: nowhere. */
static uint64_t walk(uint64_t iova, unsigned *rights, uint64_t *bytes)
{
	const uint64_t *table = root;

	*rights = RW;
	for (unsigned shift = 12 + 9 * (f.levels - 1);; shift -= 9) {
		uint64_t entry = table[iova >> shift & 511];

		*rights &= (unsigned)entry & 3;
		*bytes = 1ull << shift;
		if (!*rights)
			return ~0ull;
		if (shift == 12 || (entry & 0x80)) {
			assert_int_equal(entry & 0x800, f.leaf_bits);
			assert_true(shift == 12 || shift == 21 || shift == 30);
			return (entry & 0x000ffffffffff000 & ~(*bytes - 1)) + iova % *bytes;
		}
		assert_int_equal(entry & 0xfff, 3);
		table = hpa_to_ptr((hpa_t){ entry & 0x000ffffffffff000 });
	}
}

static void begin(unsigned levels)
{
	f = (struct vtd_format){ .levels = levels,
				 .iova_end = 1ull << (levels == 4 ? 48 : 39),
				 .large = { [2] = true, [3] = true },
				 .coherent = true };
	pages_left = 1000;
	pages_in_use = 0;
	written_back = 0;
	root = page_alloc(PAGE_SIZE);
}

static int setup_3(void **state)
{
	(void)state;
	begin(3);
	return 0;
}

static int setup_4(void **state)
{
	(void)state;
	begin(4);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vtd_table_free(&f, root);
	return pages_in_use; /* 0, or something leaked */
}

static void expect(uint64_t iova, uint64_t hpa, unsigned rights, uint64_t page_bytes)
{
	uint64_t bytes;
	unsigned got;

	assert_int_equal(walk(iova, &got, &bytes), hpa);
	assert_int_equal(got, rights);
	assert_int_equal(bytes, page_bytes);
}

static void expect_nothing(uint64_t iova)
{
	uint64_t bytes;
	unsigned rights;

	assert_int_equal(walk(iova, &rights, &bytes), ~0ull);
}

static void map(uint64_t iova, uint64_t hpa, uint64_t bytes, unsigned rights)
{
	assert_int_equal(vtd_table_map(&f, root, iova, hpa, bytes, rights), 0);
}

static void largest_pages(void **state)
{
	(void)state;
	map(GIB - 2 * MIB, 3 * GIB - 2 * MIB, GIB + 4 * MIB + 12 * KIB, RW);
	expect(GIB - 2 * MIB, 3 * GIB - 2 * MIB, RW, 2 * MIB);
	expect(GIB + 0x123456, 3 * GIB + 0x123456, RW, GIB);
	expect(2 * GIB, 4 * GIB, RW, 2 * MIB);
	expect(2 * GIB + 2 * MIB + 0x2fff, 4 * GIB + 2 * MIB + 0x2fff, RW, 4 * KIB);
	expect_nothing(2 * GIB + 2 * MIB + 0x3000);
	expect_nothing(GIB - 2 * MIB - 1);
	assert_int_equal(written_back, 0);
}

static void only_pages_that_all_units_have(void **state)
{
	(void)state;
	f.large[3] = false;
	map(0, GIB, GIB, RW);
	expect(5 * MIB, GIB + 5 * MIB, RW, 2 * MIB);
	f.large[2] = false;
	map(8 * GIB, GIB, 4 * MIB, RW);
	expect(8 * GIB + 3 * MIB, GIB + 3 * MIB, RW, 4 * KIB);
	map(10 * GIB, 2 * MIB + 4 * KIB, 2 * MIB, RW);
	expect(10 * GIB, 2 * MIB + 4 * KIB, RW, 4 * KIB);
}

static void rights_and_snooping(void **state)
{
	(void)state;
	f.leaf_bits = 0x800;
	map(0, GIB, 2 * MIB, IOMMU_READ);
	map(2 * MIB, GIB, 4 * KIB, IOMMU_WRITE);
	expect(0x5000, GIB + 0x5000, IOMMU_READ, 2 * MIB);
	expect(2 * MIB, GIB, IOMMU_WRITE, 4 * KIB);
	map(0x5000, 3 * GIB, 4 * KIB, RW); /* splits; what was beside it stays as it was */
	expect(0x4fff, GIB + 0x4fff, IOMMU_READ, 4 * KIB);
	expect(0x5000, 3 * GIB, RW, 4 * KIB);
	expect(0x6000, GIB + 0x6000, IOMMU_READ, 4 * KIB);
}

/* With what was put aside freed at once. */
static void unmap(uint64_t iova, uint64_t bytes)
{
	uint64_t *emptied = NULL;

	vtd_table_unmap(&f, root, iova, bytes, &emptied);
	vtd_table_free_emptied(emptied);
}

static void ends(void **state)
{
	uint64_t end = f.iova_end;

	(void)state;
	map(end - 4 * KIB, GIB, 4 * KIB, RW);
	expect(end - 1, GIB + 0xfff, RW, 4 * KIB);
	assert_int_equal(vtd_table_map(&f, root, end - 4 * KIB, GIB, 8 * KIB, RW), LH_INVAL);
	assert_int_equal(vtd_table_map(&f, root, end, GIB, 4 * KIB, RW), LH_INVAL);
	assert_int_equal(vtd_table_map(&f, root, 0, 0, end + 4 * KIB, RW), LH_INVAL);
	unmap(0, end);
	expect_nothing(end - 1);
}

static void unmap_takes_what_it_was_told(void **state)
{
	(void)state;
	map(0, GIB, 3 * GIB, RW);
	unmap(GIB, GIB); /* one page of its size */
	expect_nothing(GIB);
	expect_nothing(2 * GIB - 1);
	unmap(2 * GIB + 0x3000, 4 * MIB); /* across three of 2 MiB, once split */
	expect(2 * GIB + 0x2fff, 3 * GIB + 0x2fff, RW, 4 * KIB);
	expect_nothing(2 * GIB + 0x3000);
	expect_nothing(2 * GIB + 4 * MIB + 0x2fff);
	expect(2 * GIB + 4 * MIB + 0x3000, 3 * GIB + 4 * MIB + 0x3000, RW, 4 * KIB);
	expect(2 * GIB + 6 * MIB, 3 * GIB + 6 * MIB, RW, 2 * MIB);
	expect(GIB - 1, 2 * GIB - 1, RW, GIB);
	unmap(0, 4 * GIB); /* more than there is */
	expect_nothing(0);
	expect_nothing(3 * GIB - 1);
}

/* A unit may hold a pointer to a table until the flush: it stays a table until then, one without rights. */
static void tables_stay(void **state)
{
	uint64_t *emptied = NULL;
	uint64_t *table;
	int before;

	(void)state;
	map(0, GIB, 12 * KIB, RW);
	before = pages_in_use;
	table = root;
	for (unsigned level = f.levels; level > 1; level--)
		table = hpa_to_ptr((hpa_t){ table[0] & 0x000ffffffffff000 });
	vtd_table_unmap(&f, root, 0, 8 * KIB, &emptied);
	assert_null(emptied);
	expect(8 * KIB, GIB + 8 * KIB, RW, 4 * KIB);
	vtd_table_unmap(&f, root, 0, 2 * MIB, &emptied);
	assert_ptr_equal(emptied, table);
	map(4 * MIB, GIB, 4 * KIB, RW);
	vtd_table_unmap(&f, root, 4 * MIB, 4 * KIB, &emptied);
	assert_ptr_not_equal(emptied, table);
	assert_int_equal(pages_in_use, before + 1);
	for (unsigned i = 0; i < 512; i++)
		assert_int_equal((table[i] | emptied[i]) & 3, 0);
	expect_nothing(0);
	expect_nothing(4 * MIB);
	vtd_table_free_emptied(emptied);
	assert_int_equal(pages_in_use, before - 1);
	/* one that is not empty stays where it is */
	map(0, GIB, 4 * KIB, RW);
	map(0, 2 * GIB, 2 * MIB, RW);
	assert_int_equal(pages_in_use, before);
	expect(0x1234, 2 * GIB + 0x1234, RW, 4 * KIB);
}

/* However far apart pages are that come and go, they take no more tables than there are at a time. */
static void tables_do_not_pile_up(void **state)
{
	uint64_t at = 0;

	(void)state;
	pages_left = 20000;
	for (unsigned n = 0; n < 10000; n++, at = (at + 2 * MIB) % (4 * GIB)) {
		map(at, GIB, 4 * KIB, IOMMU_READ);
		unmap(at, 4 * KIB);
		assert_true(pages_in_use <= 1 + 1 + 4);
	}
}

static void without_memory(void **state)
{
	(void)state;
	for (unsigned n = 0; n < f.levels - 1; n++) { /* a 4 KiB page takes that many tables */
		pages_left = (int)n;
		assert_int_equal(vtd_table_map(&f, root, n * (f.iova_end / 8), 0, 4 * KIB, RW),
				 LH_NOMEM);
	}
	pages_left = 100;
	map(GIB, GIB, GIB, RW);
	pages_left = 0;
	unmap(GIB + 4 * KIB, 4 * KIB); /* all of the large page, not less */
	expect_nothing(GIB + 4 * KIB);
	expect_nothing(GIB);
}

static void written_back_where_not_coherent(void **state)
{
	(void)state;
	f.coherent = false;
	map(0, GIB, 4 * KIB, RW);
	assert_int_equal(written_back, (f.levels - 1) * (PAGE_SIZE + 8) + 8);
	written_back = 0;
	unmap(0, 4 * KIB);
	assert_int_equal(written_back, 16); /* and the one above, since the table is empty */
}

#define BOTH(test)                                                                                 \
	cmocka_unit_test_setup_teardown(test, setup_3, teardown),                                  \
		cmocka_unit_test_setup_teardown(test, setup_4, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(largest_pages),
		BOTH(only_pages_that_all_units_have),
		BOTH(rights_and_snooping),
		BOTH(ends),
		BOTH(tables_stay),
		BOTH(unmap_takes_what_it_was_told),
		BOTH(tables_do_not_pile_up),
		BOTH(without_memory),
		BOTH(written_back_where_not_coherent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
