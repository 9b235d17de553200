/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A keyboard on the PC's controller (i8042), which is asked and never interrupts; US layout. What its
 * keys mean becomes what a terminal would send for them. No USB. For one CPU.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Switches it on; false: there is none. It takes some tens of milliseconds at most. */
bool keyboard_start(void);

/* A character of what was typed, or -1. */
int keyboard_read(void);

/* --- keymap.c: scan codes --- */

struct keymap {
	bool shift, control, caps, extended;
	uint8_t skip; /* bytes of a code that is none of ours */
	char text[2]; /* what a key of one character is */
};

/* Takes a byte of scan code set 1 (IBM PC/XT, as the controller translates to): what was typed with
 * it, which holds until the next call, or "". */
const char *keymap_take(struct keymap *k, uint8_t code);
