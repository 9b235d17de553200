/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instruction decoder: prefixes, opcode by table, ModRM with SIB and displacement, immediate
 * (SDM 2, "Instruction Format"; opcode maps in its appendix A). What the table does not name is
 * refused. Every byte is taken through take(), which knows how many there are.
 */
#include "hv/core/decode.h"

#include <stddef.h>

#define F_MODRM	  0x01u
#define F_BYTE	  0x02u /* one-byte operands, else by prefixes */
#define F_LOAD	  0x04u /* the register is the destination */
#define F_IMM8	  0x08u
#define F_IMMZ	  0x10u /* 2 or 4 bytes */
#define F_OFFSET  0x20u /* an absolute address follows (A0-A3) */
#define F_MEM8	  0x40u /* the memory operand of MOVZX, MOVSX */
#define F_MEM16	  0x80u
#define F_MEM32	  0x100u
#define F_REGFORM 0x200u /* ModRM names a register whatever its mod bits say */

/* Rows whose operation ModRM.reg chooses. */
enum group { GROUP_ALU = OP_OTHER + 1, GROUP_F6, GROUP_INC, GROUP_MOV, GROUP_BT };

struct opcode {
	uint16_t code; /* 0f00h + second byte for the two-byte map */
	uint8_t op;    /* enum insn_op or enum group */
	uint16_t flags;
};

static const struct opcode opcodes[] = {
	{ 0x63, OP_MOVSX, F_MODRM | F_LOAD | F_MEM32 }, /* MOVSXD; ARPL outside of 64-bit mode */
	{ 0x6c, OP_INS, F_BYTE },
	{ 0x6d, OP_INS, 0 },
	{ 0x6e, OP_OUTS, F_BYTE },
	{ 0x6f, OP_OUTS, 0 },
	{ 0x80, GROUP_ALU, F_MODRM | F_BYTE | F_IMM8 },
	{ 0x81, GROUP_ALU, F_MODRM | F_IMMZ },
	{ 0x83, GROUP_ALU, F_MODRM | F_IMM8 },
	{ 0x84, OP_TEST, F_MODRM | F_BYTE },
	{ 0x85, OP_TEST, F_MODRM },
	{ 0x86, OP_XCHG, F_MODRM | F_BYTE },
	{ 0x87, OP_XCHG, F_MODRM },
	{ 0x88, OP_MOV, F_MODRM | F_BYTE },
	{ 0x89, OP_MOV, F_MODRM },
	{ 0x8a, OP_MOV, F_MODRM | F_BYTE | F_LOAD },
	{ 0x8b, OP_MOV, F_MODRM | F_LOAD },
	{ 0x90, OP_OTHER, 0 }, /* PAUSE, NOP */
	{ 0xa0, OP_MOV, F_BYTE | F_OFFSET | F_LOAD },
	{ 0xa1, OP_MOV, F_OFFSET | F_LOAD },
	{ 0xa2, OP_MOV, F_BYTE | F_OFFSET },
	{ 0xa3, OP_MOV, F_OFFSET },
	{ 0xa4, OP_MOVS, F_BYTE },
	{ 0xa5, OP_MOVS, 0 },
	{ 0xaa, OP_STOS, F_BYTE },
	{ 0xab, OP_STOS, 0 },
	{ 0xac, OP_LODS, F_BYTE },
	{ 0xad, OP_LODS, 0 },
	{ 0xc6, GROUP_MOV, F_MODRM | F_BYTE | F_IMM8 },
	{ 0xc7, GROUP_MOV, F_MODRM | F_IMMZ },
	{ 0xf4, OP_OTHER, 0 }, /* HLT */
	{ 0xf6, GROUP_F6, F_MODRM | F_BYTE },
	{ 0xf7, GROUP_F6, F_MODRM },
	{ 0xfe, GROUP_INC, F_MODRM | F_BYTE },
	{ 0xff, GROUP_INC, F_MODRM },

	{ 0x0f01, OP_OTHER, F_MODRM }, /* VMMCALL, XSETBV, MONITOR, MWAIT, VMRUN, INVLPG, … */
	{ 0x0f06, OP_OTHER, 0 },       /* CLTS */
	{ 0x0f08, OP_OTHER, 0 },       /* INVD */
	{ 0x0f09, OP_OTHER, 0 },       /* WBINVD */
	{ 0x0f20, OP_MOV_FROM_CR, F_MODRM | F_REGFORM },
	{ 0x0f21, OP_MOV_FROM_DR, F_MODRM | F_REGFORM },
	{ 0x0f22, OP_MOV_CR, F_MODRM | F_REGFORM },
	{ 0x0f23, OP_MOV_DR, F_MODRM | F_REGFORM },
	{ 0x0f30, OP_OTHER, 0 }, /* WRMSR */
	{ 0x0f31, OP_OTHER, 0 }, /* RDTSC */
	{ 0x0f32, OP_OTHER, 0 }, /* RDMSR */
	{ 0x0f33, OP_OTHER, 0 }, /* RDPMC */
	{ 0x0fa2, OP_OTHER, 0 }, /* CPUID */
	{ 0x0fa3, OP_BT, F_MODRM },
	{ 0x0fab, OP_BTS, F_MODRM },
	{ 0x0fb3, OP_BTR, F_MODRM },
	{ 0x0fbb, OP_BTC, F_MODRM },
	{ 0x0fba, GROUP_BT, F_MODRM | F_IMM8 },
	{ 0x0fb6, OP_MOVZX, F_MODRM | F_LOAD | F_MEM8 },
	{ 0x0fb7, OP_MOVZX, F_MODRM | F_LOAD | F_MEM16 },
	{ 0x0fbe, OP_MOVSX, F_MODRM | F_LOAD | F_MEM8 },
	{ 0x0fbf, OP_MOVSX, F_MODRM | F_LOAD | F_MEM16 },
	{ 0x0fc3, OP_MOV, F_MODRM }, /* MOVNTI */
};

struct decoder {
	const uint8_t *bytes;
	unsigned n, at;
	unsigned mode;
	bool opsize, addrsize; /* 66h, 67h */
	uint8_t rex;	       /* 0: none */
	bool seg_given;
};

static bool take(struct decoder *d, unsigned count, uint64_t *value)
{
	*value = 0;
	if (d->n - d->at < count)
		return false;
	for (unsigned i = 0; i < count; i++)
		*value |= (uint64_t)d->bytes[d->at++] << (8 * i);
	return true;
}

static int64_t sign_extend(uint64_t value, unsigned bytes)
{
	const unsigned unused = 64 - 8 * bytes;

	return (int64_t)(value << unused) >> unused;
}

/* True if byte is a prefix; REX counts only as the last one. */
static bool prefix(struct decoder *d, uint8_t byte, struct insn *insn)
{
	static const uint8_t seg_codes[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 }; /* ES … GS */

	if (d->mode == 8 && (byte & 0xf0) == 0x40) {
		d->rex = byte;
		return true;
	}
	for (unsigned seg = 0; seg < sizeof(seg_codes); seg++) {
		if (byte == seg_codes[seg]) {
			if (d->mode != 8 || seg >= SEG_FS) { /* the others mean nothing there */
				insn->seg = (uint8_t)seg;
				d->seg_given = true;
			}
			d->rex = 0;
			return true;
		}
	}
	switch (byte) {
	case 0x66:
		d->opsize = true;
		break;
	case 0x67:
		d->addrsize = true;
		break;
	case 0xf2:
	case 0xf3:
		insn->rep = true;
		break;
	case 0xf0: /* LOCK: device memory knows no other writer in between */
		break;
	default:
		return false;
	}
	d->rex = 0;
	return true;
}

static bool find_opcode(uint16_t code, struct opcode *out)
{
	if (code < 0x40 && (code & 7) < 4) { /* op r/m,r and op r,r/m of the eight ALU operations */
		*out = (struct opcode){ code, (uint8_t)(code >> 3), F_MODRM };
		if (!(code & 1))
			out->flags |= F_BYTE;
		if (code & 2)
			out->flags |= F_LOAD;
		return true;
	}
	for (size_t i = 0; i < sizeof(opcodes) / sizeof(opcodes[0]); i++) {
		if (opcodes[i].code == code) {
			*out = opcodes[i];
			return true;
		}
	}
	return false;
}

/* What ModRM.reg makes of a group; F6 and F7 have an immediate only as TEST. */
static bool resolve_group(struct opcode *opcode, unsigned reg)
{
	static const uint8_t f6[] = { OP_TEST, OP_TEST, OP_NOT, OP_NEG };

	switch (opcode->op) {
	case GROUP_ALU:
		opcode->op = (uint8_t)(OP_ADD + reg);
		return true;
	case GROUP_F6:
		if (reg > 3)
			return false;
		opcode->op = f6[reg];
		if (reg < 2)
			opcode->flags |= opcode->flags & F_BYTE ? F_IMM8 : F_IMMZ;
		return true;
	case GROUP_INC:
		opcode->op = (uint8_t)(OP_INC + reg);
		return reg < 2;
	case GROUP_MOV:
		opcode->op = OP_MOV;
		return reg == 0;
	case GROUP_BT:
		opcode->op = (uint8_t)(OP_BT + reg - 4);
		return reg >= 4;
	default:
		return true;
	}
}

/* SDM 2, "16-Bit Addressing Forms with the ModR/M Byte". */
static bool address_16(struct decoder *d, struct insn *insn, unsigned mod, unsigned rm)
{
	static const int8_t base[] = { GPR_RBX, GPR_RBX, GPR_RBP, GPR_RBP,
				       GPR_RSI, GPR_RDI, GPR_RBP, GPR_RBX };
	static const int8_t index[] = { GPR_RSI,     GPR_RDI,	  GPR_RSI,     GPR_RDI,
					INSN_NO_REG, INSN_NO_REG, INSN_NO_REG, INSN_NO_REG };
	unsigned disp_bytes = mod; /* 0, 1 or 2 */
	uint64_t disp;

	insn->base = base[rm];
	insn->index = index[rm];
	if (mod == 0 && rm == 6) {
		insn->base = INSN_NO_REG;
		disp_bytes = 2;
	}
	if (!take(d, disp_bytes, &disp))
		return false;
	insn->disp = disp_bytes ? (int32_t)sign_extend(disp, disp_bytes) : 0;
	return true;
}

static bool sib(struct decoder *d, struct insn *insn, unsigned mod, unsigned *disp_bytes)
{
	uint64_t byte;
	unsigned index;

	if (!take(d, 1, &byte))
		return false;
	index = ((byte >> 3) & 7) | (d->rex & 2u) << 2;
	insn->scale = (uint8_t)(byte >> 6);
	insn->index = index == GPR_RSP ? INSN_NO_REG : (int8_t)index;
	if ((byte & 7) == 5 && mod == 0) {
		*disp_bytes = 4;
		return true;
	}
	insn->base = (int8_t)((byte & 7) | (d->rex & 1u) << 3);
	return true;
}

/* SDM 2, "32-Bit Addressing Forms with the ModR/M Byte" and "RIP-Relative Addressing". */
static bool address_32(struct decoder *d, struct insn *insn, unsigned mod, unsigned rm)
{
	unsigned disp_bytes = mod == 2 ? 4 : mod;
	uint64_t disp;

	if (rm == 4) {
		if (!sib(d, insn, mod, &disp_bytes))
			return false;
	} else if (rm == 5 && mod == 0) {
		disp_bytes = 4;
		insn->rip_relative = d->mode == 8;
	} else {
		insn->base = (int8_t)(rm | (d->rex & 1u) << 3);
	}
	if (!take(d, disp_bytes, &disp))
		return false;
	insn->disp = disp_bytes ? (int32_t)sign_extend(disp, disp_bytes) : 0;
	return true;
}

static bool modrm(struct decoder *d, struct opcode *opcode, struct insn *insn)
{
	uint64_t byte;
	unsigned mod, rm;

	if (!take(d, 1, &byte))
		return false;
	mod = (unsigned)byte >> 6;
	rm = byte & 7;
	insn->reg = (uint8_t)(((byte >> 3) & 7) | (d->rex & 4u) << 1);
	if (!resolve_group(opcode, (byte >> 3) & 7))
		return false;
	if (mod == 3 || opcode->flags & F_REGFORM) {
		insn->base = (int8_t)(rm | (d->rex & 1u) << 3);
		return true;
	}
	insn->memory = true;
	if (insn->addr_bytes == 2) {
		if (!address_16(d, insn, mod, rm))
			return false;
	} else if (!address_32(d, insn, mod, rm)) {
		return false;
	}
	if (!d->seg_given && (insn->base == GPR_RSP || insn->base == GPR_RBP))
		insn->seg = SEG_SS;
	return true;
}

static void sizes(const struct decoder *d, const struct opcode *opcode, struct insn *insn)
{
	const unsigned word = (d->mode == 2) != d->opsize ? 2 : 4;

	insn->bytes = (uint8_t)(d->rex & 8 ? 8 : word);
	if ((opcode->op == OP_INS || opcode->op == OP_OUTS) && insn->bytes == 8)
		insn->bytes = 4;
	if (opcode->flags & F_BYTE)
		insn->bytes = 1;
	insn->mem_bytes = insn->bytes;
	if (opcode->flags & F_MEM8)
		insn->mem_bytes = 1;
	if (opcode->flags & F_MEM16)
		insn->mem_bytes = 2;
	if (opcode->flags & F_MEM32 && insn->bytes == 8)
		insn->mem_bytes = 4;
	if (d->mode == 8)
		insn->addr_bytes = d->addrsize ? 4 : 8;
	else
		insn->addr_bytes = (d->mode == 2) != d->addrsize ? 2 : 4;
}

static bool operands(struct decoder *d, struct opcode *opcode, struct insn *insn)
{
	const unsigned immz = insn->bytes == 2 ? 2 : 4;
	uint64_t imm;

	if (opcode->flags & F_MODRM && !modrm(d, opcode, insn))
		return false;
	if (opcode->flags & F_OFFSET) {
		insn->memory = true;
		insn->reg = GPR_RAX;
		if (!take(d, insn->addr_bytes, &insn->offset))
			return false;
	}
	if (opcode->flags & (F_IMM8 | F_IMMZ)) {
		const unsigned bytes = opcode->flags & F_IMM8 ? 1 : immz;

		if (!take(d, bytes, &imm))
			return false;
		insn->has_imm = true;
		insn->imm = sign_extend(imm, bytes);
	}
	return true;
}

bool insn_decode(const uint8_t *bytes, unsigned n, unsigned mode, struct insn *out)
{
	struct decoder d = { .bytes = bytes,
			     .n = n > INSN_MAX_BYTES ? INSN_MAX_BYTES : n,
			     .mode = mode };
	struct insn insn = { .base = INSN_NO_REG, .index = INSN_NO_REG, .seg = SEG_DS };
	struct opcode opcode;
	uint64_t code;

	do {
		if (!take(&d, 1, &code))
			return false;
	} while (prefix(&d, (uint8_t)code, &insn));
	if (code == 0x0f) {
		if (!take(&d, 1, &code))
			return false;
		code |= 0x0f00;
	}
	if (!find_opcode((uint16_t)code, &opcode) || (code == 0x63 && mode != 8))
		return false;
	sizes(&d, &opcode, &insn);
	insn.rex = d.rex != 0;
	insn.load = opcode.flags & F_LOAD;
	if (!operands(&d, &opcode, &insn))
		return false;
	insn.op = opcode.op;
	insn.length = (uint8_t)d.at;
	*out = insn;
	return true;
}
