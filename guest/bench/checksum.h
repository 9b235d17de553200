/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Internet checksum (RFC 1071), 64 bits at a time. Sums are of memory as it lies: the folded
 * result is stored as it is, without swapping bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

static inline uint64_t checksum_plus(uint64_t a, uint64_t b)
{
	a += b;
	return a + (a < b); /* end-around carry */
}

/* Adds n bytes; an odd last one counts as if a zero followed. */
uint64_t checksum_add(uint64_t sum, const void *data, size_t n);

/* As the words of a packet that this piece of it lies in, at an offset that may be odd. */
uint64_t checksum_add_at(uint64_t sum, size_t offset, const void *data, size_t n);

/* To 16 bits, not inverted: 0xffff means that a packet including its checksum is right. */
uint16_t checksum_fold(uint64_t sum);
