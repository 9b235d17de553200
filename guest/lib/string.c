/* SPDX-License-Identifier: BSD-2-Clause */
/* String functions by plain moves. To be built without loop-to-memcpy conversion. */
#include "guest/lib/string.h"

#include <stdint.h>

typedef uint64_t word __attribute__((may_alias, aligned(1))); /* at any address */

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	uint8_t *d = to;
	const uint8_t *s = from;

	for (; n >= 32; n -= 32, d += 32, s += 32) {
		uint64_t a = ((const word *)s)[0], b = ((const word *)s)[1];
		uint64_t c = ((const word *)s)[2], e = ((const word *)s)[3];

		((word *)d)[0] = a;
		((word *)d)[1] = b;
		((word *)d)[2] = c;
		((word *)d)[3] = e;
	}
	for (; n >= 8; n -= 8, d += 8, s += 8)
		*(word *)d = *(const word *)s;
	while (n--)
		*d++ = *s++;
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	uint8_t *d = to;
	const uint8_t *s = from;

	if (d <= s || d >= s + n) {
		for (size_t i = 0; i < n; i++)
			d[i] = s[i];
	} else {
		while (n--)
			d[n] = s[n];
	}
	return to;
}

void *memset(void *to, int c, size_t n)
{
	uint64_t fill = 0x0101010101010101ull * (uint8_t)c;
	uint8_t *d = to;

	for (; n >= 8; n -= 8, d += 8)
		*(word *)d = fill;
	while (n--)
		*d++ = (uint8_t)c;
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;

	for (; n >= 8 && *(const word *)x == *(const word *)y; n -= 8) {
		x += 8;
		y += 8;
	}
	for (; n; n--, x++, y++) {
		if (*x != *y)
			return *x < *y ? -1 : 1;
	}
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n; n--, a++, b++) {
		if (*a != *b)
			return (uint8_t)*a < (uint8_t)*b ? -1 : 1;
		if (!*a)
			return 0;
	}
	return 0;
}
