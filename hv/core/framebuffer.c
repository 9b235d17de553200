/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A glyph's row of dots is put together in memory of ours and goes out in words of 64 bits: eight
 * dots are a multiple of that in every format, and write-combining likes nothing better.
 */
#include "hv/core/framebuffer.h"

#include <stddef.h>
#include <string.h>

#include "hv/core/font.h"

#define LINES_A_SCALE 1080u
#define MOST_PIXEL    sizeof(struct pixel)
#define WORD	      8u

/* The framebuffer may have any alignment. */
struct word {
	uint64_t v;
} __attribute__((packed, may_alias));
struct pixel {
	uint32_t v;
} __attribute__((packed, may_alias));

/* ECMA-48's colours, and the bright ones, in the tones of a VGA. */
static const uint32_t tones[FRAMEBUFFER_COLOURS] = {
	0x000000, 0xaa0000, 0x00aa00, 0xaa5500, 0x0000aa, 0xaa00aa, 0x00aaaa, 0xaaaaaa,
	0x555555, 0xff5555, 0x55ff55, 0xffff55, 0x5555ff, 0xff55ff, 0x55ffff, 0xffffff,
};

/* Bits next to each other, and at least one. */
static bool is_field(uint32_t mask)
{
	uint32_t low = mask & -mask;

	return mask && ((mask + low) & mask) == 0;
}

/* A tone of 8 bits in the bits of the mask, whose highest counts most. */
static uint32_t in_field(uint32_t mask, uint32_t tone)
{
	unsigned shift = (unsigned)__builtin_ctz(mask);
	unsigned bits = 32 - (unsigned)__builtin_clz(mask) - shift;
	uint32_t scaled = bits >= 8 ? tone << (bits - 8) : tone >> (8 - bits);

	return scaled << shift & mask;
}

static bool formats(const struct handover_fb *told)
{
	return is_field(told->red) && is_field(told->green) && is_field(told->blue) &&
	       !(told->red & told->green) && !((told->red | told->green) & told->blue);
}

static unsigned pixel_bytes(const struct handover_fb *told)
{
	uint32_t all = told->red | told->green | told->blue | told->unused;

	return (32 - (unsigned)__builtin_clz(all) + 7) / 8;
}

static unsigned scale_of(unsigned height)
{
	unsigned scale = (height + LINES_A_SCALE / 2) / LINES_A_SCALE;

	return scale == 0 ? 1 : scale > FRAMEBUFFER_MOST_SCALE ? FRAMEBUFFER_MOST_SCALE : scale;
}

uint64_t framebuffer_bytes(const struct framebuffer *f)
{
	return (uint64_t)f->stride * f->height;
}

const char *framebuffer_init(struct framebuffer *f, const struct handover_fb *told)
{
	memset(f, 0, sizeof(*f));
	if (!told->addr)
		return "the firmware has none that can be written to";
	if (!told->width || !told->height || told->width > FRAMEBUFFER_MOST_SIDE ||
	    told->height > FRAMEBUFFER_MOST_SIDE || told->stride_px < told->width ||
	    told->stride_px > 4 * FRAMEBUFFER_MOST_SIDE)
		return "the firmware tells an absurd size";
	if (!formats(told))
		return "the firmware tells an absurd pixel format";
	f->width = told->width;
	f->height = told->height;
	f->pixel_bytes = pixel_bytes(told);
	if (f->pixel_bytes < 2)
		return "its pixels have less than 16 bits";
	f->stride = told->stride_px * f->pixel_bytes;
	if (framebuffer_bytes(f) > told->bytes || told->addr + told->bytes < told->addr)
		return "the firmware tells more pixels than its memory holds";
	f->scale = scale_of(f->height);
	f->columns = f->width / (FONT_WIDTH * f->scale);
	f->rows = f->height / (FONT_HEIGHT * f->scale);
	if (f->columns < 2 || f->rows < 2)
		return "it is too small for text";
	for (unsigned i = 0; i < FRAMEBUFFER_COLOURS; i++)
		f->colours[i] = in_field(told->red, tones[i] >> 16) |
				in_field(told->green, tones[i] >> 8 & 0xff) |
				in_field(told->blue, tones[i] & 0xff);
	return NULL;
}

void framebuffer_clear(const struct framebuffer *f)
{
	unsigned line = f->width * f->pixel_bytes, i;

	for (unsigned y = 0; y < f->height; y++) {
		volatile uint8_t *at = f->memory + (size_t)y * f->stride;

		for (i = 0; i + WORD <= line; i += WORD)
			((volatile struct word *)(at + i))->v = 0;
		for (; i < line; i++)
			at[i] = 0;
	}
}

/* One row of a glyph's dots, each `scale` pixels wide. Returns its bytes. */
static unsigned make_line(const struct framebuffer *f, unsigned char dots, uint32_t fore,
			  uint32_t back, uint8_t *out)
{
	unsigned n = 0;

	for (unsigned bit = 0x80; bit; bit >>= 1)
		for (unsigned i = 0; i < f->scale; i++, n += f->pixel_bytes)
			/* the next one covers what is too much of it */
			((struct pixel *)(out + n))->v = dots & bit ? fore : back;
	return n;
}

void framebuffer_draw(const struct framebuffer *f, unsigned row, unsigned column, unsigned glyph,
		      unsigned fore, unsigned back)
{
	uint8_t line[FONT_WIDTH * FRAMEBUFFER_MOST_SCALE * MOST_PIXEL + MOST_PIXEL];
	size_t y = (size_t)row * FONT_HEIGHT * f->scale;
	size_t x = (size_t)column * FONT_WIDTH * f->scale * f->pixel_bytes;
	volatile uint8_t *at = f->memory + y * f->stride + x;

	for (unsigned i = 0; i < FONT_HEIGHT; i++) {
		unsigned bytes = make_line(f, font_glyphs[glyph][i], f->colours[fore],
					   f->colours[back], line);

		for (unsigned n = 0; n < f->scale; n++, at += f->stride)
			for (unsigned k = 0; k < bytes; k += WORD)
				((volatile struct word *)(at + k))->v =
					((const struct word *)(line + k))->v;
	}
}

unsigned framebuffer_glyph_bytes(const struct framebuffer *f)
{
	return FONT_WIDTH * FONT_HEIGHT * f->scale * f->scale * f->pixel_bytes;
}
