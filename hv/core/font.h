/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The screen's font, 8 by 16 dots: the Debian package's, turned to C at build time by
 * scripts/gen_font.py. It has a glyph for all of ASCII that prints, and for U+FFFD.
 */
#pragma once

#include <stdint.h>

enum { FONT_WIDTH = 8, FONT_HEIGHT = 16 };

struct font_code { /* in ascending order of code */
	uint16_t code, glyph;
};

/* Rows from above; the leftmost dot is the highest bit. */
extern const unsigned char font_glyphs[][FONT_HEIGHT];
extern const unsigned font_glyph_count;
extern const struct font_code font_codes[];
extern const unsigned font_code_count;
