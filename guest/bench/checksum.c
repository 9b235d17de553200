/* SPDX-License-Identifier: BSD-2-Clause */
/* See checksum.h. */
#include "guest/bench/checksum.h"

typedef uint64_t word __attribute__((may_alias, aligned(1))); /* at any address */

struct block {
	uint8_t bytes[64];
};

/* A chain of ADC: a fifth of the instructions that C needs to ask for each carry. The sink's work
 * should not cover the switch's. */
static uint64_t add_block(uint64_t sum, const struct block *block)
{
	__asm__("addq (%1), %0\n\t"
		"adcq 8(%1), %0\n\t"
		"adcq 16(%1), %0\n\t"
		"adcq 24(%1), %0\n\t"
		"adcq 32(%1), %0\n\t"
		"adcq 40(%1), %0\n\t"
		"adcq 48(%1), %0\n\t"
		"adcq 56(%1), %0\n\t"
		"adcq $0, %0"
		: "+r"(sum)
		: "r"(block), "m"(*block)
		: "cc");
	return sum;
}

uint64_t checksum_add(uint64_t sum, const void *data, size_t n)
{
	const uint8_t *at = data;
	uint64_t last = 0;

	for (; n >= sizeof(struct block); n -= sizeof(struct block), at += sizeof(struct block))
		sum = add_block(sum, (const struct block *)at);
	for (; n >= 8; n -= 8, at += 8)
		sum = checksum_plus(sum, *(const word *)at);
	for (size_t i = 0; i < n; i++)
		last |= (uint64_t)at[i] << 8 * i;
	return checksum_plus(sum, last);
}

uint64_t checksum_add_at(uint64_t sum, size_t offset, const void *data, size_t n)
{
	uint16_t part;

	if (!(offset & 1))
		return checksum_add(sum, data, n);
	part = checksum_fold(checksum_add(0, data, n)); /* RFC 1071, 2(B): swap the sum */
	return checksum_plus(sum, (uint16_t)(part << 8 | part >> 8));
}

uint16_t checksum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}
