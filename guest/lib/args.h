/* SPDX-License-Identifier: BSD-2-Clause */
/* Words "key=value" of a command line, separated by blanks; the first one counts. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The value of key, or NULL; *bytes is its length (it is not terminated). */
const char *args_find(const char *cmdline, const char *key, size_t *bytes);

/* Copies the value; false if there is none or it does not fit (*out is then ""). */
bool args_string(const char *cmdline, const char *key, char *out, size_t size);

/* The decimal number, or otherwise if the key is not there. False: not a number below 2^63. */
bool args_u64(const char *cmdline, const char *key, uint64_t otherwise, uint64_t *value);

/* The same for a hexadecimal number, "0x" before it. False: not one of 64 bits. */
bool args_hex(const char *cmdline, const char *key, uint64_t otherwise, uint64_t *value);

/* A dotted IPv4 address in host order; false: none, or not one. */
bool args_ipv4(const char *cmdline, const char *key, uint32_t *address);

/* Reads a decimal number at s; NULL if there is none below 2^63, else where it ends. */
const char *args_number(const char *s, const char *end, uint64_t *value);
