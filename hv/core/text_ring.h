/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The last bytes of a text that never ends: the oldest are overwritten. A position is the number of
 * bytes written before it, so that it only grows, and a reader whose position is older than
 * text_ring_oldest() knows how much he missed. No lock: the owner has one.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct text_ring {
	char *text;
	uint32_t bytes; /* a power of two; 0: what is put is forgotten at once */
	uint64_t total; /* ever put */
};

static inline void text_ring_put(struct text_ring *ring, const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes && ring->bytes; i++)
		ring->text[ring->total++ & (ring->bytes - 1)] = text[i];
}

static inline uint64_t text_ring_oldest(const struct text_ring *ring)
{
	return ring->total > ring->bytes ? ring->total - ring->bytes : 0;
}

/* Copies what is there from position `from` on, room bytes at most: how many. from: between the
 * oldest and the total. */
static inline size_t text_ring_copy(const struct text_ring *ring, uint64_t from, char *out,
				    size_t room)
{
	size_t n = 0;

	while (n < room && from < ring->total)
		out[n++] = ring->text[from++ & (ring->bytes - 1)];
	return n;
}

/* Where the last `lines` lines begin that end before position `end`. */
static inline uint64_t text_ring_last(const struct text_ring *ring, uint64_t end, unsigned lines)
{
	uint64_t oldest = text_ring_oldest(ring), from = end;

	while (from > oldest) {
		if (from < end && ring->text[(from - 1) & (ring->bytes - 1)] == '\n' &&
		    --lines == 0)
			break;
		from--;
	}
	return from;
}
