/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scatter-gather to scatter-gather in one pass. Short pieces (headers, small frames) are copied by
 * overlapping words, since starting up memcpy's string instructions costs more than they do.
 */
#include "vswitch/copy.h"

#include <string.h>

#define SHORT_COPY 128u

static inline void copy_word(uint8_t *to, const uint8_t *from)
{
	uint64_t word;

	memcpy(&word, from, 8);
	memcpy(to, &word, 8);
}

static inline void copy_bytes(uint8_t *to, const uint8_t *from, uint32_t n)
{
	if (n > SHORT_COPY) {
		memcpy(to, from, n);
		return;
	}
	if (n >= 8) {
		for (uint32_t i = 0; i < n - 8; i += 8)
			copy_word(to + i, from + i);
		copy_word(to + n - 8, from + n - 8); /* overlaps what is done */
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		to[i] = from[i];
}

static inline uint32_t least(uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

void copy_packet(const struct seg *dst, const uint8_t *head, uint32_t head_bytes,
		 const struct seg *src, uint32_t bytes)
{
	const uint8_t *from = head;
	uint32_t from_left = head_bytes;
	uint8_t *to = dst->ptr;
	uint32_t to_left = dst->len;

	while (bytes > 0) {
		uint32_t n = least(from_left, to_left, bytes);

		copy_bytes(to, from, n);
		bytes -= n;
		if (bytes == 0)
			return;
		from += n;
		from_left -= n;
		to += n;
		to_left -= n;
		if (from_left == 0) {
			from = src->ptr;
			from_left = src->len;
			src++;
		}
		if (to_left == 0) {
			dst++;
			to = dst->ptr;
			to_left = dst->len;
		}
	}
}

unsigned copy_gather(uint8_t *out, uint32_t bytes, struct seg *seg)
{
	unsigned whole = 0;

	while (bytes > 0) {
		uint32_t n = seg->len < bytes ? seg->len : bytes;

		copy_bytes(out, seg->ptr, n);
		out += n;
		bytes -= n;
		seg->ptr += n;
		seg->len -= n;
		if (seg->len == 0) {
			seg++;
			whole++;
		}
	}
	/* What was read is now decided: nothing of it is read from the guest again. */
	__asm__ volatile("" : : : "memory");
	return whole;
}
