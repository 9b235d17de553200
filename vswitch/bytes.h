/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Words in bytes of any alignment and either byte order. The builtin is named as such, since
 * freestanding code would otherwise call the library for eight bytes.
 */
#pragma once

#include <stdint.h>

static inline uint16_t load16(const uint8_t *p)
{
	uint16_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return v;
}

static inline void store16(uint8_t *p, uint16_t v)
{
	__builtin_memcpy(p, &v, sizeof(v));
}

static inline void store32(uint8_t *p, uint32_t v)
{
	__builtin_memcpy(p, &v, sizeof(v));
}

static inline void store64(uint8_t *p, uint64_t v)
{
	__builtin_memcpy(p, &v, sizeof(v));
}

/* Network byte order. */
static inline uint16_t load_be16(const uint8_t *p)
{
	return __builtin_bswap16(load16(p));
}

static inline uint32_t load_be32(const uint8_t *p)
{
	uint32_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return __builtin_bswap32(v);
}

static inline uint64_t load_be64(const uint8_t *p)
{
	return __builtin_bswap64(load64(p));
}

static inline void store_be16(uint8_t *p, uint16_t v)
{
	store16(p, __builtin_bswap16(v));
}

static inline void store_be32(uint8_t *p, uint32_t v)
{
	store32(p, __builtin_bswap32(v));
}
