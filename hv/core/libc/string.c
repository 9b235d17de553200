/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The part of <string.h> that the core, the data plane and libfdt use (C17 7.24). Copies move 64
 * bits at a time with plain loads and stores: the core has no vector registers, and REP MOVS would
 * move the clock of every CPU under Bochs.
 */
#include <string.h>

#include <stdint.h>

/* Any eight bytes, aligned or not, whatever type they were written as. */
struct word {
	uint64_t v;
} __attribute__((packed, may_alias));

/* Keeps the compiler from turning a loop back into a call of the function it implements. */
#define LOOP_STAYS() __asm__ volatile("" : : : "memory")

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	unsigned char *t = to;
	const unsigned char *f = from;

	for (; n >= 32; n -= 32, t += 32, f += 32) {
		uint64_t a = ((const struct word *)f)[0].v, b = ((const struct word *)f)[1].v;
		uint64_t c = ((const struct word *)f)[2].v, d = ((const struct word *)f)[3].v;

		((struct word *)t)[0].v = a;
		((struct word *)t)[1].v = b;
		((struct word *)t)[2].v = c;
		((struct word *)t)[3].v = d;
		LOOP_STAYS();
	}
	for (; n >= 8; n -= 8, t += 8, f += 8) {
		((struct word *)t)->v = ((const struct word *)f)->v;
		LOOP_STAYS();
	}
	for (; n > 0; n--) {
		*t++ = *f++;
		LOOP_STAYS();
	}
	return to;
}

static void copy_forward(unsigned char *t, const unsigned char *f, size_t n)
{
	for (; n >= 8; n -= 8, t += 8, f += 8) {
		((struct word *)t)->v = ((const struct word *)f)->v;
		LOOP_STAYS();
	}
	for (; n > 0; n--) {
		*t++ = *f++;
		LOOP_STAYS();
	}
}

static void copy_backward(unsigned char *t, const unsigned char *f, size_t n)
{
	for (; n >= 8; n -= 8) {
		((struct word *)(t + n - 8))->v = ((const struct word *)(f + n - 8))->v;
		LOOP_STAYS();
	}
	for (; n > 0; n--) {
		t[n - 1] = f[n - 1];
		LOOP_STAYS();
	}
}

/* Each word is loaded whole before it is stored, so overlap within a word does no harm. */
void *memmove(void *to, const void *from, size_t n)
{
	if ((uintptr_t)to - (uintptr_t)from >= n) /* below (wraps), or beyond the end */
		copy_forward(to, from, n);
	else
		copy_backward(to, from, n);
	return to;
}

void *memset(void *to, int c, size_t n)
{
	unsigned char *t = to;
	uint64_t v = 0x0101010101010101u * (unsigned char)c;

	for (; n >= 8; n -= 8, t += 8) {
		((struct word *)t)->v = v;
		LOOP_STAYS();
	}
	for (; n > 0; n--) {
		*t++ = (unsigned char)c;
		LOOP_STAYS();
	}
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	for (; n > 0; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

void *memchr(const void *s, int c, size_t n)
{
	for (const unsigned char *p = s; n > 0; n--, p++)
		if (*p == (unsigned char)c)
			return (void *)(uintptr_t)p;
	return NULL;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n]) {
		n++;
		LOOP_STAYS();
	}
	return n;
}

size_t strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n])
		n++;
	return n;
}

int strcmp(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n > 0 && *a && *a == *b; n--, a++, b++)
		;
	return n ? (unsigned char)*a - (unsigned char)*b : 0;
}

char *strchr(const char *s, int c)
{
	for (;; s++) {
		if (*s == (char)c)
			return (char *)(uintptr_t)s;
		if (!*s)
			return NULL;
	}
}

char *strrchr(const char *s, int c)
{
	const char *last = NULL;

	for (;; s++) {
		if (*s == (char)c)
			last = s;
		if (!*s)
			return (char *)(uintptr_t)last;
	}
}
