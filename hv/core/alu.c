/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Integer arithmetic with its flags (SDM 1, "EFLAGS Register"; SDM 2 for each instruction). Pure:
 * tests/unit/core/emulate_test.c compares it with the processor it runs on.
 */
#include "hv/core/emulate_impl.h"

#define FLAG_CF	  BIT(0)
#define FLAG_PF	  BIT(2)
#define FLAG_AF	  BIT(4)
#define FLAG_ZF	  BIT(6)
#define FLAG_SF	  BIT(7)
#define FLAG_OF	  BIT(11)
#define FLAGS_ALL (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

struct sized {
	uint64_t mask, top; /* all bits of the operand size, the highest of them */
};

static struct sized sized(unsigned bytes)
{
	const uint64_t top = BIT(8 * bytes - 1);

	return (struct sized){ top | (top - 1), top };
}

/* ZF, SF, PF of a result. */
static uint64_t flags_of(struct sized z, uint64_t r)
{
	uint64_t flags = 0;

	if (!r)
		flags |= FLAG_ZF;
	if (r & z.top)
		flags |= FLAG_SF;
	if (!__builtin_parity((unsigned)(r & 0xff)))
		flags |= FLAG_PF;
	return flags;
}

static uint64_t add(struct sized z, uint64_t a, uint64_t b, unsigned carry, uint64_t *flags)
{
	const uint64_t r = (a + b + carry) & z.mask;

	*flags = flags_of(z, r);
	if (((a & b) | ((a | b) & ~r)) & z.top)
		*flags |= FLAG_CF;
	if (~(a ^ b) & (a ^ r) & z.top)
		*flags |= FLAG_OF;
	*flags |= (a ^ b ^ r) & FLAG_AF;
	return r;
}

static uint64_t sub(struct sized z, uint64_t a, uint64_t b, unsigned borrow, uint64_t *flags)
{
	const uint64_t r = (a - b - borrow) & z.mask;

	*flags = flags_of(z, r);
	if (((~a & b) | ((~a | b) & r)) & z.top)
		*flags |= FLAG_CF;
	if ((a ^ b) & (a ^ r) & z.top)
		*flags |= FLAG_OF;
	*flags |= (a ^ b ^ r) & FLAG_AF;
	return r;
}

static uint64_t logic(struct sized z, uint64_t r, uint64_t *flags)
{
	*flags = flags_of(z, r);
	return r;
}

/* Bit b of a goes to CF; the other flags stay. */
static uint64_t bit_op(enum insn_op op, unsigned bytes, uint64_t a, uint64_t b, uint64_t *rflags)
{
	const uint64_t bit = BIT(b & (8 * bytes - 1));

	*rflags = (*rflags & ~FLAG_CF) | (a & bit ? FLAG_CF : 0);
	switch (op) {
	case OP_BTS:
		return a | bit;
	case OP_BTR:
		return a & ~bit;
	case OP_BTC:
		return a ^ bit;
	default:
		return a;
	}
}

static uint64_t arithmetic(enum insn_op op, struct sized z, uint64_t a, uint64_t b, bool carry,
			   uint64_t *flags)
{
	switch (op) {
	case OP_ADD:
	case OP_INC:
		return add(z, a, b, 0, flags);
	case OP_ADC:
		return add(z, a, b, carry, flags);
	case OP_SUB:
	case OP_CMP:
	case OP_DEC:
		return sub(z, a, b, 0, flags);
	case OP_SBB:
		return sub(z, a, b, carry, flags);
	case OP_NEG:
		return sub(z, 0, a, 0, flags);
	case OP_OR:
		return logic(z, a | b, flags);
	case OP_XOR:
		return logic(z, a ^ b, flags);
	default: /* AND, TEST */
		return logic(z, a & b, flags);
	}
}

uint64_t alu(enum insn_op op, unsigned bytes, uint64_t a, uint64_t b, uint64_t *rflags)
{
	const struct sized z = sized(bytes);
	const bool one = op == OP_INC || op == OP_DEC; /* these leave CF alone */
	const uint64_t changed = one ? FLAGS_ALL & ~FLAG_CF : FLAGS_ALL;
	uint64_t flags, result;

	if (op >= OP_BT && op <= OP_BTC)
		return bit_op(op, bytes, a, b, rflags);
	if (op == OP_NOT)
		return ~a & z.mask;
	result = arithmetic(op, z, a, one ? 1 : b, *rflags & FLAG_CF, &flags);
	*rflags = (*rflags & ~changed) | (flags & changed);
	return result;
}
