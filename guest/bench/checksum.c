/* SPDX-License-Identifier: BSD-2-Clause */
/* See checksum.h. */
#include "guest/bench/checksum.h"

typedef uint64_t word __attribute__((may_alias, aligned(1))); /* at any address */

uint64_t checksum_add(uint64_t sum, const void *data, size_t n)
{
	const uint8_t *at = data;
	uint64_t last = 0;

	for (; n >= 32; n -= 32, at += 32) {
		sum = checksum_plus(sum, ((const word *)at)[0]);
		sum = checksum_plus(sum, ((const word *)at)[1]);
		sum = checksum_plus(sum, ((const word *)at)[2]);
		sum = checksum_plus(sum, ((const word *)at)[3]);
	}
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
