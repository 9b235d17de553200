/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scatter-gather to scatter-gather in one pass, by general registers, or for long pieces by wider
 * ones (copy_wide.h). The last, partial word is copied as a whole one that overlaps the word before it,
 * instead of byte by byte.
 */
#include "vswitch/copy.h"

#include "vswitch/bytes.h"
#include "vswitch/copy_wide.h"
#include "vswitch/csum.h"

static inline void copy_word(uint8_t *to, const uint8_t *from)
{
	store64(to, load64(from));
}

static inline void copy_32(uint8_t *to, const uint8_t *from)
{
	copy_word(to, from);
	copy_word(to + 8, from + 8);
	copy_word(to + 16, from + 16);
	copy_word(to + 24, from + 24);
}

/* Fewer than eight bytes. */
static inline void copy_few(uint8_t *to, const uint8_t *from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		to[i] = from[i];
		__asm__ volatile(""); /* or it becomes a call of memcpy */
	}
}

/* The last words may overlap those before them. */
void copy_block(uint8_t *to, const uint8_t *from, uint32_t n)
{
	const uint8_t *end = from + n;

	if (n >= COPY_WIDE_LEAST && copy_wide(to, from, n))
		return;
	if (n >= 32) {
		for (; n > 64; n -= 64, to += 64, from += 64) {
			copy_32(to, from);
			copy_32(to + 32, from + 32);
		}
		if (n > 32)
			copy_32(to, from);
		copy_32(to + n - 32, end - 32);
	} else if (n >= 16) {
		copy_word(to, from);
		copy_word(to + 8, from + 8);
		copy_word(to + n - 16, end - 16);
		copy_word(to + n - 8, end - 8);
	} else if (n >= 8) {
		copy_word(to, from);
		copy_word(to + n - 8, end - 8);
	} else {
		copy_few(to, from, n);
	}
}

static inline uint32_t least(uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Goes to the next piece if this one is used up; there must be one. */
static inline void cursor_turn(struct cursor *c)
{
	if (c->left == 0)
		*c = cursor_at(c->seg);
}

static inline void cursor_move(struct cursor *c, uint32_t n)
{
	c->ptr += n;
	c->left -= n;
}

void cursor_skip(struct cursor *c, uint32_t bytes)
{
	while (bytes > 0) {
		uint32_t n;

		cursor_turn(c);
		n = c->left < bytes ? c->left : bytes;
		cursor_move(c, n);
		bytes -= n;
	}
}

static inline void run(struct cursor *to, struct cursor *from, uint32_t bytes)
{
	while (bytes > 0) {
		uint32_t n;

		cursor_turn(to);
		cursor_turn(from);
		n = least(from->left, to->left, bytes);
		copy_block(to->ptr, from->ptr, n);
		cursor_move(to, n);
		cursor_move(from, n);
		bytes -= n;
	}
}

void copy_run(struct cursor *to, struct cursor *from, uint32_t bytes)
{
	run(to, from, bytes);
}

uint16_t copy_run_sum(struct cursor *to, struct cursor *from, uint32_t bytes)
{
	uint16_t sum = 0;
	uint32_t done = 0;

	while (done < bytes) {
		uint64_t part = 0;
		uint32_t n;

		cursor_turn(to);
		cursor_turn(from);
		n = least(from->left, to->left, bytes - done);
		csum_copy(to->ptr, from->ptr, n, &part);
		/* RFC 1071, 2 (B): what begins in an odd place is summed with its bytes swapped */
		sum = csum_fold((uint64_t)sum + (done % 2 == 0
							 ? csum_fold(part)
							 : __builtin_bswap16(csum_fold(part))));
		cursor_move(to, n);
		cursor_move(from, n);
		done += n;
	}
	return sum;
}

void copy_packet(const struct seg *dst, const uint8_t *head, uint32_t head_bytes,
		 const struct seg *src, uint32_t bytes)
{
	struct cursor to = cursor_at(dst);
	struct cursor from = { (uint8_t *)(uintptr_t)head, head_bytes, src }; /* only read */

	run(&to, &from, bytes);
}

unsigned copy_gather(uint8_t *out, uint32_t bytes, struct seg *seg)
{
	unsigned whole = 0;

	while (bytes > 0) {
		uint32_t n = seg->len < bytes ? seg->len : bytes;

		copy_block(out, seg->ptr, n);
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
