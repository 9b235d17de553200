/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copies of long blocks by something wider than general registers. Vector registers hold a guest's state
 * in the hypervisor: the few that are used here are saved before and restored after each block, in full
 * width, so that nobody can tell. Policy `copy` chooses (include/lasthop/policy.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Shorter blocks are copied by moves: saving and restoring would cost more than is gained. Measured. */
#define COPY_WIDE_LEAST 256u

/* The policy's values, in the order of their words. */
enum copy_policy { COPY_AUTO, COPY_MOVES, COPY_VECTORS, COPY_REP };

/* Which vectors this machine has, once its CPUs have the XCR0 that they keep (SDM 1, "Detection of AVX-512
 * Foundation Instructions"). Until then: those of 16 bytes, which every x86-64 has. */
void copy_wide_detect(void);

/* Bytes of the vectors in use: 16 or 64. */
unsigned copy_wide_bytes(void);

/* As copy_block(), of COPY_WIDE_LEAST bytes or more; false: the policy is to use moves, nothing was done. */
bool copy_wide(uint8_t *to, const uint8_t *from, uint32_t n);

/* The routines themselves; n: 128 or more. copy_vectors64(): where the machine has
 * them. */
void copy_vectors16(uint8_t *to, const uint8_t *from, uint32_t n);
void copy_vectors64(uint8_t *to, const uint8_t *from, uint32_t n);
void copy_rep(uint8_t *to, const uint8_t *from, uint32_t n);
