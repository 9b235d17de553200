/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A terminal's memory: what its rows of characters are after all that was written to it. UTF-8, and
 * of ECMA-48 and the DEC VT100 what our console, Linux and the usual programs send: cursor, erasing,
 * inserting and deleting of characters, colours. What it does not know it skips. The writer may be a
 * guest: every text is safe, and takes time by its length.
 *
 * No lock: the owner has one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct terminal_cell {
	uint16_t glyph;	    /* of the font */
	uint8_t fore, back; /* colours, 0 to 15: ECMA-48's eight, then the bright ones */
};

enum { TERMINAL_PARAMETERS = 16 };

struct terminal {
	struct terminal_cell *cells; /* rows x columns */
	unsigned rows, columns;
	unsigned row, column; /* of the cursor */
	unsigned saved_row, saved_column;
	bool full; /* the last column was written: the next character begins a line */
	bool bright, inverse;
	uint8_t fore, back;
	uint8_t state; /* enum parser_state, terminal.c */
	uint8_t more;  /* bytes that the character in `code` still wants */
	uint32_t code,
		least; /* of UTF-8: so far, and what a character of this length has at least */
	unsigned parameters[TERMINAL_PARAMETERS];
	unsigned parameter; /* the one that is read */
	bool is_private;    /* a sequence with one of <=>? or an intermediate byte */
};

/* cells: rows x columns of them, cleared here. */
void terminal_init(struct terminal *t, struct terminal_cell *cells, unsigned rows,
		   unsigned columns);

void terminal_write(struct terminal *t, const char *text, size_t bytes);

/* Another writer: sequences and characters that the last one has begun, and his colours, are over. */
void terminal_plain(struct terminal *t);
