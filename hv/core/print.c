/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Freestanding snprintf: the C99 subset that hv/core/log.h names. The whole length is counted even
 * where the text is cut, as C17 7.21.6.5 has it; an unknown conversion is printed as it stands.
 */
#include "hv/core/log.h"

#include <limits.h>
#include <stdbool.h>
#include <stdarg.h>
#include <string.h>

struct out {
	char *at;
	size_t room;  /* of `at`, the terminating NUL included */
	size_t count; /* characters so far, cut or not */
};

struct spec {
	bool left, zero;
	int width;
	int precision; /* -1: none given */
	char length;   /* 'H' for hh, 'L' for ll, 0 for none */
};

static void put(struct out *out, char c)
{
	if (out->count + 1 < out->room)
		out->at[out->count] = c;
	out->count++;
}

static void pad(struct out *out, char c, int n)
{
	for (; n > 0; n--)
		put(out, c);
}

/* A prefix ("-" or "0x" or ""), zeros, then text; padded to the width. */
static void put_field(struct out *out, const struct spec *spec, const char *prefix, int zeros,
		      const char *text, int length)
{
	int padding = spec->width - (int)strlen(prefix) - zeros - length;

	if (!spec->left)
		pad(out, ' ', padding);
	while (*prefix)
		put(out, *prefix++);
	pad(out, '0', zeros);
	for (int i = 0; i < length; i++)
		put(out, text[i]);
	if (spec->left)
		pad(out, ' ', padding);
}

static void put_number(struct out *out, const struct spec *spec, const char *prefix, uint64_t value,
		       unsigned base, bool upper)
{
	const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char text[20];
	int first = (int)sizeof(text), length, zeros = 0;

	for (; value; value /= base)
		text[--first] = digits[value % base];
	length = (int)sizeof(text) - first;
	if (spec->precision >= 0)
		zeros = spec->precision - length;
	else if (spec->zero && !spec->left)
		zeros = spec->width - (int)strlen(prefix) - length;
	if (spec->precision != 0 && length == 0 && zeros < 1)
		zeros = 1; /* the number 0 */
	put_field(out, spec, prefix, zeros > 0 ? zeros : 0, text + first, length);
}

static void put_string(struct out *out, const struct spec *spec, const char *s)
{
	size_t max = spec->precision >= 0 ? (size_t)spec->precision : INT_MAX;

	if (!s)
		s = "(null)";
	put_field(out, spec, "", 0, s, (int)strnlen(s, max));
}

/* va_list by pointer: the caller goes on with the next argument. */
struct args {
	va_list ap;
};

static int64_t take_signed(struct args *args, char length)
{
	switch (length) {
	case 'H':
		return (signed char)va_arg(args->ap, int);
	case 'h':
		return (short)va_arg(args->ap, int);
	case 'l':
	case 'L':
	case 'z':
		return va_arg(args->ap, long); /* LP64: all three are 64 bits */
	default:
		return va_arg(args->ap, int);
	}
}

static uint64_t take_unsigned(struct args *args, char length)
{
	switch (length) {
	case 'H':
		return (unsigned char)va_arg(args->ap, unsigned);
	case 'h':
		return (unsigned short)va_arg(args->ap, unsigned);
	case 'l':
	case 'L':
	case 'z':
		return va_arg(args->ap, unsigned long);
	default:
		return va_arg(args->ap, unsigned);
	}
}

/* A number or "*" at *fmt. A huge one is cut: no format of ours wants it. */
static int take_count(const char **fmt, struct args *args)
{
	int n = 0;

	if (**fmt == '*') {
		(*fmt)++;
		return va_arg(args->ap, int);
	}
	for (; **fmt >= '0' && **fmt <= '9'; (*fmt)++)
		if (n < 10000)
			n = n * 10 + (**fmt - '0');
	return n;
}

static struct spec take_spec(const char **fmt, struct args *args)
{
	struct spec spec = { .precision = -1 };

	for (; **fmt == '-' || **fmt == '0'; (*fmt)++) {
		spec.left |= **fmt == '-';
		spec.zero |= **fmt == '0';
	}
	spec.width = take_count(fmt, args);
	if (spec.width < 0) { /* "*" with a negative argument: C's way to say "-" */
		spec.left = true;
		spec.width = -spec.width;
	}
	if (**fmt == '.') {
		(*fmt)++;
		spec.precision = take_count(fmt, args);
	}
	if (**fmt == 'l' || **fmt == 'h' || **fmt == 'z') {
		spec.length = *(*fmt)++;
		if (spec.length != 'z' && **fmt == spec.length) {
			spec.length = spec.length == 'l' ? 'L' : 'H';
			(*fmt)++;
		}
	}
	return spec;
}

static void put_signed(struct out *out, const struct spec *spec, int64_t value)
{
	uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	put_number(out, spec, value < 0 ? "-" : "", magnitude, 10, false);
}

static void convert(struct out *out, const struct spec *spec, char conversion, struct args *args)
{
	char c;

	switch (conversion) {
	case 'd':
	case 'i':
		put_signed(out, spec, take_signed(args, spec->length));
		break;
	case 'u':
		put_number(out, spec, "", take_unsigned(args, spec->length), 10, false);
		break;
	case 'x':
	case 'X':
		put_number(out, spec, "", take_unsigned(args, spec->length), 16, conversion == 'X');
		break;
	case 'p':
		put_number(out, spec, "0x", (uintptr_t)va_arg(args->ap, void *), 16, false);
		break;
	case 's':
		put_string(out, spec, va_arg(args->ap, const char *));
		break;
	case 'c':
		c = (char)va_arg(args->ap, int);
		put_field(out, spec, "", 0, &c, 1);
		break;
	case '%':
		put(out, '%');
		break;
	default:
		put(out, '%');
		put(out, conversion);
	}
}

int vsnprintf(char *text, size_t room, const char *fmt, va_list ap)
{
	struct out out = { text, room, 0 };
	struct args args;

	va_copy(args.ap, ap);
	while (*fmt) {
		if (*fmt != '%') {
			put(&out, *fmt++);
			continue;
		}
		fmt++;
		struct spec spec = take_spec(&fmt, &args);
		if (!*fmt)
			break; /* a lone % at the end */
		convert(&out, &spec, *fmt++, &args);
	}
	va_end(args.ap);
	if (room > 0)
		text[out.count < room ? out.count : room - 1] = '\0';
	return (int)out.count;
}

int snprintf(char *text, size_t room, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, room, fmt, ap);
	va_end(ap);
	return n;
}
