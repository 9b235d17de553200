/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random numbers: ChaCha20 (RFC 8439, 2.3) as a generator whose key is replaced with each block it
 * gives, so that what it gave cannot be computed from what it keeps. The key is stirred from RDSEED or
 * RDRAND; on a CPU with neither, from the time that memory accesses take, which is as good as the
 * machine's jitter and no better: an emulator with a virtual clock has none.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ENTROPY_BLOCK 64

struct entropy {
	uint32_t key[8];
};

/* Mixes 32 bytes of the CPU's into the key; all of it from hardware: true. */
bool entropy_stir(struct entropy *e);

/* The next bytes; stir once before the first, and now and then. */
void entropy_block(struct entropy *e, uint8_t out[ENTROPY_BLOCK]);

/* RFC 8439, 2.3: one block. */
void chacha20_block(const uint32_t key[8], uint32_t counter, const uint32_t nonce[3],
		    uint8_t out[ENTROPY_BLOCK]);
