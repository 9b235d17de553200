/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Do the core's own <string.h> and strtoul do what the C library's do, at every alignment, length
 * and overlap? Whatever is copied or filled lies between guards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#undef fail /* cmocka's macro, the core's function */

/* The core's functions under names of their own, beside the C library's. */
#define memcpy		 core_memcpy
#define memmove		 core_memmove
#define memset		 core_memset
#define memcmp		 core_memcmp
#define memchr		 core_memchr
#define strlen		 core_strlen
#define strnlen		 core_strnlen
#define strcmp		 core_strcmp
#define strncmp		 core_strncmp
#define strchr		 core_strchr
#define strrchr		 core_strrchr
#define strtoul		 core_strtoul
#define __stack_chk_fail core_stack_chk_fail
#include "hv/core/libc/string.h"
#include "hv/core/libc/stdlib.h"
#include "hv/core/libc/string.c"
#include "hv/core/libc/stdlib.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef memchr
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr
#undef strrchr
#undef strtoul

#define ROOM   160
#define MAX    100
#define OFFSET 17

void panic(const char *fmt, ...)
{
	(void)fmt;
	abort();
}

static void fill(unsigned char *p)
{
	for (unsigned i = 0; i < ROOM; i++)
		p[i] = (unsigned char)(i * 7 + 3);
}

static void copies_and_fills(void **state)
{
	unsigned char from[ROOM], mine[ROOM], theirs[ROOM];

	(void)state;
	fill(from);
	for (size_t n = 0; n <= MAX; n++) {
		for (size_t at = 0; at < 2 * OFFSET; at++) {
			memset(mine, 0xee, ROOM);
			memset(theirs, 0xee, ROOM);
			assert_ptr_equal(core_memcpy(mine + at, from + OFFSET, n), mine + at);
			memcpy(theirs + at, from + OFFSET, n);
			assert_memory_equal(mine, theirs, ROOM);
			assert_ptr_equal(core_memset(mine + at, 0x1a5, n), mine + at);
			memset(theirs + at, 0xa5, n);
			assert_memory_equal(mine, theirs, ROOM);
		}
	}
}

static void moves_whatever_the_overlap(void **state)
{
	unsigned char mine[ROOM], theirs[ROOM];

	(void)state;
	for (size_t n = 0; n <= MAX; n++) {
		for (size_t at = 0; at < ROOM - MAX; at++) {
			fill(mine);
			fill(theirs);
			core_memmove(mine + at, mine + OFFSET, n);
			memmove(theirs + at, theirs + OFFSET, n);
			assert_memory_equal(mine, theirs, ROOM);
		}
	}
}

static int sign(int v)
{
	return (v > 0) - (v < 0);
}

static void compares(void **state)
{
	static const char *const s[] = { "",
					 "a",
					 "ab",
					 "abc",
					 "abd",
					 "b",
					 "\x80",
					 "\xff"
					 "a" };
	const size_t count = sizeof(s) / sizeof(s[0]);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < count; j++) {
			assert_int_equal(sign(core_strcmp(s[i], s[j])), sign(strcmp(s[i], s[j])));
			for (size_t n = 0; n < 5; n++)
				assert_int_equal(sign(core_strncmp(s[i], s[j], n)),
						 sign(strncmp(s[i], s[j], n)));
			assert_int_equal(sign(core_memcmp(s[i], s[j], 1)),
					 sign(memcmp(s[i], s[j], 1)));
		}
	}
	assert_int_equal(core_memcmp("x", "y", 0), 0);
}

static void measures_and_searches(void **state)
{
	const char *s = "a/b/c";

	(void)state;
	assert_int_equal(core_strlen(""), 0);
	assert_int_equal(core_strlen(s), 5);
	assert_int_equal(core_strnlen(s, 3), 3);
	assert_int_equal(core_strnlen(s, 9), 5);
	assert_ptr_equal(core_strchr(s, '/'), s + 1);
	assert_ptr_equal(core_strrchr(s, '/'), s + 3);
	assert_ptr_equal(core_strchr(s, 0), s + 5);
	assert_ptr_equal(core_strrchr(s, 0), s + 5);
	assert_null(core_strchr(s, 'x'));
	assert_null(core_strrchr(s, 'x'));
	assert_ptr_equal(core_memchr(s, 'b', 5), s + 2);
	assert_null(core_memchr(s, 'b', 2));
}

static void numbers_as_the_c_library(void **state)
{
	static const char *const texts[] = {
		"",
		"0",
		"12",
		"012",
		"0x12",
		"0X1g",
		"0x",
		" \t-5",
		"+7",
		"08",
		"zz",
		"ffff",
		"12ab",
		"18446744073709551615",
		"18446744073709551616",
		"0xfffffffffffffffff",
		"-1",
		"-",
		"x",
	};
	static const int bases[] = { 0, 8, 10, 16, 36 };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		for (size_t b = 0; b < sizeof(bases) / sizeof(bases[0]); b++) {
			char *mine, *theirs;

			assert_int_equal(core_strtoul(texts[i], &mine, bases[b]),
					 strtoul(texts[i], &theirs, bases[b]));
			assert_ptr_equal(mine, theirs);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_and_fills),
		cmocka_unit_test(moves_whatever_the_overlap),
		cmocka_unit_test(compares),
		cmocka_unit_test(measures_and_searches),
		cmocka_unit_test(numbers_as_the_c_library),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
