/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A linear framebuffer of any size and pixel format, on which glyphs are drawn in a grid. It is only
 * written, never read: that would take a thousand times as long. Glyphs are as many times as large as
 * the height has 1080 lines, rounded: twice on a 4K screen.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/core/handover.h"

enum {
	FRAMEBUFFER_COLOURS = 16,
	FRAMEBUFFER_MOST_SIDE = 16384, /* pixels */
	FRAMEBUFFER_MOST_SCALE = 8,
};

struct framebuffer {
	volatile uint8_t *memory;
	unsigned stride, pixel_bytes; /* stride: bytes */
	unsigned width, height;	      /* pixels */
	unsigned scale;
	unsigned rows, columns; /* of glyphs */
	uint32_t colours[FRAMEBUFFER_COLOURS];
};

/* What is wrong with firmware's values; NULL: nothing, and *f is filled but for its memory. */
const char *framebuffer_init(struct framebuffer *f, const struct handover_fb *told);

/* Where it ends: what is written lies within that many bytes. */
uint64_t framebuffer_bytes(const struct framebuffer *f);

/* Black all over. */
void framebuffer_clear(const struct framebuffer *f);

/* A glyph of the font in its place; colours as a terminal's. All are within their bounds. */
void framebuffer_draw(const struct framebuffer *f, unsigned row, unsigned column, unsigned glyph,
		      unsigned fore, unsigned back);

/* Bytes that a glyph takes. */
unsigned framebuffer_glyph_bytes(const struct framebuffer *f);
