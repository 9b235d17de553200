/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Device memory, by all instructions that an emulator must know and some that it need not, of all
 * sizes, aligned and not, in and beside the devices' windows.
 */
#include "guest/abuse/abuse.h"
#include "guest/lib/cpu.h"
#include "guest/lib/paging.h"

enum { CODE_BYTES = 32, RSP = 4, RET = 0xc3, REX_W = 0x48, OPERAND_16 = 0x66, LOCK = 0xf0 };

/* Opcodes with ModRM byte; 0x0f00 and up: two bytes. */
static const uint16_t memory_ops[] = {
	0x00,	0x01, 0x02, 0x03, 0x08, 0x09,	0x0a,	0x0b,	0x10,	0x11,	0x12,	0x13,
	0x18,	0x19, 0x1a, 0x1b, 0x20, 0x21,	0x22,	0x23,	0x28,	0x29,	0x2a,	0x2b,
	0x30,	0x31, 0x32, 0x33, 0x38, 0x39,	0x3a,	0x3b,	0x84,	0x85,	0x86,	0x87,
	0x88,	0x89, 0x8a, 0x8b, 0x63, 0x0fb6, 0x0fb7, 0x0fbe, 0x0fbf, 0x0fa3, 0x0fab, 0x0fb3,
	0x0fbb, 0x80, 0x81, 0x83, 0xc6, 0xc7,	0x0fba, 0xf6,	0xf7,
};
static const uint16_t other_ops[] = {
	/* not emulated: end the VM */
	0x0f10, 0x0f11, 0x0f28, 0x0f6f, 0x0fb0, 0x0fb1, 0x0fc0, 0x0fc1, 0x0fc7,
	0xff,	0x8f,	0xd9,	0xdd,	0x69,	0x6b,	0xc0,	0xc1,	0xd3,
	0x0f01, 0x0fae, 0x0f18, 0x0fa4, 0x0fbc, 0x62,	0xc4,
};
static const uint8_t string_ops[] = { 0xa4, 0xa5, 0xaa, 0xab, 0xac, 0xad };

static bool has_immediate8(unsigned op)
{
	return op == 0x80 || op == 0x83 || op == 0xc6 || op == 0x0fba;
}

/* ModRM: register indirect by RBX, or with a displacement, or by SIB; the address in RBX. */
static unsigned operand(uint8_t *at, unsigned op)
{
	unsigned reg = (unsigned)random_below(8);

	if (reg == RSP)
		reg = 0;
	if (op == 0xc6 || op == 0xc7 || op == 0xf6 || op == 0xf7)
		reg = 0;
	switch (random_below(3)) {
	case 0:
		at[0] = (uint8_t)(0x40 | reg << 3 | 3);
		at[1] = 0;
		return 2;
	case 1:
		at[0] = (uint8_t)(reg << 3 | 4);
		at[1] = 0x23; /* RBX alone */
		return 2;
	default:
		at[0] = (uint8_t)(reg << 3 | 3);
		return 1;
	}
}

static unsigned prefixes(uint8_t *at)
{
	unsigned n = 0;

	if (one_in(8))
		at[n++] = LOCK;
	if (one_in(3))
		at[n++] = OPERAND_16;
	if (one_in(8))
		at[n++] = one_in(2) ? 0xf3 : 0xf2;
	if (one_in(8))
		at[n++] = one_in(2) ? 0x64 : 0x3e; /* FS, DS */
	if (one_in(3))
		at[n++] = (uint8_t)(REX_W | random_below(2) << 2);
	return n;
}

static void make_memory_op(uint8_t *at)
{
	unsigned op = memory_ops[random_below(sizeof(memory_ops) / 2)], n = prefixes(at);

	if (fatal_chance())
		op = other_ops[random_below(sizeof(other_ops) / 2)];
	if (op >> 8)
		at[n++] = (uint8_t)(op >> 8);
	at[n++] = (uint8_t)op;
	n += operand(at + n, op);
	for (unsigned i = 0; i < (has_immediate8(op) ? 1 : 4); i++) /* or NOPs, where it has none */
		at[n++] = op == 0xc7 || op == 0x81 || has_immediate8(op) || (op & 0xf6) == 0xf6
				  ? (uint8_t)random_u64()
				  : 0x90;
	at[n++] = 0x90;
	at[n] = RET;
}

static void make_string_op(uint8_t *at)
{
	unsigned n = 0;

	if (one_in(2))
		at[n++] = one_in(2) ? 0xf3 : 0xf2;
	if (one_in(3))
		at[n++] = OPERAND_16;
	if (one_in(8) && address_prefix)
		at[n++] = 0x67;
	if (one_in(3))
		at[n++] = REX_W;
	at[n++] = string_ops[random_below(sizeof(string_ops))];
	at[n] = RET;
}

/* RBX: the operand's address. RSI, RDI: the string's. RCX: how many. The code may change any
 * register but RSP. */
static void execute(uint8_t *code_at, uint64_t rbx, uint64_t rsi, uint64_t rdi, uint64_t rcx,
		    bool down)
{
	static uint8_t *code;
	static bool backward;
	uint64_t rax = random_u64();

	code = code_at;
	backward = down;
	__asm__ volatile("pushq %%rbp\n\t"
			 "testb $1, %[backward]; jz 1f; std\n"
			 "1:\tcall *%[code]\n\t"
			 "cld\n\t"
			 "popq %%rbp"
			 : "+S"(rsi), "+D"(rdi), "+c"(rcx), "+b"(rbx), "+a"(rax)
			 : [code] "m"(code), [backward] "m"(backward)
			 : "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory",
			   "cc");
}

/* A place for a string: device memory, or the arena, or up to its end. */
static uint64_t string_end(void)
{
	return one_in(2) ? random_device() : (uintptr_t)random_arena(8192, 1);
}

static void by_code(void)
{
	uint8_t *code = random_arena(CODE_BYTES, 1);
	uint64_t rdi = string_end();
	bool string = one_in(3);

	if (string)
		make_string_op(code);
	else
		make_memory_op(code);
	if (string && one_in(8)) /* onto the instruction itself, while it is carried out */
		rdi = (uintptr_t)code - random_below(4);
	execute(code, random_device(), string_end(), rdi, random_below(64), string && one_in(4));
}

static void anywhere(void)
{
	uint64_t at = fatal_chance() ? random_address() : random_device();
	volatile uint8_t *p = paging_map(at);

	if (one_in(2))
		(void)mmio_read32((uintptr_t)p);
	else if (at >= ram_end())
		mmio_write32((uintptr_t)p, (uint32_t)random_value());
}

void act_mmio(void)
{
	for (unsigned i = 0; i < 8; i++) {
		if (one_in(8))
			anywhere();
		else
			by_code();
	}
}
