/* SPDX-License-Identifier: BSD-2-Clause */
/* Do the guests' format() and string functions do what the C library's do? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <stdio.h>

#include "guest/lib/format.c"

/* The guest's functions under other names, beside the library's. */
#define memcpy	guest_memcpy
#define memmove guest_memmove
#define memset	guest_memset
#define memcmp	guest_memcmp
#define strlen	guest_strlen
#define strcmp	guest_strcmp
#define strncmp guest_strncmp
#include "guest/lib/string.h"
#include "guest/lib/string.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef strlen
#undef strcmp
#undef strncmp

static size_t formatted(char *out, size_t size, const char *fmt, ...)
{
	va_list args;
	size_t n;

	va_start(args, fmt);
	n = format(out, size, fmt, args);
	va_end(args);
	return n;
}

#define SAME(...)                                                                                  \
	do {                                                                                       \
		char ours[128], theirs[128];                                                       \
		int n = snprintf(theirs, sizeof(theirs), __VA_ARGS__);                             \
		assert_int_equal(formatted(ours, sizeof(ours), __VA_ARGS__), n);                   \
		assert_string_equal(ours, theirs);                                                 \
	} while (0)

static void as_printf(void **state)
{
	(void)state;
	SAME("plain %% text");
	SAME("%d %d %d", 0, -1, 2147483647);
	SAME("%ld %lu %lx", -9223372036854775807L - 1, 18446744073709551615UL, 0xfeedUL);
	SAME("%u %x", 4294967295u, 0xdeadbeefu);
	SAME("%5d|%-5d|%05d|%05d", 42, 42, 42, -42);
	SAME("%016lx", 0x1234UL);
	SAME("%s|%8s|%-8s|%c", "abc", "abc", "abc", 'x');
	SAME("%zu", sizeof(int));
}

static void too_long(void **state)
{
	char text[6];

	(void)state;
	assert_int_equal(formatted(text, sizeof(text), "%s", "abcdefgh"), 5);
	assert_string_equal(text, "abcde");
	assert_int_equal(formatted(text, 1, "%d", 42), 0);
	assert_string_equal(text, "");
	assert_int_equal(formatted(text, sizeof(text), "ab%"), 2);
}

static void copies(void **state)
{
	uint8_t from[100], to[100];

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		from[i] = (uint8_t)(i * 7);
	for (unsigned n = 0; n < 90; n++) {
		memset(to, 0xee, sizeof(to));
		assert_ptr_equal(guest_memcpy(to + 3, from + 5, n), to + 3);
		assert_memory_equal(to + 3, from + 5, n);
		assert_int_equal(to[2], 0xee);
		assert_int_equal(to[3 + n], 0xee);
		guest_memset(to + 1, 0x55, n);
		for (unsigned i = 0; i < n; i++)
			assert_int_equal(to[1 + i], 0x55);
		assert_int_equal(to[0], 0xee);
	}
	for (unsigned shift = 0; shift < 20; shift++) {
		memcpy(to, from, 100);
		guest_memmove(to + shift, to + 10, 50);
		assert_memory_equal(to + shift, from + 10, 50);
	}
}

static int sign(int x)
{
	return (x > 0) - (x < 0);
}

static void comparisons(void **state)
{
	uint8_t a[40] = { 0 }, b[40] = { 0 };

	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		a[i] = 200;
		assert_int_equal(guest_memcmp(a, b, 40), 1);
		assert_int_equal(guest_memcmp(b, a, 40), -1);
		assert_int_equal(guest_memcmp(a, b, i), 0);
		a[i] = 0;
	}
	assert_int_equal(guest_strlen("four"), 4);
	assert_int_equal(sign(guest_strcmp("abc", "abd")), -1);
	assert_int_equal(guest_strcmp("abc", "abc"), 0);
	assert_int_equal(sign(guest_strcmp("abc", "ab")), 1);
	assert_int_equal(guest_strncmp("abc", "abd", 2), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_printf),
		cmocka_unit_test(too_long),
		cmocka_unit_test(copies),
		cmocka_unit_test(comparisons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
