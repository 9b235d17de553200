/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does the walker see the guest's page tables as the processor does: each paging mode, page size
 * and right, the error code of each refusal, accessed and dirty bits, tables outside of RAM?
 *
 * Linked with hv/core/gva.c.
 */
#include "hv/core/vcpu.h"
#include "hv/cpu/msr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RAM_BYTES 0x20000u
#define P	  1u
#define W	  2u
#define U	  4u
#define A	  0x20u
#define D	  0x40u
#define PS	  0x80u
#define NX	  (1ull << 63)
#define FETCH	  16u
#define AC	  (1u << 18)

static uint8_t ram[RAM_BYTES] __attribute__((aligned(4096)));
static struct vm vm = { .mem = { 1, { { 0, RAM_BYTES, ram } } } };
static struct vcpu vcpu = { .vm = &vm };
static struct vcpu_sregs sregs;

static void fake_get_sregs(struct vcpu *v, struct vcpu_sregs *out)
{
	(void)v;
	*out = sregs;
}

static const struct hvm_ops fake_ops = { .get_sregs = fake_get_sregs };
const struct hvm_ops *hvm = &fake_ops;

bool vm_read(const struct vm *m, gpa_t at, void *to, size_t bytes)
{
	const void *p = gmem_ptr(&m->mem, at.v, bytes);

	return p ? memcpy(to, p, bytes) != NULL : false;
}

static void put64(uint64_t at, uint64_t value)
{
	memcpy(ram + at, &value, 8);
}

static void put32(uint64_t at, uint32_t value)
{
	memcpy(ram + at, &value, 4);
}

static uint64_t get64(uint64_t at)
{
	uint64_t value;

	memcpy(&value, ram + at, 8);
	return value;
}

/* 4 levels: tables at 1000h, 2000h, 3000h, 4000h for GVA 0x0000008040201xxx (index 1 each). */
#define GVA 0x0000008040201000ull
static void four_levels(uint64_t upper, uint64_t leaf)
{
	memset(ram, 0, sizeof(ram));
	put64(0x1008, 0x2000 | upper);
	put64(0x2008, 0x3000 | upper);
	put64(0x3008, 0x4000 | upper);
	put64(0x4008, leaf);
	memset(&sregs, 0, sizeof(sregs));
	sregs.cr0 = CR0_PE | CR0_PG | CR0_WP;
	sregs.cr3 = 0x1000;
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LME | EFER_LMA | EFER_NXE;
}

static const gpa_t nowhere = { ~0ull };

static void expect(uint64_t gva, uint32_t access, uint64_t gpa, uint32_t error)
{
	gpa_t out = nowhere;
	uint32_t pf_error = ~0u;
	int err = gva_to_gpa(&vcpu, gva, access, &out, &pf_error);

	if (error) {
		assert_int_equal(err, LH_FAULT);
		assert_int_equal(pf_error, error == ~0u ? 0 : error);
	} else {
		assert_int_equal(err, 0);
		assert_int_equal(out.v, gpa);
	}
}
#define NOT_PRESENT ~0u /* an error code of 0 */

static void test_no_paging(void **state)
{
	(void)state;
	memset(&sregs, 0, sizeof(sregs));
	expect(0x12345678, W, 0x12345678, 0);
	expect(0x100000010, 0, 0x10, 0);
}

/* Rights of all levels together, by ring, WP, NX, SMEP and SMAP. */
static void test_rights(void **state)
{
	static const struct {
		uint64_t upper, leaf;
		uint64_t cr0_off, cr4, rflags;
		uint32_t access, error;
	} table[] = {
		{ P | W | U, P | W | U, 0, 0, 0, W | U, 0 },
		{ P | W | U, P | U, 0, 0, 0, W | U, 7 },
		{ P | W | U, P | U, 0, 0, 0, W, 3 },
		{ P | W | U, P | U, CR0_WP, 0, 0, W, 0 },
		{ P | U, P | W | U, 0, 0, 0, W, 3 },
		{ P | W, P | W | U, 0, 0, 0, U, 5 },
		{ P | W, P | W | U, 0, 0, 0, 0, 0 },
		{ P | W | U, P | W | U | NX, 0, 0, 0, FETCH, 17 },
		{ P | W | U | NX, P | W | U, 0, 0, 0, FETCH | U, 21 },
		{ P | W | U | NX, P | W | U, 0, 0, 0, 0, 0 },
		{ P | W | U, P | W | U, 0, CR4_SMEP, 0, FETCH, 17 },
		{ P | W | U, P | W | U, 0, CR4_SMEP, 0, FETCH | U, 0 },
		{ P | W | U, P | W | U, 0, CR4_SMAP, 0, 0, 1 },
		{ P | W | U, P | W | U, 0, CR4_SMAP, AC, W, 0 },
		{ P | W, P | W, 0, CR4_SMAP | CR4_SMEP, 0, FETCH, 0 },
		{ P | W | U, 0, 0, 0, 0, W | U, 6 },
		{ P | W | U, 0, 0, 0, 0, FETCH, 16 },
		{ P | W | U, 0, 0, 0, 0, 0, NOT_PRESENT },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		four_levels(table[i].upper, table[i].leaf ? 0x9000 | table[i].leaf : 0);
		sregs.cr0 &= ~table[i].cr0_off;
		sregs.cr4 |= table[i].cr4;
		sregs.rflags = table[i].rflags;
		expect(GVA + 0x123, table[i].access, 0x9123, table[i].error);
	}
}

/* A at every level, D at the last of a write; nothing at all after a fault. */
static void test_accessed_dirty(void **state)
{
	(void)state;
	four_levels(P | W | U, 0x9000 | P | W | U);
	expect(GVA, 0, 0x9000, 0);
	assert_int_equal(get64(0x1008), 0x2000 | P | W | U | A);
	assert_int_equal(get64(0x4008), 0x9000 | P | W | U | A);
	expect(GVA, W, 0x9000, 0);
	assert_int_equal(get64(0x3008), 0x4000 | P | W | U | A);
	assert_int_equal(get64(0x4008), 0x9000 | P | W | U | A | D);
	four_levels(P | W | U, 0x9000 | P | U);
	expect(GVA, W, 0, 3);
	assert_int_equal(get64(0x1008), 0x2000 | P | W | U);
	assert_int_equal(get64(0x4008), 0x9000 | P | U);
}

static void test_large_pages(void **state)
{
	(void)state;
	four_levels(P | W | U, 0);
	put64(0x3008, 0x40000000 | P | W | PS);
	expect(GVA + 0x345, W, 0x40001345, 0);
	assert_int_equal(get64(0x3008), 0x40000000 | P | W | PS | A | D);
	put64(0x2008, 0x80000000 | P | PS | NX);
	expect(GVA + 0x345, 0, 0x80000000 + 0x201345, 0);
}

/* Reserved bits: of large pages, PS in a PML4E, NX without NXE. */
static void test_reserved(void **state)
{
	(void)state;
	four_levels(P | W | U, 0x9000 | P | NX);
	sregs.efer &= ~EFER_NXE;
	expect(GVA, FETCH, 0, 9); /* no I bit without NXE */
	four_levels(P | W | U, 0);
	put64(0x3008, 0x40002000 | P | PS);
	expect(GVA, U, 0, 0xd);
	put64(0x3008, 0x40001000 | P | PS); /* PAT */
	expect(GVA, 0, 0x40001000, 0);
	put64(0x1008, 0x2000 | P | PS);
	expect(GVA, W, 0, 0xb);
}

static void test_five_levels(void **state)
{
	(void)state;
	four_levels(P | W | U, 0x9000 | P);
	put64(0x5010, 0x1000 | P | W | U);
	sregs.cr3 = 0x5000;
	sregs.cr4 |= CR4_LA57;
	expect(GVA | 2ull << 48, 0, 0x9000, 0);
	expect(GVA | 3ull << 48, 0, 0, NOT_PRESENT);
}

static void test_pae(void **state)
{
	(void)state;
	memset(ram, 0, sizeof(ram));
	memset(&sregs, 0, sizeof(sregs));
	sregs.cr0 = CR0_PE | CR0_PG;
	sregs.cr4 = CR4_PAE;
	sregs.cr3 = 0x1020; /* aligned to 32 bytes */
	put64(0x1028, 0x2000 | P);
	put64(0x2008, 0x3000 | P | W | U);
	put64(0x3008, 0x9000 | P | W | U);
	put64(0x2010, 0x200000 | P | W | PS);
	expect(0x40201456, W | U, 0x9456, 0);
	assert_int_equal(get64(0x1028), 0x2000 | P); /* PDPTEs have no A bit */
	expect(0x40401456, W, 0x201456, 0);
	expect(0x40401456, U, 0, 5);
	expect(0x80000000, 0, 0, NOT_PRESENT);
	put64(0x1028, 0x2000 | P | W);
	expect(0x40201456, 0, 0, 9);
}

static void test_32_bit(void **state)
{
	(void)state;
	memset(ram, 0, sizeof(ram));
	memset(&sregs, 0, sizeof(sregs));
	sregs.cr0 = CR0_PE | CR0_PG;
	sregs.cr3 = 0x1000;
	put32(0x1004, 0x2000 | P | W | U);
	put32(0x2008, 0x9000 | P | U);
	put32(0x1008, 0x00c00000 | 3u << 13 | P | W | PS); /* bits 33:32 of the address: 3 */
	expect(0x00402abc, U, 0x9abc, 0);
	expect(0x00402abc, W, 0x9abc, 0); /* WP is off */
	assert_int_equal((uint32_t)get64(0x2008), 0x9000 | P | U | A | D);
	expect(0x00402abc, W | U, 0, 7);
	sregs.cr4 = CR4_PSE;
	expect(0x00812345, W, 0x300c12345ull, 0);
	put32(0x1008, 0x00e00000 | P | PS);
	expect(0x00812345, W, 0, 0xb);
}

/* A guest that points its tables outside of RAM gets a page fault, not our memory. */
static void test_tables_outside(void **state)
{
	(void)state;
	four_levels(P | W | U, 0x9000 | P);
	put64(0x2008, 0x000ffffffffff000ull | P | W | U);
	expect(GVA, W, 0, 2);
	sregs.cr3 = RAM_BYTES;
	expect(GVA, 0, 0, NOT_PRESENT);
}

/* 15 bytes across two pages that are not neighbours; fewer where the second is not there. */
static void test_fetch(void **state)
{
	uint8_t got[15];

	(void)state;
	four_levels(P | W | U, 0x9000 | P);
	put64(0x4010, 0x7000 | P);
	sregs.seg[SEG_CS].access = 0xa9b;
	sregs.rip = GVA + 0xffa;
	memcpy(ram + 0x9ffa, "abcdef", 6);
	memcpy(ram + 0x7000, "ghijklmno", 9);
	assert_int_equal(guest_fetch(&vcpu, got), 15);
	assert_memory_equal(got, "abcdefghijklmno", 15);
	put64(0x4010, 0);
	assert_int_equal(guest_fetch(&vcpu, got), 6);
	sregs.cr0 = 0; /* real mode: CS.base + IP */
	sregs.efer = 0;
	sregs.seg[SEG_CS].access = 0x9b;
	sregs.seg[SEG_CS].base = 0x9000;
	sregs.rip = 0xffa;
	assert_int_equal(guest_fetch(&vcpu, got), 15);
	assert_memory_equal(got, "abcdef", 6);
	sregs.rip = RAM_BYTES - 0x9000 - 4;
	assert_int_equal(guest_fetch(&vcpu, got), 4);
}

/* Who only looks leaves no trace, reads a program's code in spite of SMAP, and ahead of the address. */
static void test_look(void **state)
{
	uint8_t got[16];

	(void)state;
	four_levels(P | W | U, 0x9000 | P | U);
	sregs.cr4 |= CR4_SMAP | CR4_SMEP;
	sregs.seg[SEG_CS].access = 0xafb;
	sregs.seg[SEG_SS].access = 0xcf3;
	sregs.rip = GVA + 16;
	memcpy(ram + 0x9000, "abcdefghijklmnopqrstuvwxyz", 26);
	assert_int_equal(guest_look(&vcpu, -16, got, 16), 16);
	assert_memory_equal(got, "abcdefghijklmnop", 16);
	assert_int_equal(guest_look(&vcpu, 0, got, 5), 5);
	assert_memory_equal(got, "qrstu", 5);
	assert_int_equal(get64(0x1008), 0x2000 | P | W | U);
	assert_int_equal(get64(0x4008), 0x9000 | P | U);
	expect(GVA, U | GVA_LOOK, 0x9000, 0);
	expect(GVA + 0x1000, U | GVA_LOOK, 0, 4);
	/* 16 bits: the address goes round at 4 GiB */
	memset(&sregs, 0, sizeof(sregs));
	sregs.seg[SEG_CS].base = 0xffff0000;
	sregs.rip = 0x10010;
	assert_int_equal(guest_look(&vcpu, -16, got, 16), 16);
}

/* Random tables, random registers: in bounds, and bounded? (ASan) */
static void test_random_tables(void **state)
{
	const unsigned rounds = getenv("LASTHOP_SOAK") ? 10000000 : 100000;
	uint64_t x = 88172645463325252ull;

	(void)state;
	for (unsigned i = 0; i < rounds; i++) {
		gpa_t out;
		uint32_t pf_error;

		for (unsigned j = 0; j < 8; j++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			put64((x >> 20) % (RAM_BYTES / 8) * 8,
			      (x & 0x800000000001ffffull) | P | W | U);
		}
		sregs.cr0 = CR0_PG | CR0_PE;
		sregs.cr3 = x % (RAM_BYTES * 2);
		sregs.cr4 = x & (CR4_PAE | CR4_PSE | CR4_LA57 | CR4_SMEP | CR4_SMAP);
		sregs.efer = x >> 7 & (EFER_LMA | EFER_NXE);
		(void)gva_to_gpa(&vcpu, x * 0x9e3779b97f4a7c15ull, x & 22, &out, &pf_error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_paging),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_accessed_dirty),
		cmocka_unit_test(test_large_pages),
		cmocka_unit_test(test_reserved),
		cmocka_unit_test(test_five_levels),
		cmocka_unit_test(test_pae),
		cmocka_unit_test(test_32_bit),
		cmocka_unit_test(test_tables_outside),
		cmocka_unit_test(test_fetch),
		cmocka_unit_test(test_look),
		cmocka_unit_test(test_random_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
