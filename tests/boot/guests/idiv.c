/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does signed division of 128 by 64 bits give the right answer? Bochs as packaged does not
 * (scripts/bochs-errata.py, fault 1). No exit is involved: this asks the test bed, not us.
 */
#include "guest/lib/cpu.h"
#include "guest/lib/runtime.h"
#include "guest/lib/trap.h"
#include "tests/boot/guests/check.h"

struct idiv_case {
	int64_t high;
	uint64_t low;
	int64_t divisor, quotient, remainder;
	bool fault;
};

static const struct idiv_case cases[] = {
	{ 0, 100, 7, 14, 2, false },
	{ -1, (uint64_t)-100, 7, -14, -2, false },
	{ 0, 100, -7, -14, 2, false },
	{ -1, (uint64_t)-100, -7, 14, -2, false },
	{ 0, 1000000000000000000, 1000000007, 999999993, 49, false },
	{ 1, 0, 4, 1ll << 62, 0, false },
	{ -1, 0, 4, -(1ll << 62), 0, false },
	{ 0x123456789, 0xabcdef0123456789, 0x7fffffffffffffff, 0, 0, false },
	{ 0, 0x7fffffffffffffff, 1, INT64_MAX, 0, false },
	{ -1, 0x8000000000000000, 1, INT64_MIN, 0, false },
	{ -1, 0x8000000000000000, -1, 0, 0, true }, /* 2^63 is too large */
	{ 0, 0x8000000000000000, 1, 0, 0, true },
	{ 1, 0, 1, 0, 0, true },
	{ 0, 1, 0, 0, 0, true },
};

/* Checks by multiplying back, where the table has no quotient. */
static bool multiplies_back(const struct idiv_case *c, int64_t quotient, int64_t remainder)
{
	uint64_t low, carry;
	int64_t high;

	__asm__("imulq %3" : "=a"(low), "=d"(high) : "a"(quotient), "r"(c->divisor));
	carry = low + (uint64_t)remainder < low;
	low += (uint64_t)remainder;
	high += (int64_t)carry + (remainder < 0 ? -1 : 0);
	return low == c->low && high == c->high;
}

static bool right(const struct idiv_case *c)
{
	int64_t quotient = (int64_t)c->low, remainder = c->high;

	TRAP_TRY("idivq %2", : "+a"(quotient), "+d"(remainder) : "r"(c->divisor) : "r11", "memory");
	if (c->fault)
		return trap_vector == TRAP_DE;
	if (trap_vector != -1 || !multiplies_back(c, quotient, remainder))
		return false;
	return (!c->quotient && !c->remainder) ||
	       (quotient == c->quotient && remainder == c->remainder);
}

/* Random dividends whose quotient fits: |high| < |divisor| / 2 */
static bool random_right(void)
{
	uint64_t x = 0x9e3779b97f4a7c15ull;

	for (unsigned i = 0; i < 10000; i++) {
		struct idiv_case c = { 0 };
		uint64_t word[3];

		for (unsigned k = 0; k < 3; k++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			word[k] = x;
		}
		c.low = word[0];
		c.divisor = (int64_t)((word[1] >> 2 | 1ull << 62) >> (word[2] & 31));
		if (word[1] & 1)
			c.divisor = -c.divisor;
		c.high = (int64_t)word[2] >> ((word[2] & 31) + 3);
		if (!right(&c)) {
			print("idiv: %lx:%lx / %lx is wrong\n", (uint64_t)c.high, c.low,
			      (uint64_t)c.divisor);
			return false;
		}
	}
	return true;
}

int guest_main(void)
{
	bool ok = true;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool good = right(&cases[i]);

		if (!good)
			print("idiv: case %u is wrong, vector %d\n", i, trap_vector);
		ok &= good;
	}
	check(ok, "idiv", "128/64-bit IDIV: quotients, remainders, divide errors");
	check(random_right(), "idiv-random", "10000 random divisions multiply back");
	return check_status();
}
