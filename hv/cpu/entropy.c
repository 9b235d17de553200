/* SPDX-License-Identifier: BSD-2-Clause */
/* See entropy.h. SDM 1, 7.3.17 "Random Number Generator Instructions": how often to try. */
#include "hv/cpu/entropy.h"

#include <string.h>

#include "hv/cpu/x86.h"

#define RDRAND_TRIES   10
#define JITTER_SAMPLES 64u /* for each word of the key */
#define JITTER_BYTES   8192u

static uint32_t rotate(uint32_t x, unsigned n)
{
	return x << n | x >> (32 - n);
}

static void quarter_round(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
	*a += *b;
	*d = rotate(*d ^ *a, 16);
	*c += *d;
	*b = rotate(*b ^ *c, 12);
	*a += *b;
	*d = rotate(*d ^ *a, 8);
	*c += *d;
	*b = rotate(*b ^ *c, 7);
}

void chacha20_block(const uint32_t key[8], uint32_t counter, const uint32_t nonce[3],
		    uint8_t out[ENTROPY_BLOCK])
{
	uint32_t start[16] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 }, x[16];

	memcpy(start + 4, key, 32);
	start[12] = counter;
	memcpy(start + 13, nonce, 12);
	memcpy(x, start, sizeof(x));
	for (unsigned round = 0; round < 10; round++) {
		for (unsigned i = 0; i < 4; i++) /* columns */
			quarter_round(&x[i], &x[4 + i], &x[8 + i], &x[12 + i]);
		for (unsigned i = 0; i < 4; i++) /* diagonals */
			quarter_round(&x[i], &x[4 + (i + 1) % 4], &x[8 + (i + 2) % 4],
				      &x[12 + (i + 3) % 4]);
	}
	for (unsigned i = 0; i < 16; i++)
		x[i] += start[i];
	memcpy(out, x, sizeof(x));
}

void entropy_block(struct entropy *e, uint8_t out[ENTROPY_BLOCK])
{
	static const uint32_t nonce[3];
	uint8_t next[ENTROPY_BLOCK];

	chacha20_block(e->key, 0, nonce, next);
	chacha20_block(e->key, 1, nonce, out);
	memcpy(e->key, next, sizeof(e->key));
}

static bool has_rdseed(void)
{
	return cpuid(0, 0).eax >= 7 && cpuid(7, 0).ebx & BIT(18);
}

static bool has_rdrand(void)
{
	return cpuid(1, 0).ecx & BIT(30);
}

/* All ones is what RDRAND of some AMD parts returns, as a success, after a suspend. */
static bool usable(uint8_t ok, uint64_t value)
{
	return ok && value != ~0ull;
}

static bool from_hardware(bool seed, uint64_t *value)
{
	uint8_t ok;

	for (unsigned i = 0; i < RDRAND_TRIES; i++) {
		if (seed)
			__asm__ volatile("rdseed %0; setc %1" : "=r"(*value), "=qm"(ok) : : "cc");
		else
			__asm__ volatile("rdrand %0; setc %1" : "=r"(*value), "=qm"(ok) : : "cc");
		if (usable(ok, *value))
			return true;
	}
	return false;
}

/* Walks over a few pages, the way depending on what the TSC said last, and keeps its low bits. */
static uint32_t from_jitter(void)
{
	static volatile uint8_t memory[JITTER_BYTES];
	uint32_t word = 0;

	for (unsigned i = 0; i < JITTER_SAMPLES; i++) {
		uint32_t at = (uint32_t)rdtsc();

		memory[(at ^ word) % JITTER_BYTES]++;
		word = rotate(word, 5) ^ (uint32_t)rdtsc() ^ at << 16;
	}
	return word;
}

bool entropy_stir(struct entropy *e)
{
	bool seed = has_rdseed(), hardware = seed || has_rdrand();
	uint8_t unused[ENTROPY_BLOCK];

	for (unsigned i = 0; i < 8; i += 2) {
		uint64_t value = 0;
		bool ok = hardware && (from_hardware(seed, &value) ||
				       (seed && has_rdrand() && from_hardware(false, &value)));

		if (!ok) {
			value = (uint64_t)from_jitter() << 32 | from_jitter();
			hardware = false;
		}
		e->key[i] ^= (uint32_t)value;
		e->key[i + 1] ^= (uint32_t)(value >> 32);
	}
	entropy_block(e, unused); /* one way, and every bit of the key on every other */
	return hardware;
}
