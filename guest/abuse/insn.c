/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random bytes as code. Mostly in ring 3, where the watchdog can always end them; in ring 0 a step
 * at a time, by the trap flag. Registers point into the arena, seldom to devices.
 */
#include "guest/abuse/abuse.h"

enum {
	CODE_BYTES = 256,
	ADDRESS_PREFIX = 0x67,
	RSP = 4,
	REGISTERS = 16,
	USER_ROUND = 4,
	STEPS = 40
};
enum { NOP = 0x90 };

static const uint8_t interesting[] = { 0x0f, 0x66, 0xf2, 0xf3, 0xf0, 0x67, 0x2e, 0x36, 0x64, 0x65,
				       0x48, 0x49, 0x4c, 0x01, 0x00, 0xc7, 0xae, 0x22, 0x20, 0xa2,
				       0x30, 0x32, 0xd8, 0xc1, 0xd9, 0xd0, 0xd1, 0x6c, 0x6e, 0xe4,
				       0xec, 0xcd, 0xcc, 0xcf, 0x9d, 0x17, 0x07, 0x31, 0x33, 0x08 };
/* Instructions that may exit, complete: their operands are the registers'. */
static const uint8_t exiting[][4] = {
	{ 0x0f, 0xa2, NOP, NOP },   { 0x0f, 0x32, NOP, NOP },	{ 0x0f, 0x01, 0xc1, NOP },
	{ 0x0f, 0x01, 0xd9, NOP },  { 0x0f, 0x01, 0xd1, NOP },	{ 0x0f, 0x01, 0xd0, NOP },
	{ 0x0f, 0x01, 0xc8, NOP },  { 0x0f, 0x01, 0xd8, NOP },	{ 0x0f, 0x01, 0xda, NOP },
	{ 0x0f, 0x01, 0xdc, NOP },  { 0x0f, 0x01, 0xdd, NOP },	{ 0x0f, 0x01, 0xde, NOP },
	{ 0x0f, 0x01, 0xdf, NOP },  { 0x0f, 0x01, 0xf9, NOP },	{ 0x0f, 0x31, NOP, NOP },
	{ 0x0f, 0x33, NOP, NOP },   { 0x0f, 0x08, NOP, NOP },	{ 0x0f, 0x09, NOP, NOP },
	{ 0x0f, 0x0b, NOP, NOP },   { 0xf3, 0x90, NOP, NOP },	{ 0x0f, 0x01, 0xc2, NOP },
	{ 0x0f, 0x01, 0xc3, NOP },  { 0x0f, 0x01, 0xc4, NOP },	{ 0x0f, 0x01, 0xc0, NOP },
	{ 0x0f, 0x78, 0xc0, NOP },  { 0x0f, 0x79, 0xc0, NOP },	{ 0x0f, 0xaa, NOP, NOP },
	{ 0x0f, 0x37, NOP, NOP },   { 0x0f, 0x20, 0xc0, NOP },	{ 0x0f, 0x21, 0xf8, NOP },
	{ 0x0f, 0x01, 0xcf, NOP },  { 0x0f, 0x01, 0x3b, NOP },	{ 0x0f, 0x00, 0xd3, NOP },
	{ 0x0f, 0xc7, 0xf0, NOP },  { 0x0f, 0xc7, 0xf8, NOP },	{ 0x66, 0x0f, 0x38, 0x82 },
	{ 0x66, 0x0f, 0x38, 0x80 }, { 0x66, 0x0f, 0x38, 0x81 }, { 0x0f, 0xae, 0x2b, NOP },
	{ 0x0f, 0xc7, 0x2b, NOP },  { 0xcc, NOP, NOP, NOP },	{ 0xf1, NOP, NOP, NOP },
	{ 0xcd, 0x80, NOP, NOP },   { 0x0f, 0x05, NOP, NOP },	{ 0x0f, 0x34, NOP, NOP },
	{ 0xec, NOP, NOP, NOP },    { 0x6c, NOP, NOP, NOP },	{ 0x9d, NOP, NOP, NOP },
	{ 0x0f, 0x01, 0xca, NOP },  { 0x0f, 0x01, 0xee, NOP },	{ 0x0f, 0x3f, 0x07, 0x0b },
};

static void fill(uint8_t *code)
{
	unsigned at = 0;

	while (at < CODE_BYTES - 4) {
		const uint8_t *whole = exiting[random_below(sizeof(exiting) / 4)];

		switch (random_below(4)) {
		case 0:
			for (unsigned i = 0; i < 4; i++)
				code[at++] = whole[i];
			break;
		case 1:
			code[at++] = interesting[random_below(sizeof(interesting))];
			break;
		default:
			code[at++] = (uint8_t)random_u64();
		}
	}
	for (unsigned i = 0; i < at; i++)
		if (code[i] == ADDRESS_PREFIX && !address_prefix)
			code[i] = NOP;
}

static void set_registers(uint64_t regs[REGISTERS])
{
	for (unsigned i = 0; i < REGISTERS; i++)
		regs[i] = one_in(3) ? random_value() : (uintptr_t)random_arena(4096, 1);
	if (fatal_chance())
		regs[random_below(REGISTERS)] = random_device();
	regs[RSP] = (uintptr_t)random_arena(4096, 8);
}

static void ring0(const uint8_t *code)
{
	uint64_t arena = (uintptr_t)random_arena(4096, 8);

	recover_steps = STEPS;
	__asm__ volatile("movq %0, %%rsp\n\t"
			 "pushfq\n\t"
			 "orq $0x100, (%%rsp)\n\t"
			 "popfq\n\t"
			 "jmp *%1"
			 :
			 : "r"(arena), "r"(code), "a"(random_value()), "b"(arena),
			   "c"(random_value()), "d"(random_value()), "S"(arena), "D"(arena)
			 : "memory");
	__builtin_unreachable();
}

void act_insn(void)
{
	uint64_t regs[REGISTERS];
	uint8_t *code = random_arena(CODE_BYTES, 1);

	fill(code);
	set_registers(regs);
	if (fatal_chance())
		ring0(code);
	attempt_user(regs, (uintptr_t)code);
}
