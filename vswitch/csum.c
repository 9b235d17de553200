/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RFC 1071, eight bytes at a time: 2^16 is 1 modulo 2^16-1, and so is 2^64, so 64-bit words with an
 * end-around carry add up to the same. Bytes that are summed while they are copied are loaded once:
 * sum and copy agree even if the sender writes meanwhile.
 */
#include "vswitch/csum.h"

/* sum + the four words, with all carries. The assembly also keeps the compiler from loading a word
 * again. */
static inline uint64_t add4(uint64_t sum, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	__asm__("addq %1, %0\n\tadcq %2, %0\n\tadcq %3, %0\n\tadcq %4, %0\n\tadcq $0, %0"
		: "+r"(sum)
		: "r"(a), "r"(b), "r"(c), "r"(d)
		: "cc");
	return sum;
}

static inline uint64_t add1(uint64_t sum, uint64_t a)
{
	__asm__("addq %1, %0\n\tadcq $0, %0" : "+r"(sum) : "r"(a) : "cc");
	return sum;
}

/* Up to seven bytes as a word, padded with zeroes. */
static inline uint64_t load_tail(const uint8_t *p, size_t n)
{
	uint64_t word = 0;

	for (size_t i = 0; i < n; i++)
		word |= (uint64_t)p[i] << (8 * i);
	return word;
}

void csum_copy(uint8_t *to, const uint8_t *from, size_t n, uint64_t *sum)
{
	uint64_t s = *sum;

	for (; n >= 32; n -= 32, to += 32, from += 32) {
		uint64_t a = load64(from), b = load64(from + 8);
		uint64_t c = load64(from + 16), d = load64(from + 24);

		s = add4(s, a, b, c, d);
		store64(to, a);
		store64(to + 8, b);
		store64(to + 16, c);
		store64(to + 24, d);
	}
	for (; n >= 8; n -= 8, to += 8, from += 8) {
		uint64_t a = load64(from);

		s = add1(s, a);
		store64(to, a);
	}
	if (n > 0) {
		uint64_t tail = load_tail(from, n);

		s = add1(s, tail);
		for (; n > 0; n--, tail >>= 8)
			*to++ = (uint8_t)tail;
	}
	*sum = s;
}

uint16_t csum_bytes(const uint8_t *p, size_t n)
{
	uint64_t s = 0;

	for (; n >= 8; n -= 8, p += 8)
		s = add1(s, load64(p));
	return csum_fold(add1(s, load_tail(p, n)));
}
