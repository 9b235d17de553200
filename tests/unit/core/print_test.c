/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does hv/core/print.c write what the C library would, and cut where it would? Each case is printed
 * by both and compared: text, return value, and that nothing is written beyond the room.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* The core's functions under names of their own, beside the C library's. */
int core_snprintf(char *out, size_t room, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int core_vsnprintf(char *out, size_t room, const char *fmt, va_list ap);
#define snprintf  core_snprintf
#define vsnprintf core_vsnprintf
#include "hv/core/print.c"
#undef snprintf
#undef vsnprintf

#define ROOM  64
#define GUARD 0x55

/* Prints with both into every room from 0 to ROOM. */
#define SAME(...)                                                                                  \
	do {                                                                                       \
		for (size_t room = 0; room <= ROOM; room++) {                                      \
			char mine[ROOM + 1], theirs[ROOM + 1];                                     \
			memset(mine, GUARD, sizeof(mine));                                         \
			memset(theirs, GUARD, sizeof(theirs));                                     \
			int n = core_snprintf(mine, room, __VA_ARGS__);                            \
			assert_int_equal(n, snprintf(theirs, room, __VA_ARGS__));                  \
			assert_memory_equal(mine, theirs, sizeof(mine));                           \
		}                                                                                  \
	} while (0)

#pragma GCC diagnostic ignored "-Wformat-truncation"
#pragma GCC diagnostic ignored "-Wformat-zero-length"
#pragma GCC diagnostic ignored "-Wformat"

static void integers_as_the_c_library(void **state)
{
	static const long values[] = { 0, 1, -1, 9, 10, 255, -32768, INT32_MAX, INT32_MIN };

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		int v = (int)values[i];

		SAME("%d|%i|%u|%x|%X", v, v, v, v, v);
		SAME("%5d|%-5d|%05d|%.3d|%8.3d|%-8.3d|", v, v, v, v, v, v);
		SAME("%08x|%.8x|%2x|%-12xx", v, v, v, v);
		SAME("%hd %hu %hhd %hhu %hhx", (short)v, (unsigned short)v, (signed char)v,
		     (unsigned char)v, (unsigned char)v);
	}
	SAME("%.0d|%.d|%0.0x", 0, 0, 0);
}

static void long_integers_as_the_c_library(void **state)
{
	(void)state;
	SAME("%ld %ld", INT64_MAX, INT64_MIN);
	SAME("%lu %lx", UINT64_MAX, UINT64_MAX);
	SAME("%llu %lld", (unsigned long long)UINT64_MAX, (long long)INT64_MIN);
	SAME("%zu %zx", SIZE_MAX, SIZE_MAX);
	SAME("%016lx", 0x1234ul);
	SAME("%p", (void *)0x1234);
}

static void strings_as_the_c_library(void **state)
{
	static const char unterminated[3] = { 'a', 'b', 'c' };

	(void)state;
	SAME("plain");
	SAME("");
	SAME("100%%");
	SAME("%s|%10s|%-10s|%.2s|%6.2s|", "hello", "hello", "hello", "hello", "hello");
	SAME("%.3s", unterminated);
	SAME("%.*s|%*d|%-*d|%*d", 2, "hello", 5, 42, 5, 42, -5, 42);
	SAME("%c%3c%-3c|", 'x', 'y', 'z');
}

static void odd_formats_do_no_harm(void **state)
{
	const char *volatile nothing = NULL;
	char out[ROOM];

	(void)state;
	assert_int_equal(core_snprintf(out, sizeof(out), "%s", nothing), 6);
	assert_string_equal(out, "(null)");
	assert_int_equal(core_snprintf(out, sizeof(out), "a%"), 1);
	assert_string_equal(out, "a");
	assert_int_equal(core_snprintf(out, sizeof(out), "a%qb"), 4);
	assert_string_equal(out, "a%qb");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_as_the_c_library),
		cmocka_unit_test(long_integers_as_the_c_library),
		cmocka_unit_test(strings_as_the_c_library),
		cmocka_unit_test(odd_formats_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
