/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two vCPUs: one has the hypervisor read its code, its page tables and its virtqueues, the other
 * rewrites them meanwhile. With one vCPU nothing is done.
 */
#include "guest/abuse/abuse.h"
#include "guest/lib/cpu.h"
#include "guest/lib/paging.h"
#include "guest/lib/runtime.h"
#include "guest/lib/smp.h"
#include "guest/lib/string.h"

enum { CODE_BYTES = 12, RET = 0xc3, SECOND = 1, TRAMPOLINE_PAGE = 8, ACCESSES = 100 };
#define LAPIC_PAGE 0xfee00000ull

/* With ModRM 03, an access of EAX at RBX, whichever of them follows another within one word. */
static const uint8_t alike[] = { 0x8b, 0x89, 0x87, 0x88, 0x8a, 0x01, 0x03, 0x09, 0x0b,
				 0x21, 0x23, 0x31, 0x33, 0x39, 0x3b, 0x85, 0x84, 0x86 };
/* Accesses of other kinds; their mixtures may be anything, and at any address. */
static const uint8_t codes[][CODE_BYTES] = {
	{ 0x8b, 0x03, 0x90, 0x89, 0x03, 0x90, 0x90, 0x90, RET, RET, RET, RET }, /* MOV */
	{ 0x0f, 0xb6, 0x43, 0x20, 0x0f, 0xb7, 0x43, 0x20, RET, RET, RET, RET }, /* MOVZX */
	{ 0x81, 0x43, 0x20, 0x78, 0x56, 0x34, 0x12, 0x90, RET, RET, RET, RET }, /* ADD */
	{ 0xc7, 0x83, 0x20, 0x00, 0x00, 0x00, 0x90, 0x90, 0x90, 0x90, RET,
	  RET },								/* MOV, immediate */
	{ 0xa5, 0xa4, 0x90, 0xab, 0xaa, 0xad, 0xac, 0x90, RET, RET, RET, RET }, /* strings */
	{ 0xec, 0xed, 0x6c, 0x6d, 0x6e, 0x6f, 0xee, 0x90, RET, RET, RET, RET }, /* port I/O */
	{ 0x0f, 0xa2, 0x90, 0x0f, 0x31, 0x90, 0x87, 0x03, RET, RET, RET, RET }, /* CPUID, XCHG */
};

uint8_t race_code[64] __attribute__((aligned(64)));
static uint64_t *entry;	       /* of the page table: where the accesses go */
static volatile uint8_t *page; /* what it maps */
static uint64_t state;	       /* of the second vCPU's own generator */
static bool gentle;	       /* nothing that is known to end the VM */
static unsigned vcpus;

static uint64_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Now a device, now the arena, now with a wrong bit, but never our own memory. */
static uint64_t wild_entry(void)
{
	static const uint8_t flips[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 40, 51, 62, 63 };
	uint64_t value = next() % 4 ? LAPIC_PAGE : arena_base();

	value |= PTE_PRESENT | PTE_WRITABLE | PTE_USER;
	if (next() % 8)
		return value;
	return value ^ 1ull << (gentle ? next() % 9 : flips[next() % sizeof(flips)]);
}

static void rewrite_code(void)
{
	const uint8_t *from = codes[next() % (sizeof(codes) / CODE_BYTES)];
	volatile uint8_t *to = race_code;

	if (gentle) {
		to[0] = alike[next() % sizeof(alike)];
		to[3] = alike[next() % sizeof(alike)];
		return;
	}
	for (unsigned i = 0; i < CODE_BYTES; i++)
		to[i] = from[i];
}

/* The second vCPU, for ever. */
static void rewrite(void)
{
	for (;;) {
		rewrite_code();
		*(volatile uint64_t *)entry = wild_entry();
		vq_scribble(next(), next());
	}
}

void race_begin(uint64_t seed)
{
	vcpus = smp_init();
	if (vcpus < 2)
		return;
	smp_on_irq = recover_interrupt;
	recover_own_gs();
	state = seed * 2 + 1;
	random_seed(seed, 0, 0);
	gentle = !fatal_chance();
	memset(race_code, RET, sizeof(race_code));
	memcpy(race_code, codes[0], CODE_BYTES);
	page = paging_map(LAPIC_PAGE);
	entry = paging_entry((uintptr_t)page);
	if (!smp_start(SECOND, TRAMPOLINE_PAGE))
		guest_fail("abuse: the second vCPU does not start");
	smp_call(SECOND, rewrite);
}

static void access_once(void)
{
	uint64_t rbx = (uintptr_t)page, buffer = (uintptr_t)random_arena(4096, 1);
	uint64_t rsi = one_in(2) ? rbx : buffer, rdi = one_in(2) ? rbx : buffer; /* of strings */
	uint64_t rdx = 0x80; /* a port that means nothing */

	paging_flush(rbx);
	__asm__ volatile("pushq %%rbx; pushq %%rbp\n\t"
			 "movq %[rbx], %%rbx\n\t"
			 "call race_code\n\t"
			 "popq %%rbp; popq %%rbx"
			 : "+d"(rdx), "+S"(rsi), "+D"(rdi)
			 : [rbx] "r"(rbx)
			 : "rax", "rcx", "memory", "cc");
}

void act_race(void)
{
	if (vcpus < 2)
		return;
	if (one_in(4)) {
		act_vq();
		return;
	}
	for (unsigned i = 0; i < ACCESSES; i++)
		access_once();
}
