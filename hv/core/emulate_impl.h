/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of the emulator share: hv/core/emulate.c (operands), hv/core/alu.c (arithmetic). */
#pragma once

#include <stdint.h>

#include "hv/core/decode.h"
#include "hv/core/vcpu.h"

/* a op b at an operand size of 1, 2, 4 or 8 bytes, both already cut to it; flags as the processor
 * leaves them, undefined ones as they were or 0. Unary operations take a. OP_ADD … OP_BTC. */
uint64_t alu(enum insn_op op, unsigned bytes, uint64_t a, uint64_t b, uint64_t *rflags);
