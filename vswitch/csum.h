/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Internet checksum (RFC 1071): a 16-bit one's complement sum of words in the byte order they
 * have in memory, which comes out in that order as well. Sums are kept in 64 bits and folded late.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "vswitch/bytes.h"

/* End-around carry: a sum of two sums. */
static inline uint64_t csum_add(uint64_t a, uint64_t b)
{
	a += b;
	return a + (a < b);
}

static inline uint16_t csum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* The sum of a length, or another 16-bit word that stands in network byte order. */
static inline uint16_t csum_be16(uint16_t word)
{
	return __builtin_bswap16(word);
}

/* What goes into the packet for this sum of all words. Never 0, which says "none" in UDP, and
 * equals it elsewhere. */
static inline uint16_t csum_finish(uint16_t sum)
{
	return sum == 0xffff ? sum : (uint16_t)~sum;
}

/* Copies n bytes and adds their sum to *sum, the first in an even place. */
void csum_copy(uint8_t *to, const uint8_t *from, size_t n, uint64_t *sum);

/* Sum of n bytes, the first in an even place. */
uint16_t csum_bytes(const uint8_t *p, size_t n);
