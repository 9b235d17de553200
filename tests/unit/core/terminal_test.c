/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does the screen's terminal show what a terminal shows; does any text, however hostile, leave it
 * inside of its memory? The cells lie in a block of exactly their size, which ASan guards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/core/font.h"
#include "hv/core/terminal.h"

#include <cmocka.h>

enum { ROWS = 4, COLUMNS = 10 };

static struct terminal t;

static int set_up(void **state)
{
	(void)state;
	terminal_init(&t, malloc(sizeof(*t.cells) * ROWS * COLUMNS), ROWS, COLUMNS);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(t.cells);
	return 0;
}

static uint32_t code_of(uint16_t glyph)
{
	for (unsigned i = 0; i < font_code_count; i++)
		if (font_codes[i].glyph == glyph)
			return font_codes[i].code;
	fail_msg("glyph %u is of no character", glyph);
	return 0;
}

/* The rows, with '|' between them and '?' for what is not ASCII; blanks at their ends left out. */
static const char *rows(void)
{
	static char out[ROWS * (COLUMNS + 1) + 1];
	size_t n = 0;

	for (unsigned row = 0; row < ROWS; row++) {
		for (unsigned column = 0; column < COLUMNS; column++) {
			uint32_t code = code_of(t.cells[row * COLUMNS + column].glyph);

			out[n++] = code < 0x80 ? (char)code : '?';
		}
		while (n && out[n - 1] == ' ')
			n--;
		out[n++] = '|';
	}
	while (n && out[n - 1] == '|')
		n--;
	out[n] = '\0';
	return out;
}

static void terminal_shows(void **state)
{
	static const struct {
		const char *written, *rows;
	} cases[] = {
		{ "one\r\ntwo", "one|two" },
		{ "one\ntwo", "one|   two" },
		{ "1\r\n2\r\n3\r\n4\r\n5", "2|3|4|5" },
		{ "abc\b\bX", "aXc" },
		{ "abc\rX", "Xbc" },
		{ "\b\bab", "ab" },
		{ "a\tb", "a       b" },
		{ "a\t\tb", "a        b" },
		{ "0123456789", "0123456789" },
		{ "0123456789\r\nx", "0123456789|x" }, /* no line in between */
		{ "0123456789x", "0123456789|x" },
		{ "0123456789\bx", "01234567x9" },
		{ "> ab\r\x1b[Knew", "new" },
		{ "abcdef\x1b[3D\x1b[K", "abc" },
		{ "abcdef\x1b[3D\x1b[1KX", "   X"
					   "ef" },
		{ "abc\x1b[2K", "" },
		{ "a\r\nb\r\nc\x1b[A\x1b[J", "a|b" },
		{ "a\r\nb\r\nc\x1b[A\x1b[1J", "||c" },
		{ "a\r\nb\x1b[2Jx", "| x" },
		{ "\x1b[2;3HX\x1b[HY", "Y|  X" },
		{ "\x1b[99;99HX\x1b[99A\x1b[99DY", "Y|||         X" },
		{ "\x1b[99999999999999999999CX", "         X" },
		{ "\x1b[2BX\x1b[EY\x1b[FZ", "||Z|Y" },
		{ "\x1b[3GX\x1b[2dY", "  X|   Y" },
		{ "abcd\x1b[3D\x1b[2@X", "aX bcd" },
		{ "abcd\x1b[3D\x1b[2P", "ad" },
		{ "abcd\x1b[3D\x1b[2X", "a  d" },
		{ "abcd\x1b[3D\x1b[999@\x1b[999P\x1b[999X", "a" },
		{ "\x1b"
		  "7abc\x1b"
		  "8X\x1b[sY\x1b[uZ",
		  "XZc" },
		{ "a\x1b"
		  "DX\x1b"
		  "MY\x1b"
		  "EZ",
		  "a Y|ZX" },
		{ "a\x1bMb", " b|a" },
		{ "\x1b(B\x1b[?25l\x1b[?2004hx\x1b[>c\x1b[!p", "x" },
		{ "\x1b]0;title\x07x\x1bP1$q\n\x1b\\y", "xy" },
		{ "\x1b]never ended\x18x", "x" },
		{ "ab\x1b"
		  "cx",
		  "x" },
		{ "\x7f\x01\x02x", "x" },
		{ "\x1b[31", "" },
		{ "\x1b[1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17;18;19;20mx", "x" },
		/* UTF-8: two, three, four bytes; broken off, too long, a surrogate, beyond the end */
		{ "\xc3\xa4x", "?x" },
		{ "\xe2\x94\x82x", "?x" },
		{ "\xf0\x9f\x98\x80x", "?x" },
		{ "\xc3x", "?x" },
		{ "\xe2\x94\r\nx", "?|x" },
		{ "\xc0\xafx", "??x" },
		{ "\xe0\x80\xafx", "?x" },
		{ "\xed\xa0\x80x", "?x" },
		{ "\xf4\x90\x80\x80x", "?x" },
		{ "\x80\xff\xfex", "???x" },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		terminal_init(&t, t.cells, ROWS, COLUMNS);
		terminal_write(&t, cases[i].written, strlen(cases[i].written));
		if (strcmp(rows(), cases[i].rows) != 0)
			fail_msg("case %u: shows \"%s\", wanted \"%s\"", i, rows(), cases[i].rows);
	}
	(void)state;
}

static void characters_that_it_has_are_shown(void **state)
{
	(void)state;
	terminal_write(&t, "\xc3\xa4\xe2\x94\x82\xf0\x9f\x98\x80", 9);
	assert_int_equal(code_of(t.cells[0].glyph), 0xe4);
	assert_int_equal(code_of(t.cells[1].glyph), 0x2502);
	terminal_write(&t, "\xef\xbf\xbd", 3); /* the replacement character */
	assert_int_equal(t.cells[2].glyph, t.cells[3].glyph);
}

static void colours(void **state)
{
	static const struct {
		const char *written;
		unsigned fore, back;
	} cases[] = {
		{ "x", 7, 0 },
		{ "\x1b[31mx", 1, 0 },
		{ "\x1b[1;32;44mx", 10, 4 },
		{ "\x1b[91;102mx", 9, 10 },
		{ "\x1b[7mx", 0, 7 },
		{ "\x1b[7;31;27mx", 1, 0 },
		{ "\x1b[31;39;41;49mx", 7, 0 },
		{ "\x1b[31m\x1b[mx", 7, 0 },
		{ "\x1b[38;5;12mx", 12, 0 },
		{ "\x1b[38;5;200;31mx", 1, 0 },
		{ "\x1b[48;2;1;2;31;33mx", 3, 0 },
		{ "\x1b[38;5mx", 7, 0 },
		{ "\x1b[38mx", 7, 0 },
		{ "\x1b[38;5;999999999mx", 7, 0 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		terminal_init(&t, t.cells, ROWS, COLUMNS);
		terminal_write(&t, cases[i].written, strlen(cases[i].written));
		assert_int_equal(t.cells[0].fore, cases[i].fore);
		assert_int_equal(t.cells[0].back, cases[i].back);
	}
}

/* A guest that has begun a string, a character or a colour hides nothing of the next writer's. */
static void next_writer_is_seen(void **state)
{
	static const char *const before[] = { "\x1b]hide all", "\x1b[30;40m", "\x1b[1;1",
					      "\xe2\x94",      "\x1b",	      "\x1b[8;7m" };

	(void)state;
	for (unsigned i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
		terminal_init(&t, t.cells, ROWS, COLUMNS);
		terminal_write(&t, before[i], strlen(before[i]));
		terminal_plain(&t);
		terminal_write(&t, "seen", 4);
		assert_string_equal(rows(), "seen");
		assert_int_equal(t.cells[0].fore, 7);
	}
}

/* Bytes that are likely to begin sequences, and all others. */
static void nothing_leads_outside(void **state)
{
	static const char likely[] =
		"\x1b\x1b\x1b[[[0123456789;;:?ABCDEFGHJKMPX@mdsufr78Dc]\\\r\n\b\t\xe2\x94\xf0";

	(void)state;
	srand(1);
	for (unsigned round = 0; round < 200000; round++) {
		char c = rand() % 4 ? likely[(size_t)rand() % (sizeof(likely) - 1)] : (char)rand();

		terminal_write(&t, &c, 1);
		assert_true(t.row < ROWS && t.column < COLUMNS);
		assert_true(t.saved_row < ROWS && t.saved_column < COLUMNS);
	}
	for (unsigned i = 0; i < ROWS * COLUMNS; i++)
		assert_true(t.cells[i].glyph < font_glyph_count && t.cells[i].fore < 16 &&
			    t.cells[i].back < 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(terminal_shows, set_up, tear_down),
		cmocka_unit_test_setup_teardown(characters_that_it_has_are_shown, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(colours, set_up, tear_down),
		cmocka_unit_test_setup_teardown(next_writer_is_seen, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nothing_leads_outside, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
