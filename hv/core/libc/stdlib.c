/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the package's libfdt, which is hosted code, asks for besides <string.h>: strtoul and the end
 * of a function whose stack canary was overwritten. The canary lies at FS:0x28 (hv/core/entry.S).
 */
#include <stdlib.h>

#include <limits.h>
#include <stdbool.h>

#include "hv/core/fail.h"

static unsigned digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'z')
		return (unsigned)(c - 'a') + 10;
	if (c >= 'A' && c <= 'Z')
		return (unsigned)(c - 'A') + 10;
	return UINT_MAX;
}

/* C17 7.22.1.4 without errno: overflow gives ULONG_MAX. */
unsigned long strtoul(const char *s, char **end, int base)
{
	const char *p = s;
	bool negative = false, any = false;
	unsigned long value = 0;

	while (*p == ' ' || (*p >= '\t' && *p <= '\r'))
		p++;
	if (*p == '+' || *p == '-')
		negative = *p++ == '-';
	if ((base == 0 || base == 16) && p[0] == '0' && (p[1] == 'x' || p[1] == 'X') &&
	    digit_value(p[2]) < 16) {
		p += 2;
		base = 16;
	} else if (base == 0) {
		base = *p == '0' ? 8 : 10;
	}
	for (unsigned d; (d = digit_value(*p)) < (unsigned)base; p++, any = true)
		if (__builtin_mul_overflow(value, (unsigned long)base, &value) ||
		    __builtin_add_overflow(value, d, &value))
			value = ULONG_MAX;
	if (end)
		*end = (char *)(any ? p : s);
	return negative && value != ULONG_MAX ? -value : value;
}

_Noreturn void __stack_chk_fail(void);

_Noreturn void __stack_chk_fail(void)
{
	panic("libfdt: a stack canary was overwritten");
}
