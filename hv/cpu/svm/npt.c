/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nested page tables: 4-level long-mode tables (APM 2, "Nested Paging"), in the paging mode the
 * host has at VMRUN. Guest accesses count as user accesses, so every entry has U. One writer at a
 * time (the caller's business); processors walk them meanwhile, so entries are stored whole.
 */
#include <string.h>

#include "hv/core/pmm.h"
#include "hv/cpu/svm/svm_impl.h"

#define NPT_TABLE   0x7ull  /* P, W, U */
#define NPT_LEAF    0x67ull /* and A, D: the processor need not write them */
#define NPT_DEVICE  (0x67ull | BIT(3) | BIT(4) | BIT(63)) /* and PWT, PCD: uncached; NX */
#define NPT_PRESENT BIT(0)
#define NPT_LARGE   BIT(7)
#define NPT_ADDRESS 0x000ffffffffff000ull
#define ENTRIES	    512u
#define TOP_LEVEL   4u

static uint64_t span(unsigned level) /* bytes that an entry of this level covers */
{
	return 1ull << (12 + 9 * (level - 1));
}

static bool is_leaf(unsigned level, uint64_t entry)
{
	return level == 1 || entry & NPT_LARGE;
}

static uint64_t *table_of(uint64_t entry)
{
	return hpa_to_ptr((hpa_t){ entry & NPT_ADDRESS });
}

static uint64_t *entry_at(uint64_t *table, unsigned level, uint64_t gpa)
{
	return &table[gpa / span(level) % ENTRIES];
}

static void store(uint64_t *entry, uint64_t value)
{
	__atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

/* Replaces an empty or large entry by a table that says the same. */
static int make_table(uint64_t *entry, unsigned level)
{
	uint64_t *table = page_alloc(PAGE_SIZE);
	const uint64_t large = level > 2 ? NPT_LARGE : 0;

	if (!table)
		return fail(LH_NOMEM, "svm: no memory for nested page tables");
	if (*entry & NPT_PRESENT)
		for (unsigned i = 0; i < ENTRIES; i++)
			table[i] =
				((*entry & NPT_ADDRESS) + i * span(level - 1)) | NPT_LEAF | large;
	store(entry, ptr_to_hpa(table).v | NPT_TABLE);
	return 0;
}

static int map_page(uint64_t *table, uint64_t gpa, uint64_t page, unsigned leaf_level)
{
	for (unsigned level = TOP_LEVEL; level > leaf_level; level--) {
		uint64_t *entry = entry_at(table, level, gpa);

		if (!(*entry & NPT_PRESENT) || is_leaf(level, *entry)) {
			int err = make_table(entry, level);

			if (err < 0)
				return err;
		}
		table = table_of(*entry);
	}
	store(entry_at(table, leaf_level, gpa), page);
	return 0;
}

/* The largest page that fits at both addresses. */
static unsigned leaf_level(uint64_t gpa, uint64_t hpa, uint64_t bytes)
{
	unsigned level = svm.page_1g ? 3 : 2;

	while (level > 1 && ((gpa | hpa) % span(level) || bytes < span(level)))
		level--;
	return level;
}

int svm_map(struct vm *vm, gpa_t gpa, hpa_t hpa, uint64_t bytes)
{
	assert((gpa.v | hpa.v | bytes) % PAGE_SIZE == 0);
	for (uint64_t done = 0; done < bytes;) {
		const unsigned level = leaf_level(gpa.v + done, hpa.v + done, bytes - done);
		const uint64_t page = (hpa.v + done) | NPT_LEAF | (level > 1 ? NPT_LARGE : 0);
		int err = map_page(hpa_to_ptr(vm->nested), gpa.v + done, page, level);

		if (err < 0)
			return err;
		done += span(level);
	}
	return 0;
}

int svm_map_device(struct vm *vm, gpa_t gpa, hpa_t hpa, uint64_t bytes)
{
	assert((gpa.v | hpa.v | bytes) % PAGE_SIZE == 0);
	for (uint64_t at = 0; at < bytes; at += PAGE_SIZE) {
		int err =
			map_page(hpa_to_ptr(vm->nested), gpa.v + at, (hpa.v + at) | NPT_DEVICE, 1);

		if (err < 0)
			return err;
	}
	return 0;
}

static void unmap_page(uint64_t *table, uint64_t gpa)
{
	for (unsigned level = TOP_LEVEL; level > 1; level--) {
		uint64_t entry = *entry_at(table, level, gpa);

		if (!(entry & NPT_PRESENT) || is_leaf(level, entry))
			return;
		table = table_of(entry);
	}
	store(entry_at(table, 1, gpa), 0);
}

void svm_unmap_device(struct vm *vm, gpa_t gpa, uint64_t bytes)
{
	for (uint64_t at = 0; at < bytes; at += PAGE_SIZE)
		unmap_page(hpa_to_ptr(vm->nested), gpa.v + at);
}

int svm_vm_init(struct vm *vm)
{
	void *root = page_alloc(PAGE_SIZE);

	if (!root)
		return fail(LH_NOMEM, "vm %s: no memory for nested page tables", vm->config->name);
	vm->nested = ptr_to_hpa(root);
	return 0;
}

static void free_tables(uint64_t *table, unsigned level)
{
	for (unsigned i = 0; i < ENTRIES && level > 1; i++)
		if (table[i] & NPT_PRESENT && !is_leaf(level, table[i]))
			free_tables(table_of(table[i]), level - 1);
	page_free(table, PAGE_SIZE);
}

void svm_vm_free(struct vm *vm)
{
	free_tables(hpa_to_ptr(vm->nested), TOP_LEVEL);
	vm->nested = HPA_NONE;
}
