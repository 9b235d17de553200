/* SPDX-License-Identifier: BSD-2-Clause */
/* See args.h. Tested on the host. */
#include "guest/lib/args.h"

#include "guest/lib/string.h"

const char *args_find(const char *cmdline, const char *key, size_t *bytes)
{
	size_t n = strlen(key);
	const char *s = cmdline;

	while (*s) {
		size_t length = 0;

		while (s[length] && s[length] != ' ')
			length++;
		if (length > n && s[n] == '=' && !strncmp(s, key, n)) {
			*bytes = length - n - 1;
			return s + n + 1;
		}
		s += length;
		while (*s == ' ')
			s++;
	}
	return NULL;
}

bool args_string(const char *cmdline, const char *key, char *out, size_t size)
{
	size_t bytes;
	const char *s = args_find(cmdline, key, &bytes);

	out[0] = '\0';
	if (!s || bytes >= size)
		return false;
	memcpy(out, s, bytes);
	out[bytes] = '\0';
	return true;
}

const char *args_number(const char *s, const char *end, uint64_t *value)
{
	uint64_t n = 0;
	const char *begin = s;

	for (; s < end && *s >= '0' && *s <= '9'; s++) {
		if (n > (INT64_MAX - 9) / 10)
			return NULL;
		n = n * 10 + (uint64_t)(*s - '0');
	}
	if (s == begin)
		return NULL;
	*value = n;
	return s;
}

bool args_u64(const char *cmdline, const char *key, uint64_t otherwise, uint64_t *value)
{
	size_t bytes;
	const char *s = args_find(cmdline, key, &bytes);

	*value = otherwise;
	return !s || args_number(s, s + bytes, value) == s + bytes;
}

bool args_hex(const char *cmdline, const char *key, uint64_t otherwise, uint64_t *value)
{
	size_t bytes;
	const char *s = args_find(cmdline, key, &bytes);

	*value = otherwise;
	if (!s)
		return true;
	if (bytes < 3 || bytes > 18 || strncmp(s, "0x", 2))
		return false;
	*value = 0;
	for (size_t i = 2; i < bytes; i++) {
		char c = s[i];

		if (c >= '0' && c <= '9')
			*value = *value << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			*value = *value << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	return true;
}

bool args_ipv4(const char *cmdline, const char *key, uint32_t *address)
{
	size_t bytes;
	const char *s = args_find(cmdline, key, &bytes), *end;
	uint64_t part;

	if (!s)
		return false;
	end = s + bytes;
	*address = 0;
	for (unsigned i = 0; i < 4; i++) {
		if (i && (s == end || *s++ != '.'))
			return false;
		s = args_number(s, end, &part);
		if (!s || part > 255)
			return false;
		*address = *address << 8 | (uint32_t)part;
	}
	return s == end;
}
