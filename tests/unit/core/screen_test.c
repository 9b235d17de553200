/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Are glyphs drawn as the font has them, in every pixel format and size, and nowhere else; is what
 * firmware tells believed only if it can be true; does the screen come to show what the terminal has,
 * in pieces? The framebuffer is a block of exactly its size, which ASan guards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/core/font.h"
#include "hv/core/framebuffer.h"
#include "hv/core/log.h"
#include "hv/core/log_impl.h"
#include "hv/core/paging.h"
#include "hv/core/pmm.h"
#include "hv/core/screen.h"

#include <cmocka.h>

static const struct handover_fb good = { .addr = 0x80000000,
					 .bytes = 8 << 20,
					 .width = 1280,
					 .height = 800,
					 .stride_px = 1280,
					 .red = 0xff0000,
					 .green = 0xff00,
					 .blue = 0xff,
					 .unused = 0xff000000 };
static uint8_t *pixels;
static void *kept[16]; /* a screen is never given back */
static unsigned keeps;
static bool foreign = true;
static char logged[256];

void *map_framebuffer(uint64_t hpa, size_t bytes)
{
	(void)hpa;
	pixels = kept[keeps++] = malloc(bytes);
	memset(pixels, 0x55, bytes);
	return pixels;
}

bool is_foreign(uint64_t hpa, uint64_t bytes)
{
	(void)hpa;
	(void)bytes;
	return foreign;
}

void *page_alloc(size_t bytes)
{
	return kept[keeps++] = calloc(1, bytes);
}

struct spinlock log_lock;

bool log_lock_take(struct spinlock *lock)
{
	spin_lock(lock);
	return true;
}

size_t log_last(unsigned lines, char *out, size_t room)
{
	(void)lines;
	return (size_t)snprintf(out, room, "before\n");
}

void log_printf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(logged, sizeof(logged), fmt, ap);
	va_end(ap);
}

static uint32_t pixel(const struct framebuffer *f, unsigned x, unsigned y)
{
	uint32_t value = 0;

	memcpy(&value,
	       (const uint8_t *)f->memory + (size_t)y * f->stride + (size_t)x * f->pixel_bytes,
	       f->pixel_bytes);
	return value;
}

/* Every dot of every pixel of a glyph that is drawn on the last place of the grid. */
static void drawn_as_in_the_font(const struct handover_fb *told, uint32_t white, unsigned scale)
{
	struct framebuffer f;
	unsigned glyph = font_glyph_count / 3, row, column;

	assert_null(framebuffer_init(&f, told));
	assert_int_equal(f.scale, scale);
	f.memory = malloc(framebuffer_bytes(&f));
	framebuffer_clear(&f);
	row = f.rows - 1;
	column = f.columns - 1;
	framebuffer_draw(&f, row, column, glyph, 15, 0);
	for (unsigned y = 0; y < f.height; y++)
		for (unsigned x = 0; x < f.width; x++) {
			unsigned gx = x / scale - column * FONT_WIDTH;
			unsigned gy = y / scale - row * FONT_HEIGHT;
			bool inside = gx < FONT_WIDTH && gy < FONT_HEIGHT;
			bool set = inside && font_glyphs[glyph][gy] & 0x80 >> gx;

			if (pixel(&f, x, y) != (set ? white : 0))
				fail_msg("pixel %u, %u is %08x", x, y, pixel(&f, x, y));
		}
	free((void *)f.memory);
}

static void glyphs_in_every_format(void **state)
{
	struct handover_fb fb = good;

	(void)state;
	drawn_as_in_the_font(&fb, 0xffffff, 1);
	fb.stride_px = 1301;
	fb.width = 1283;
	fb.height = 807;
	drawn_as_in_the_font(&fb, 0xffffff, 1);
	fb.red = 0xff;
	fb.blue = 0xff0000;
	fb.unused = 0; /* 24 bits */
	drawn_as_in_the_font(&fb, 0xffffff, 1);
	fb.red = 0xf800;
	fb.green = 0x07e0;
	fb.blue = 0x001f;
	drawn_as_in_the_font(&fb, 0xffff, 1);
	fb.red = 0x3ff00000;
	fb.green = 0x000ffc00;
	fb.blue = 0x000003ff;
	fb.unused = 0xc0000000;
	drawn_as_in_the_font(&fb, 0xff << 2 << 20 | 0xff << 2 << 10 | 0xff << 2, 1);
	fb = good;
	fb.bytes = 64 << 20;
	fb.width = fb.stride_px = 3840;
	fb.height = 2160;
	drawn_as_in_the_font(&fb, 0xffffff, 2);
}

static void lies_are_refused(void **state)
{
	static const struct {
		size_t field; /* offset in struct handover_fb */
		unsigned bytes;
		uint64_t value;
	} lies[] = {
#define LIE(member, value) { offsetof(struct handover_fb, member), sizeof(good.member), value }
		LIE(addr, 0),
		LIE(addr, ~0ull - 4096),
		LIE(bytes, 1280 * 800 * 4 - 1),
		LIE(width, 0),
		LIE(width, 15),
		LIE(width, 1281),
		LIE(width, ~0u),
		LIE(height, 0),
		LIE(height, 31),
		LIE(height, ~0u),
		LIE(stride_px, 0),
		LIE(stride_px, ~0u),
		LIE(stride_px, 1u << 30),
		LIE(red, 0),
		LIE(green, 0xff0000),
		LIE(blue, 0xff00),
		LIE(blue, 0xf0f),
	};
	struct framebuffer f;

	(void)state;
	for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct handover_fb fb = good;

		memcpy((char *)&fb + lies[i].field, &lies[i].value, lies[i].bytes);
		if (!framebuffer_init(&f, &fb))
			fail_msg("lie %u is believed", i);
	}
	foreign = false;
	screen_init(&(struct handover){ .fb = good });
	assert_string_equal(logged,
			    "screen: none: the firmware has it in memory that it has given to us");
	assert_false(screen_present());
	screen_write("nobody sees it", 14);
	assert_false(screen_draw());
	foreign = true;
}

static bool is_blank(unsigned row)
{
	for (size_t i = 0; i < (size_t)FONT_HEIGHT * 1280 * 4; i++)
		if (pixels[(size_t)row * FONT_HEIGHT * 1280 * 4 + i])
			return false;
	return true;
}

static void drawn_in_pieces_and_once(void **state)
{
	unsigned pieces = 1;

	(void)state;
	screen_init(&(struct handover){ .fb = good });
	assert_string_equal(logged,
			    "screen: 1280 x 800 pixels of 32 bits, 50 rows of 160 characters");
	assert_true(screen_present() && screen_behind());
	assert_true(is_blank(0));
	while (screen_draw())
		pieces++;
	assert_true(pieces > 100); /* all cells, at first */
	assert_false(is_blank(0));
	assert_false(is_blank(1)); /* the cursor */
	assert_false(screen_behind());
	memset(pixels, 0, 1280 * 800 * 4);
	screen_write_text("x\n", 2);
	assert_true(screen_behind());
	assert_false(screen_draw()); /* few cells: one piece */
	assert_true(is_blank(0) && !is_blank(1) && !is_blank(2) && is_blank(3));
	/* what has scrolled away meanwhile is not drawn */
	for (unsigned i = 0; i < 1000; i++)
		screen_write_text("y\n", 2);
	for (pieces = 1; screen_draw(); pieces++)
		;
	assert_true(pieces < 5);
}

static void panics_are_drawn_until_drawing_fails(void **state)
{
	(void)state;
	screen_init(&(struct handover){ .fb = good });
	screen_panic();
	assert_true(screen_present());
	screen_panic();
	assert_false(screen_present());
	assert_false(screen_draw());
}

static void a_vm_gets_the_device(void **state)
{
	(void)state;
	screen_release(0x7ff00000, 0x100000);
	assert_true(screen_present());
	screen_release(0x80000000 + 1280 * 800 * 4, 4096);
	assert_true(screen_present());
	screen_write("x", 1);
	screen_release(0x80000000, 16 << 20);
	assert_false(screen_present());
	memset(pixels, 0, 1280 * 800 * 4);
	screen_write("yes", 3);
	screen_draw_all();
	assert_true(is_blank(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(glyphs_in_every_format),
		cmocka_unit_test(lies_are_refused),
		cmocka_unit_test(drawn_in_pieces_and_once),
		cmocka_unit_test(a_vm_gets_the_device),
		cmocka_unit_test(panics_are_drawn_until_drawing_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
