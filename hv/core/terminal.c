/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A parser with few states (the VT500 parser of Paul Williams, without what is skipped here) in front
 * of an array of cells. The cursor is kept inside by every move, so no text leads outside.
 */
#include "hv/core/terminal.h"

#include <string.h>

#include "hv/core/font.h"

#define REPLACEMENT    0xfffdu
#define TAB	       8u
#define MOST_PARAMETER 9999u
#define WHITE	       7u
#define BLACK	       0u
#define BRIGHT	       8u

enum parser_state {
	TEXT,
	ESCAPE,	    /* behind ESC */
	CHARSET,    /* behind ESC and an intermediate byte: one more */
	SEQUENCE,   /* behind ESC [ */
	STRING,	    /* OSC, DCS and the like: up to BEL or ESC \ */
	STRING_END, /* ESC in one */
};

/* Binary search; the replacement character for what the font lacks. */
static uint16_t glyph_of(uint32_t code)
{
	unsigned low = 0, high = font_code_count;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (font_codes[middle].code < code)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < font_code_count && font_codes[low].code == code)
		return font_codes[low].glyph;
	return code == REPLACEMENT ? 0 : glyph_of(REPLACEMENT);
}

static struct terminal_cell blank(const struct terminal *t)
{
	return (struct terminal_cell){ glyph_of(' '), WHITE, t->back };
}

static struct terminal_cell *row_at(const struct terminal *t, unsigned row)
{
	return t->cells + (size_t)row * t->columns;
}

/* Columns [from, to) of a row. */
static void erase(struct terminal *t, unsigned row, unsigned from, unsigned to)
{
	const struct terminal_cell empty = blank(t); /* once: programs clear much, and often */
	struct terminal_cell *cells = row_at(t, row);

	for (unsigned i = from; i < to; i++)
		cells[i] = empty;
}

static void erase_rows(struct terminal *t, unsigned from, unsigned to)
{
	for (unsigned row = from; row < to; row++)
		erase(t, row, 0, t->columns);
}

/* Erase in Page and in Line: 0 from the cursor on, 1 up to it, 2 all. */
static void erase_line(struct terminal *t, unsigned what)
{
	erase(t, t->row, what == 0 ? t->column : 0, what == 1 ? t->column + 1 : t->columns);
}

static void erase_page(struct terminal *t, unsigned what)
{
	if (what == 0)
		erase_rows(t, t->row + 1, t->rows);
	else
		erase_rows(t, 0, what == 1 ? t->row : t->rows);
	if (what < 2)
		erase_line(t, what);
}

/* All parameters are at most MOST_PARAMETER. */
static void move_to(struct terminal *t, int row, int column)
{
	int last_row = (int)t->rows - 1, last_column = (int)t->columns - 1;

	t->row = row < 0 ? 0 : (unsigned)(row > last_row ? last_row : row);
	t->column = column < 0 ? 0 : (unsigned)(column > last_column ? last_column : column);
	t->full = false;
}

static void move_by(struct terminal *t, int rows, int columns)
{
	move_to(t, (int)t->row + rows, (int)t->column + columns);
}

static void line_feed(struct terminal *t)
{
	t->full = false;
	if (t->row + 1 < t->rows) {
		t->row++;
		return;
	}
	memmove(t->cells, row_at(t, 1), sizeof(*t->cells) * t->columns * (t->rows - 1));
	erase_rows(t, t->rows - 1, t->rows);
}

static void reverse_line_feed(struct terminal *t)
{
	t->full = false;
	if (t->row > 0) {
		t->row--;
		return;
	}
	memmove(row_at(t, 1), t->cells, sizeof(*t->cells) * t->columns * (t->rows - 1));
	erase_rows(t, 0, 1);
}

static void put(struct terminal *t, uint32_t code)
{
	uint8_t fore = t->bright ? t->fore | BRIGHT : t->fore;
	struct terminal_cell cell = { glyph_of(code), fore, t->back };

	if (t->inverse) {
		cell.fore = t->back;
		cell.back = fore;
	}
	if (t->full) {
		t->column = 0;
		line_feed(t);
	}
	row_at(t, t->row)[t->column] = cell;
	if (t->column + 1 < t->columns)
		t->column++;
	else
		t->full = true;
}

/* The rest of the row moves right, or left, by `count`. */
static void shift(struct terminal *t, unsigned count, bool right)
{
	struct terminal_cell *at = row_at(t, t->row) + t->column;
	unsigned rest = t->columns - t->column;

	if (count > rest)
		count = rest;
	if (right) {
		memmove(at + count, at, sizeof(*at) * (rest - count));
		erase(t, t->row, t->column, t->column + count);
	} else {
		memmove(at, at + count, sizeof(*at) * (rest - count));
		erase(t, t->row, t->columns - count, t->columns);
	}
}

static void plain(struct terminal *t)
{
	t->fore = WHITE;
	t->back = BLACK;
	t->bright = t->inverse = false;
}

/* 38 and 48: a colour by number, of which we have 16, or by value; how many parameters it takes. */
static unsigned wide_colour(const struct terminal *t, unsigned at, uint8_t *colour)
{
	unsigned kind = at + 1 <= t->parameter ? t->parameters[at + 1] : 0;

	if (kind == 5 && at + 2 <= t->parameter && t->parameters[at + 2] < 16)
		*colour = (uint8_t)t->parameters[at + 2];
	return kind == 5 ? 3 : kind == 2 ? 5 : 1;
}

/* Select Graphic Rendition */
static void rendition(struct terminal *t)
{
	for (unsigned i = 0, used; i <= t->parameter; i += used) {
		unsigned p = t->parameters[i];

		used = 1;
		if (p == 0)
			plain(t);
		else if (p == 1 || p == 22)
			t->bright = p == 1;
		else if (p == 7 || p == 27)
			t->inverse = p == 7;
		else if (p >= 30 && p <= 37)
			t->fore = (uint8_t)(p - 30);
		else if (p >= 40 && p <= 47)
			t->back = (uint8_t)(p - 40);
		else if (p >= 90 && p <= 97)
			t->fore = (uint8_t)(p - 90 + BRIGHT);
		else if (p >= 100 && p <= 107)
			t->back = (uint8_t)(p - 100 + BRIGHT);
		else if (p == 38)
			used = wide_colour(t, i, &t->fore);
		else if (p == 48)
			used = wide_colour(t, i, &t->back);
		else if (p == 39)
			t->fore = WHITE;
		else if (p == 49)
			t->back = BLACK;
	}
}

static void save(struct terminal *t)
{
	t->saved_row = t->row;
	t->saved_column = t->column;
}

static void restore(struct terminal *t)
{
	move_to(t, (int)t->saved_row, (int)t->saved_column);
}

/* The sequence's last byte. Most parameters count from 1, and 0 or none is 1. */
static void sequence(struct terminal *t, char final)
{
	unsigned first = t->parameters[0], second = t->parameters[1];
	int count = first ? (int)first : 1;

	switch (final) {
	case 'A':
		move_by(t, -count, 0);
		break;
	case 'B':
		move_by(t, count, 0);
		break;
	case 'C':
		move_by(t, 0, count);
		break;
	case 'D':
		move_by(t, 0, -count);
		break;
	case 'E':
		move_to(t, (int)t->row + count, 0);
		break;
	case 'F':
		move_to(t, (int)t->row - count, 0);
		break;
	case 'G':
		move_to(t, (int)t->row, count - 1);
		break;
	case 'd':
		move_to(t, count - 1, (int)t->column);
		break;
	case 'H':
	case 'f':
		move_to(t, count - 1, second ? (int)second - 1 : 0);
		break;
	case 'J':
		erase_page(t, first);
		break;
	case 'K':
		erase_line(t, first);
		break;
	case '@':
	case 'P':
		shift(t, (unsigned)count, final == '@');
		break;
	case 'X':
		erase(t, t->row, t->column,
		      (unsigned)count < t->columns - t->column ? t->column + (unsigned)count
							       : t->columns);
		break;
	case 'm':
		rendition(t);
		break;
	case 's':
		save(t);
		break;
	case 'u':
		restore(t);
		break;
	default:
		break;
	}
}

static void begin_sequence(struct terminal *t)
{
	memset(t->parameters, 0, sizeof(t->parameters));
	t->parameter = 0;
	t->is_private = false;
	t->state = SEQUENCE;
}

static void in_sequence(struct terminal *t, char c)
{
	unsigned *p = &t->parameters[t->parameter];

	if (c >= '0' && c <= '9') {
		*p = *p * 10 + (unsigned)(c - '0');
		if (*p > MOST_PARAMETER)
			*p = MOST_PARAMETER;
	} else if (c == ';' || c == ':') {
		if (t->parameter + 1 < TERMINAL_PARAMETERS)
			t->parameter++;
		else
			*p = 0; /* too many: the last counts for the rest */
	} else if (c >= '@' && c <= '~') {
		t->state = TEXT;
		if (!t->is_private)
			sequence(t, c);
	} else {
		t->is_private = true;
	}
}

/* Behind ESC. */
static void escape(struct terminal *t, char c)
{
	t->state = TEXT;
	if (c == '[')
		begin_sequence(t);
	else if (c == ']' || c == 'P' || c == 'X' || c == '^' || c == '_')
		t->state = STRING;
	else if (c >= ' ' && c <= '/')
		t->state = CHARSET;
	else if (c == '7')
		save(t);
	else if (c == '8')
		restore(t);
	else if (c == 'D')
		line_feed(t);
	else if (c == 'M')
		reverse_line_feed(t);
	else if (c == 'E') {
		t->column = 0;
		line_feed(t);
	} else if (c == 'c')
		terminal_init(t, t->cells, t->rows, t->columns);
}

/* Those below 0x20, which count inside of a sequence too. */
static void control(struct terminal *t, char c)
{
	if (c == '\x1b')
		t->state = t->state == STRING ? STRING_END : ESCAPE;
	else if (c == '\x18' || c == '\x1a' || (c == '\a' && t->state == STRING))
		t->state = TEXT;
	else if (t->state == STRING)
		return;
	else if (c == '\n' || c == '\v' || c == '\f')
		line_feed(t);
	else if (c == '\r')
		move_to(t, (int)t->row, 0);
	else if (c == '\b')
		move_by(t, 0, -1);
	else if (c == '\t')
		move_to(t, (int)t->row, (int)((t->column / TAB + 1) * TAB));
}

/* The first byte of a character of several (Unicode Standard, table "Well-Formed UTF-8 Byte
 * Sequences"). */
static void begin_character(struct terminal *t, uint8_t c)
{
	static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };

	t->more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
	t->code = c & (0x3fu >> t->more);
	t->least = least[t->more];
	if (c < 0xc2 || c > 0xf4) {
		t->more = 0;
		put(t, REPLACEMENT);
	}
}

static void in_character(struct terminal *t, uint8_t c)
{
	t->code = t->code << 6 | (c & 0x3f);
	if (--t->more)
		return;
	if (t->code < t->least || t->code > 0x10ffff || (t->code >> 11) == 0x1b)
		put(t, REPLACEMENT);
	else if (t->code >= 0xa0) /* C1 controls have no place here */
		put(t, t->code);
}

static void text(struct terminal *t, uint8_t c)
{
	bool goes_on = (c & 0xc0) == 0x80;

	if (t->more && goes_on) {
		in_character(t, c);
		return;
	}
	if (t->more) { /* it breaks off */
		t->more = 0;
		put(t, REPLACEMENT);
	}
	if (c >= 0x80)
		begin_character(t, c);
	else if (c != 0x7f)
		put(t, c);
}

static void take(struct terminal *t, char c)
{
	if ((uint8_t)c < ' ') {
		if (t->more) {
			t->more = 0;
			put(t, REPLACEMENT);
		}
		control(t, c);
		return;
	}
	switch (t->state) {
	case TEXT:
		text(t, (uint8_t)c);
		break;
	case ESCAPE:
		escape(t, c);
		break;
	case SEQUENCE:
		in_sequence(t, c);
		break;
	case STRING:
		break;
	case STRING_END:
		t->state = c == '\\' ? TEXT : STRING;
		break;
	default: /* CHARSET */
		t->state = TEXT;
		break;
	}
}

void terminal_init(struct terminal *t, struct terminal_cell *cells, unsigned rows, unsigned columns)
{
	memset(t, 0, sizeof(*t));
	t->cells = cells;
	t->rows = rows;
	t->columns = columns;
	plain(t);
	erase_rows(t, 0, rows);
}

void terminal_plain(struct terminal *t)
{
	plain(t);
	t->state = TEXT;
	t->more = 0;
}

void terminal_write(struct terminal *t, const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		take(t, bytes[i]);
}
