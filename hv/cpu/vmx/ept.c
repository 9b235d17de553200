/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nested page tables: EPT with four levels; RAM in the largest pages that fit, write-back, device
 * memory uncached (SDM 3C, "The Extended Page Table Mechanism"). Tables are reached through the direct
 * map. RAM is mapped while the VM is made; device memory comes and goes under the lock of its bus,
 * and translations cached meanwhile are dropped by ept_flush_vm() on every CPU (vm_unmap_device()).
 */
#include "hv/cpu/vmx/vmx_impl.h"

#include "hv/core/pmm.h"

#define EPT_READ       BIT(0)
#define EPT_WRITE      BIT(1)
#define EPT_EXECUTE    BIT(2)
#define EPT_RWX	       (EPT_READ | EPT_WRITE | EPT_EXECUTE)
#define EPT_UNCACHED   (0ull << 3) /* memory types, bits 5:3 */
#define EPT_WRITE_BACK (6ull << 3)
#define EPT_LARGE      BIT(7)
#define EPT_ADDRESS    0x000ffffffffff000ull

#define EPT_LEVELS  4u
#define EPT_ENTRIES 512u

static unsigned level_shift(unsigned level) /* level 1 maps 4 KiB */
{
	return 12 + 9 * (level - 1);
}

static uint64_t level_bytes(unsigned level)
{
	return 1ull << level_shift(level);
}

static uint64_t *entry_of(uint64_t *table, unsigned level, uint64_t gpa)
{
	return &table[gpa >> level_shift(level) & (EPT_ENTRIES - 1)];
}

static uint64_t *table_of(uint64_t entry)
{
	return hpa_to_ptr((hpa_t){ entry & EPT_ADDRESS });
}

static bool can_be_large(unsigned level)
{
	switch (level) {
	case 1:
		return true;
	case 2:
		return vmx_caps.ept_vpid & EPT_CAP_2M;
	case 3:
		return vmx_caps.ept_vpid & EPT_CAP_1G;
	default:
		return false;
	}
}

static uint64_t leaf(unsigned level, uint64_t hpa)
{
	return hpa | EPT_RWX | EPT_WRITE_BACK | (level > 1 ? EPT_LARGE : 0);
}

static bool is_table(unsigned level, uint64_t entry)
{
	return level > 1 && (entry & EPT_RWX) && !(entry & EPT_LARGE);
}

/* The table that an entry points to: made if there is none, split if there is a large page. */
static uint64_t *table_below(uint64_t *entry, unsigned level)
{
	uint64_t old = *entry;
	uint64_t *table;

	if (is_table(level, old))
		return table_of(old);
	table = page_alloc(PAGE_SIZE);
	if (!table)
		return NULL;
	if (old & EPT_RWX) {
		uint64_t hpa = old & EPT_ADDRESS & ~(level_bytes(level) - 1);

		for (unsigned i = 0; i < EPT_ENTRIES; i++)
			table[i] = leaf(level - 1, hpa + i * level_bytes(level - 1));
	}
	*entry = ptr_to_hpa(table).v | EPT_RWX;
	return table;
}

static void free_tables(uint64_t *table, unsigned level)
{
	for (unsigned i = 0; i < EPT_ENTRIES; i++)
		if (is_table(level, table[i]))
			free_tables(table_of(table[i]), level - 1);
	page_free(table, PAGE_SIZE);
}

int ept_vm_init(struct vm *vm)
{
	void *root = page_alloc(PAGE_SIZE);

	if (!root)
		return LH_NOMEM;
	vm->nested = ptr_to_hpa(root);
	/* VPID 0 is the host's: vCPU i of VM n has 1 + n * CONFIG_MAX_VCPUS + i */
	vm->nested_tag = 1 + vm->id * CONFIG_MAX_VCPUS;
	return 0;
}

void ept_vm_free(struct vm *vm)
{
	free_tables(hpa_to_ptr(vm->nested), EPT_LEVELS);
	vm->nested.v = 0;
}

/* The largest level at which [gpa, …) can be one page. */
static unsigned largest_level(uint64_t gpa, uint64_t hpa, uint64_t bytes)
{
	unsigned level = EPT_LEVELS - 1;

	while (level > 1 && (!can_be_large(level) || ((gpa | hpa) & (level_bytes(level) - 1)) ||
			     bytes < level_bytes(level)))
		level--;
	return level;
}

static bool map_one(uint64_t *table, unsigned level, uint64_t gpa, uint64_t page)
{
	uint64_t *entry;

	for (unsigned at = EPT_LEVELS; at > level; at--) {
		table = table_below(entry_of(table, at, gpa), at);
		if (!table)
			return false;
	}
	entry = entry_of(table, level, gpa);
	if (is_table(level, *entry))
		free_tables(table_of(*entry), level - 1);
	__atomic_store_n(entry, page, __ATOMIC_RELEASE);
	return true;
}

int ept_map(struct vm *vm, gpa_t gpa, hpa_t hpa, uint64_t bytes)
{
	uint64_t from = gpa.v, to = hpa.v;

	assert(!((from | to | bytes) & (PAGE_SIZE - 1)));
	while (bytes) {
		unsigned level = largest_level(from, to, bytes);

		if (!map_one(hpa_to_ptr(vm->nested), level, from, leaf(level, to)))
			return LH_NOMEM;
		from += level_bytes(level);
		to += level_bytes(level);
		bytes -= level_bytes(level);
	}
	return 0;
}

int ept_map_device(struct vm *vm, gpa_t gpa, hpa_t hpa, uint64_t bytes)
{
	assert(!((gpa.v | hpa.v | bytes) & (PAGE_SIZE - 1)));
	for (uint64_t at = 0; at < bytes; at += PAGE_SIZE)
		if (!map_one(hpa_to_ptr(vm->nested), 1, gpa.v + at,
			     (hpa.v + at) | EPT_READ | EPT_WRITE | EPT_UNCACHED))
			return LH_NOMEM;
	return 0;
}

static void unmap_one(uint64_t *table, uint64_t gpa)
{
	for (unsigned level = EPT_LEVELS; level > 1; level--) {
		uint64_t entry = *entry_of(table, level, gpa);

		if (!is_table(level, entry))
			return;
		table = table_of(entry);
	}
	__atomic_store_n(entry_of(table, 1, gpa), 0, __ATOMIC_RELEASE);
}

void ept_unmap_device(struct vm *vm, gpa_t gpa, uint64_t bytes)
{
	for (uint64_t at = 0; at < bytes; at += PAGE_SIZE)
		unmap_one(hpa_to_ptr(vm->nested), gpa.v + at);
}

uint64_t ept_pointer(const struct vm *vm)
{
	return vm->nested.v | (EPT_LEVELS - 1) << 3 | 6; /* tables are write-back */
}

enum { INV_SINGLE = 1, INV_ALL = 2 }; /* types of INVEPT and INVVPID */

struct invalidate {
	uint64_t what, address;
};

static void invept(uint64_t type, uint64_t pointer)
{
	struct invalidate descriptor = { .what = pointer };

	__asm__ volatile("invept %0, %1" : : "m"(descriptor), "r"(type) : "cc", "memory");
}

static void invvpid(uint64_t type, uint64_t vpid)
{
	struct invalidate descriptor = { .what = vpid };

	__asm__ volatile("invvpid %0, %1" : : "m"(descriptor), "r"(type) : "cc", "memory");
}

void ept_flush_vm(struct vm *vm)
{
	if (vmx_caps.ept_vpid & EPT_CAP_INVEPT_SINGLE)
		invept(INV_SINGLE, ept_pointer(vm));
	else
		invept(INV_ALL, 0);
}

void vpid_flush(const struct vmx_vcpu *v)
{
	if (!v->vpid)
		return; /* every entry and exit flushes then */
	if (vmx_caps.ept_vpid & VPID_CAP_INVVPID_SINGLE)
		invvpid(INV_SINGLE, v->vpid);
	else
		invvpid(INV_ALL, 0);
}

void ept_flush_all(void)
{
	invept(INV_ALL, 0);
	if ((vmx_caps.ept_vpid & VPID_CAP_INVVPID) && (vmx_caps.ept_vpid & VPID_CAP_INVVPID_ALL))
		invvpid(INV_ALL, 0);
}
