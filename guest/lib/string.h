/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The part of <string.h> that guests use. Copies go by 64-bit moves: string instructions distort
 * the clock of the emulator Bochs.
 */
#pragma once

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
