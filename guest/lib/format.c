/* SPDX-License-Identifier: BSD-2-Clause */
/* See format.h. Knows of no device: tested on the host. */
#include "guest/lib/format.h"

#include <stdbool.h>
#include <stdint.h>

struct out {
	char *at, *end; /* one place is kept for the NUL */
};

struct spec {
	bool left, zero;
	unsigned width, longs;
};

static void put(struct out *o, char c)
{
	if (o->at < o->end)
		*o->at++ = c;
}

static void put_padded(struct out *o, const char *s, size_t n, const struct spec *spec)
{
	size_t pad = spec->width > n ? spec->width - n : 0;

	if (!spec->left && spec->zero && n && *s == '-') {
		put(o, *s++);
		n--;
	}
	for (; pad && !spec->left; pad--)
		put(o, spec->zero ? '0' : ' ');
	while (n--)
		put(o, *s++);
	for (; pad; pad--)
		put(o, ' ');
}

static void put_number(struct out *o, uint64_t value, bool negative, unsigned base,
		       const struct spec *spec)
{
	char digits[24];
	size_t i = sizeof(digits);

	do {
		digits[--i] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	if (negative)
		digits[--i] = '-';
	put_padded(o, digits + i, sizeof(digits) - i, spec);
}

static void put_string(struct out *o, const char *s, const struct spec *spec)
{
	size_t n = 0;

	if (!s)
		s = "(null)";
	while (s[n])
		n++;
	put_padded(o, s, n, spec);
}

static const char *parse(const char *fmt, struct spec *spec)
{
	*spec = (struct spec){ 0 };
	for (; *fmt == '-' || *fmt == '0'; fmt++) {
		if (*fmt == '-')
			spec->left = true;
		else
			spec->zero = true;
	}
	for (; *fmt >= '0' && *fmt <= '9' && spec->width < 1000; fmt++)
		spec->width = spec->width * 10 + (unsigned)(*fmt - '0');
	for (; *fmt == 'l' || *fmt == 'z'; fmt++)
		spec->longs++;
	return fmt;
}

size_t format(char *buffer, size_t size, const char *fmt, va_list args)
{
	struct out o = { buffer, buffer + size - 1 };

	for (; *fmt; fmt++) {
		struct spec spec;
		int64_t i;

		if (*fmt != '%') {
			put(&o, *fmt);
			continue;
		}
		fmt = parse(fmt + 1, &spec);
		switch (*fmt) {
		case 'd':
		case 'i':
			i = spec.longs ? va_arg(args, long) : va_arg(args, int);
			put_number(&o, i < 0 ? -(uint64_t)i : (uint64_t)i, i < 0, 10, &spec);
			break;
		case 'u':
		case 'x':
			put_number(&o,
				   spec.longs ? va_arg(args, unsigned long)
					      : va_arg(args, unsigned),
				   false, *fmt == 'u' ? 10 : 16, &spec);
			break;
		case 'p':
			put_number(&o, (uintptr_t)va_arg(args, void *), false, 16, &spec);
			break;
		case 'c':
			put(&o, (char)va_arg(args, int));
			break;
		case 's':
			put_string(&o, va_arg(args, const char *), &spec);
			break;
		case '\0':
			fmt--;
			break;
		default:
			put(&o, *fmt);
		}
	}
	*o.at = '\0';
	return (size_t)(o.at - buffer);
}
