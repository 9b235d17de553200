/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one copy: from a list of pieces to another. Source and target lie in different VMs or are the
 * switch's own; a guest may write into them meanwhile, what it reads then is its own affair.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "vswitch/bytes.h"
#include "vswitch/vq.h"

/* A place in a list of pieces. Whoever moves it knows that the list holds so many bytes. */
struct cursor {
	uint8_t *ptr;
	uint32_t left;	       /* of this piece */
	const struct seg *seg; /* what follows it */
};

static inline struct cursor cursor_at(const struct seg *seg)
{
	return (struct cursor){ seg->ptr, seg->len, seg + 1 };
}

/* [from, from+n) to `to`, which does not overlap it. */
void copy_block(uint8_t *to, const uint8_t *from, uint32_t n);

void cursor_skip(struct cursor *c, uint32_t bytes);

/* Copies so many bytes and moves both. */
void copy_run(struct cursor *to, struct cursor *from, uint32_t bytes);

/* As copy_run(), and returns the Internet checksum's sum of what was copied, the first byte in an
 * even place: see csum.h. */
uint16_t copy_run_sum(struct cursor *to, struct cursor *from, uint32_t bytes);

/* Copies the first `head_bytes` from head, then from src[], into dst[], `bytes` in all. Both lists
 * must hold that many. */
void copy_packet(const struct seg *dst, const uint8_t *head, uint32_t head_bytes,
		 const struct seg *src, uint32_t bytes);

/* Copies the first `bytes` of seg[] into out and removes them from the list: returns the number of
 * whole pieces consumed; the piece after them is cut. The list must hold that many. */
unsigned copy_gather(uint8_t *out, uint32_t bytes, struct seg *seg);
