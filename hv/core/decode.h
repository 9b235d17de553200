/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A decoder for the instructions that reach the hypervisor: data accesses to device memory, string
 * I/O, and the system instructions whose length a backend wants to know. Pure: bytes in, a record
 * out; nothing is read but bytes[0..n). Encodings: SDM 2, "Instruction Format" and appendix A.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/cpu/hvm.h"
#include "hv/cpu/msr.h"

#define INSN_MAX_BYTES 15

/* The first eight in the order of ModRM.reg in the group 80h-83h. */
enum insn_op {
	OP_ADD,
	OP_OR,
	OP_ADC,
	OP_SBB,
	OP_AND,
	OP_SUB,
	OP_XOR,
	OP_CMP,
	OP_TEST,
	OP_NOT,
	OP_NEG,
	OP_INC,
	OP_DEC,
	OP_BT,
	OP_BTS,
	OP_BTR,
	OP_BTC,
	OP_XCHG,
	OP_MOV,
	OP_MOVZX,
	OP_MOVSX,
	OP_MOVS,
	OP_STOS,
	OP_LODS,
	OP_INS,
	OP_OUTS,
	OP_MOV_CR, /* to a control register: reg is its number, base the source */
	OP_MOV_FROM_CR,
	OP_MOV_DR, /* to a debug register, likewise */
	OP_MOV_FROM_DR,
	OP_OTHER, /* known by its length only */
};

#define INSN_NO_REG (-1)

struct insn {
	uint8_t op; /* enum insn_op */
	uint8_t length;
	uint8_t bytes;	    /* operand size: 1, 2, 4, 8 */
	uint8_t mem_bytes;  /* of the memory operand: smaller than bytes in MOVZX, MOVSX */
	uint8_t addr_bytes; /* address size: 2, 4, 8 */
	uint8_t seg;	    /* enum seg_reg of the memory operand (the source in MOVS, OUTS) */
	bool rex;	    /* registers 4-7 of one byte are SPL…DIL, not AH…BH */
	bool rep;	    /* F3 or F2 */
	bool memory;	    /* a memory operand that ModRM or an offset names */
	bool load;	    /* the register is the destination */
	bool has_imm;	    /* the source is imm, not reg */
	bool rip_relative;
	uint8_t reg;	 /* ModRM.reg with REX.R; the accumulator with an offset */
	int8_t base;	 /* enum gpr or INSN_NO_REG; without memory: what rm names */
	int8_t index;	 /* enum gpr or INSN_NO_REG */
	uint8_t scale;	 /* shift of the index: 0-3 */
	int32_t disp;	 /* sign-extended when the address is formed */
	uint64_t offset; /* MOV with an absolute offset (A0-A3): instead of disp */
	int64_t imm;
};

/* Default operand and address size: 2, 4, or 8 for 64-bit mode. */
static inline unsigned insn_mode(const struct vcpu_sregs *s)
{
	const uint16_t access = s->seg[SEG_CS].access;

	if (s->efer & EFER_LMA && access & BIT(9))
		return 8;
	return access & BIT(10) ? 4 : 2;
}

/* False: not known, or longer than n bytes. mode: what insn_mode() says. */
bool insn_decode(const uint8_t *bytes, unsigned n, unsigned mode, struct insn *out);
