/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scan code set 1: a byte for a key that goes down, with the highest bit for one that goes up, and
 * E0 before the keys that the PC/XT had not. The keypad counts as if Num Lock were off.
 */
#include "hv/core/keyboard.h"

#define RELEASED	0x80u
#define EXTENDED	0xe0u
#define PAUSE		0xe1u /* and five more bytes */
#define PAUSE_REST	5
#define KEY_CONTROL	0x1d
#define KEY_LEFT_SHIFT	0x2a
#define KEY_RIGHT_SHIFT 0x36
#define KEY_CAPS	0x3a
#define CONTROL_BITS	0x1f

/* From code 0 on; a blank is a key that is no character. Backspace is DEL, as a VT220's. */
static const char plain[] = "\0\x1b"
			    "1234567890-=\x7f\t"
			    "qwertyuiop[]\r\0"
			    "asdfghjkl;'`\0\\"
			    "zxcvbnm,./\0*\0 ";
static const char shifted[] = "\0\x1b"
			      "!@#$%^&*()_+\x7f\t"
			      "QWERTYUIOP{}\r\0"
			      "ASDFGHJKL:\"~\0|"
			      "ZXCVBNM<>?\0*\0 ";
_Static_assert(sizeof(plain) == 0x3a + 1 && sizeof(shifted) == sizeof(plain),
	       "up to the space bar, 39h");

/* Xterm's; the keypad has the same codes without E0. */
static const struct {
	uint8_t code;
	const char *text;
} sequences[] = {
	{ 0x47, "\x1b[H" },  { 0x48, "\x1b[A" },  { 0x49, "\x1b[5~" }, { 0x4b, "\x1b[D" },
	{ 0x4d, "\x1b[C" },  { 0x4f, "\x1b[F" },  { 0x50, "\x1b[B" },  { 0x51, "\x1b[6~" },
	{ 0x52, "\x1b[2~" }, { 0x53, "\x1b[3~" }, { 0x4a, "-" },       { 0x4e, "+" },
};

static bool modifier(struct keymap *k, uint8_t key, bool down, bool extended)
{
	switch (key) {
	case KEY_CONTROL:
		k->control = down;
		return true;
	case KEY_LEFT_SHIFT:
	case KEY_RIGHT_SHIFT:
		if (!extended) /* else one that the keyboard itself pretends */
			k->shift = down;
		return true;
	case KEY_CAPS:
		k->caps ^= down;
		return true;
	default:
		return false;
	}
}

static const char *character(struct keymap *k, uint8_t key)
{
	char c = plain[key], upper = shifted[key];
	bool letter = c >= 'a' && c <= 'z';

	if (k->control && upper >= '@' && upper <= '_')
		c = upper & CONTROL_BITS;
	else if (k->control && ((c >= '[' && c <= ']') || letter))
		c &= CONTROL_BITS;
	else if (k->shift != (k->caps && letter))
		c = upper;
	k->text[0] = c;
	return k->text;
}

static const char *pressed(struct keymap *k, uint8_t key, bool extended)
{
	if (extended && key == 0x1c)
		return "\r";
	if (extended && key == 0x35)
		return "/";
	if (!extended && key < sizeof(plain) - 1)
		return character(k, key);
	for (unsigned i = 0; i < sizeof(sequences) / sizeof(sequences[0]); i++)
		if (sequences[i].code == key)
			return sequences[i].text;
	return "";
}

const char *keymap_take(struct keymap *k, uint8_t code)
{
	bool extended = k->extended, down = !(code & RELEASED);
	uint8_t key = code & (uint8_t)~RELEASED;

	k->extended = false;
	if (k->skip) {
		k->skip--;
		return "";
	}
	if (code == PAUSE)
		k->skip = PAUSE_REST;
	else if (code == EXTENDED)
		k->extended = true;
	else if (!modifier(k, key, down, extended) && down)
		return pressed(k, key, extended);
	return "";
}
