/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VT-d's page tables ("Second-Stage Paging Entries"): three or four levels, the largest pages that
 * fit. Like the nested page tables of a VM, but that each entry is written back where a unit does
 * not snoop, and that a unit may walk them at any time: an entry changes by one store, a table is
 * complete before it is pointed to.
 */
#include "hv/dev/vtd_impl.h"

#define SS_RIGHTS  (BIT(0) | BIT(1)) /* R, W: enum iommu_rights */
#define SS_LARGE   BIT(7)
#define SS_ADDRESS 0x000ffffffffff000ull
#define SS_ENTRIES 512u

_Static_assert(IOMMU_READ == 1 && IOMMU_WRITE == 2, "are the bits of an entry");

static uint64_t level_bytes(unsigned level) /* of one entry; level 1 maps 4 KiB */
{
	return 1ull << (12 + 9 * (level - 1));
}

static uint64_t *entry_of(uint64_t *table, unsigned level, uint64_t iova)
{
	return &table[iova / level_bytes(level) % SS_ENTRIES];
}

static uint64_t *table_of(uint64_t entry)
{
	return hpa_to_ptr((hpa_t){ entry & SS_ADDRESS });
}

static bool is_table(unsigned level, uint64_t entry)
{
	return level > 1 && (entry & SS_RIGHTS) && !(entry & SS_LARGE);
}

static void set(const struct vtd_format *f, uint64_t *entry, uint64_t value)
{
	__atomic_store_n(entry, value, __ATOMIC_RELEASE);
	if (!f->coherent)
		vtd_write_back(entry, sizeof(*entry));
}

/* bits: rights and SNP */
static uint64_t leaf(unsigned level, uint64_t hpa, uint64_t bits)
{
	return hpa | bits | (level > 1 ? SS_LARGE : 0);
}

/* The table that an entry points to: made if there is none, with what a large page mapped. */
static uint64_t *table_below(const struct vtd_format *f, uint64_t *entry, unsigned level)
{
	uint64_t old = *entry;
	uint64_t *table;

	if (is_table(level, old))
		return table_of(old);
	table = page_alloc(PAGE_SIZE);
	if (!table)
		return NULL;
	for (unsigned i = 0; (old & SS_RIGHTS) && i < SS_ENTRIES; i++)
		table[i] = leaf(level - 1, (old & SS_ADDRESS) + i * level_bytes(level - 1),
				old & (SS_RIGHTS | f->leaf_bits));
	if (!f->coherent)
		vtd_write_back(table, PAGE_SIZE);
	set(f, entry, ptr_to_hpa(table).v | SS_RIGHTS);
	return table;
}

/* Maps one page at `iova`, the largest that fits and replaces no table; its size, 0: no memory. */
static uint64_t map_one(const struct vtd_format *f, uint64_t *table, uint64_t iova, uint64_t hpa,
			uint64_t bytes, uint64_t bits)
{
	for (unsigned level = f->levels; level > 1; level--) {
		uint64_t *entry = entry_of(table, level, iova);
		uint64_t size = level_bytes(level);

		if (level < 4 && f->large[level] && bytes >= size && !((iova | hpa) & (size - 1)) &&
		    !is_table(level, *entry)) {
			set(f, entry, leaf(level, hpa, bits));
			return size;
		}
		table = table_below(f, entry, level);
		if (!table)
			return 0;
	}
	set(f, entry_of(table, 1, iova), leaf(1, hpa, bits));
	return PAGE_SIZE;
}

int vtd_table_map(const struct vtd_format *f, uint64_t *root, uint64_t iova, uint64_t hpa,
		  uint64_t bytes, unsigned rights)
{
	assert(!((iova | hpa | bytes) & (PAGE_SIZE - 1)));
	assert(rights && !(rights & ~SS_RIGHTS));
	if (bytes > f->iova_end || iova > f->iova_end - bytes)
		return fail(LH_INVAL,
			    "iommu: device addresses from 0x%lx on, %lu bytes, end at 0x%lx", iova,
			    bytes, f->iova_end);
	while (bytes) {
		uint64_t size = map_one(f, root, iova, hpa, bytes, rights | f->leaf_bits);

		if (!size)
			return fail(LH_NOMEM, "iommu: no memory for page tables");
		iova += size;
		hpa += size;
		bytes -= size;
	}
	return 0;
}

static bool is_empty(const uint64_t *table)
{
	for (unsigned i = 0; i < SS_ENTRIES; i++)
		if (table[i] & SS_RIGHTS)
			return false;
	return true;
}

/* Nothing leads to the table any more but what units have cached; it stays one without rights. */
static void put_aside(uint64_t *table, uint64_t **emptied)
{
	table[0] = *emptied ? ptr_to_hpa(*emptied).v : 0;
	*emptied = table;
}

/* Clears what is at `iova`, `bytes` of it at most if there is memory; how much that was. */
static uint64_t unmap_one(const struct vtd_format *f, uint64_t *table, uint64_t iova,
			  uint64_t bytes, uint64_t **emptied)
{
	uint64_t *above = NULL;

	for (unsigned level = f->levels; level > 1; level--) {
		uint64_t *entry = entry_of(table, level, iova);
		uint64_t size = level_bytes(level), rest = size - (iova & (size - 1));
		bool whole = rest == size && bytes >= size;

		if (!(*entry & SS_RIGHTS))
			return rest;
		table = whole && !is_table(level, *entry) ? NULL : table_below(f, entry, level);
		if (!table) {
			set(f, entry, 0);
			return rest;
		}
		above = entry;
	}
	set(f, entry_of(table, 1, iova), 0);
	if (is_empty(table)) {
		set(f, above, 0);
		put_aside(table, emptied);
	}
	return PAGE_SIZE;
}

void vtd_table_unmap(const struct vtd_format *f, uint64_t *root, uint64_t iova, uint64_t bytes,
		     uint64_t **emptied)
{
	assert(!((iova | bytes) & (PAGE_SIZE - 1)));
	assert(bytes <= f->iova_end && iova <= f->iova_end - bytes);
	while (bytes) {
		uint64_t size = unmap_one(f, root, iova, bytes, emptied);

		if (size >= bytes)
			break;
		iova += size;
		bytes -= size;
	}
}

void vtd_table_free_emptied(uint64_t *emptied)
{
	while (emptied) {
		uint64_t *next = emptied[0] ? table_of(emptied[0]) : NULL;

		page_free(emptied, PAGE_SIZE);
		emptied = next;
	}
}

static void free_below(uint64_t *table, unsigned level)
{
	for (unsigned i = 0; i < SS_ENTRIES; i++)
		if (is_table(level, table[i]))
			free_below(table_of(table[i]), level - 1);
	page_free(table, PAGE_SIZE);
}

void vtd_table_free(const struct vtd_format *f, uint64_t *root)
{
	free_below(root, f->levels);
}
