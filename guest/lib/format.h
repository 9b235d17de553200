/* SPDX-License-Identifier: BSD-2-Clause */
/* printf's %s %c %d %i %u %x %p %%, with width, 0, -, and the lengths l, ll, z. */
#pragma once

#include <stdarg.h>
#include <stddef.h>

/* Writes at most size - 1 characters and a NUL; returns what was written. size > 0. */
size_t format(char *out, size_t size, const char *fmt, va_list args);
