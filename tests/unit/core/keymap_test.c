/* SPDX-License-Identifier: BSD-2-Clause */
/* What is typed for the bytes that a keyboard sends? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/core/keyboard.h"

#include <cmocka.h>

static void typed(void **state)
{
	static const struct {
		const char *codes, *text;
	} cases[] = {
		{ "\x1e\x9e\x30\xb0\x1c\x9c", "ab\r" },
		{ "\x2a\x1e\x9e\xaa\x1e", "Aa" },
		{ "\x36\x03\xb6\x03", "@2" },
		{ "\x3a\xba\x1e\x03\x2a\x1e\xaa\x3a\xba\x1e",
		  "A2aa" }, /* Caps Lock: letters only */
		{ "\x1d\x1b\x9b\x2e\x9d\x2e", "\x1d\x03"
					      "c" }, /* Ctrl-], Ctrl-C */
		{ "\xe0\x1d\x16\xe0\x9d\x16", "\x15u" },
		{ "\x0e\x0f\x39\x01", "\x7f\t \x1b" },
		{ "\xe0\x48\xe0\xc8\x48\xe0\x53", "\x1b[A\x1b[A\x1b[3~" },
		{ "\xe0\x1c\xe0\x35", "\r/" },
		{ "\xe0\x2a\xe0\x37\x1e", "a" },	 /* Print Screen */
		{ "\xe1\x1d\x45\xe1\x9d\xc5\x1e", "a" }, /* Pause: one code of six bytes */
		{ "\x38\x3b\x44\x57\x7f\xff\x1e", "a" }, /* Alt, F1, ... */
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct keymap k = { 0 };
		char text[100] = "";

		for (const char *c = cases[i].codes; *c; c++)
			strcat(text, keymap_take(&k, (uint8_t)*c));
		assert_string_equal(text, cases[i].text);
	}
}

static void any_bytes_are_taken(void **state)
{
	struct keymap k = { 0 };

	(void)state;
	srand(1);
	for (unsigned i = 0; i < 100000; i++)
		assert_true(strlen(keymap_take(&k, (uint8_t)rand())) < 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(typed),
		cmocka_unit_test(any_bytes_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
