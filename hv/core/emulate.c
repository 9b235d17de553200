/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Carries out the instructions that access device memory, and string I/O (SDM 2, "Instruction Set
 * Reference"). The address comes from the instruction and the guest's registers, not from the
 * exit: what stands at RIP now is what the guest would execute. Another vCPU may have changed it
 * since the exit; if it then touches RAM only, nothing is done and the guest executes it itself, and
 * what is not known here is left to it a few times, too, since it may not be what made the exit. A
 * repeated string instruction is done one element at a time: RIP stays, and the guest comes back.
 *
 * Segment limits are not checked: they bind 32-bit guests' own programs, and those reach device
 * memory only through pages that their kernel gave them.
 */
#include "hv/core/emulate_impl.h"

#include <string.h>

#define RFLAGS_DF BIT(10)
#define ACCESS_W  BIT(1)
#define ACCESS_U  BIT(2)
#define PAGE_MASK 4095u
#define VECTOR_SS 12
#define VECTOR_GP 13

/* Where an operand lies: guest-physical, in two pieces if it crosses a page. */
struct place {
	gpa_t at[2];
	unsigned bytes, first; /* first: those in at[0] */
	bool ram;	       /* all of it */
};

#define MMIO_TRIES 8u /* until what cannot be carried out stops the VM */

/* GO: on with it; AGAIN: a fault was injected or the guest shall re-execute; CANNOT: stop the
 * VM. */
enum verdict { GO, AGAIN, CANNOT };

struct emulation {
	struct vcpu *vcpu;
	struct vcpu_sregs s;
	uint64_t old_rflags;
	struct insn insn;
	unsigned mode;
	mmio_access_fn *access;
};

static uint64_t size_mask(unsigned bytes)
{
	return bytes >= 8 ? ~0ull : BIT(8 * bytes) - 1;
}

/* ---- registers ---- */

static uint64_t reg_read(const struct emulation *e, unsigned reg, unsigned bytes)
{
	if (bytes == 1 && !e->insn.rex && reg >= 4 && reg < 8)
		return e->vcpu->gpr[reg - 4] >> 8 & 0xff;
	return e->vcpu->gpr[reg] & size_mask(bytes);
}

static void reg_write(struct emulation *e, unsigned reg, unsigned bytes, uint64_t value)
{
	uint64_t mask = size_mask(bytes);
	unsigned shift = 0;

	if (bytes == 1 && !e->insn.rex && reg >= 4 && reg < 8) {
		reg -= 4;
		shift = 8;
	}
	if (bytes == 4)
		mask = ~0ull; /* the upper half becomes 0 */
	value = bytes == 4 ? value & 0xffffffff : value & mask;
	e->vcpu->gpr[reg] = (e->vcpu->gpr[reg] & ~(mask << shift)) | value << shift;
}

/* RSI, RDI, RCX at the width of the address size; 4 bytes clear the upper half. */
static uint64_t address_reg(const struct emulation *e, enum gpr reg)
{
	return e->vcpu->gpr[reg] & size_mask(e->insn.addr_bytes);
}

static void address_reg_add(struct emulation *e, enum gpr reg, int64_t delta)
{
	const uint64_t mask = size_mask(e->insn.addr_bytes);
	const uint64_t kept = e->insn.addr_bytes == 2 ? e->vcpu->gpr[reg] & ~mask : 0;

	e->vcpu->gpr[reg] = kept | ((e->vcpu->gpr[reg] + (uint64_t)delta) & mask);
}

/* ---- addresses ---- */

static uint64_t linear(const struct emulation *e, enum seg_reg seg, uint64_t effective)
{
	effective &= size_mask(e->insn.addr_bytes);
	if (e->mode == 8)
		return effective + (seg >= SEG_FS ? e->s.seg[seg].base : 0);
	return (effective + e->s.seg[seg].base) & 0xffffffff;
}

/* Bit strings: a register's offset reaches beyond the operand, with its sign. */
static int64_t bit_displacement(const struct emulation *e)
{
	const unsigned bits = 8u * e->insn.bytes;
	int64_t offset;

	if (e->insn.op < OP_BT || e->insn.op > OP_BTC || e->insn.has_imm)
		return 0;
	offset = (int64_t)(e->vcpu->gpr[e->insn.reg] << (64 - bits)) >> (64 - bits);
	return (offset >> __builtin_ctz(bits)) * e->insn.bytes;
}

static uint64_t operand_address(const struct emulation *e)
{
	const struct insn *insn = &e->insn;
	uint64_t at = (uint64_t)(int64_t)insn->disp + insn->offset;

	if (insn->base != INSN_NO_REG)
		at += e->vcpu->gpr[insn->base];
	if (insn->index != INSN_NO_REG)
		at += e->vcpu->gpr[insn->index] << insn->scale;
	if (insn->rip_relative)
		at += e->s.rip + insn->length;
	return linear(e, insn->seg, at + (uint64_t)bit_displacement(e));
}

/* One page's worth of an operand; a fault goes to the guest. */
static enum verdict translate(struct emulation *e, uint64_t at, bool write, gpa_t *out)
{
	uint32_t access = write ? ACCESS_W : 0, pf_error;

	if (e->mode != 8)
		at &= 0xffffffff;
	if (e->mode == 8 && !canonical_in(at, e->s.cr4 & CR4_LA57 ? 57 : 48)) {
		vcpu_inject(e->vcpu, e->insn.seg == SEG_SS ? VECTOR_SS : VECTOR_GP, 0);
		return AGAIN;
	}
	if ((e->s.seg[SEG_SS].access >> 5 & 3) == 3)
		access |= ACCESS_U;
	if (gva_to_gpa(e->vcpu, at, access, out, &pf_error) < 0) {
		vcpu_inject_pf(e->vcpu, at, pf_error);
		return AGAIN;
	}
	return GO;
}

static enum verdict place_find(struct emulation *e, uint64_t at, unsigned bytes, bool write,
			       struct place *out)
{
	const struct gmem *mem = &e->vcpu->vm->mem;
	const unsigned in_page = PAGE_MASK + 1 - (at & PAGE_MASK);
	enum verdict v = translate(e, at, write, &out->at[0]);

	if (v != GO)
		return v;
	out->bytes = bytes;
	out->first = bytes < in_page ? bytes : in_page;
	out->ram = gmem_ptr(mem, out->at[0].v, out->first);
	if (out->first == bytes)
		return GO;
	v = translate(e, at + out->first, write, &out->at[1]);
	if (v != GO)
		return v;
	out->ram = out->ram && gmem_ptr(mem, out->at[1].v, bytes - out->first);
	return GO;
}

/* Within a page: RAM, or a device's, at once if a bus knows such a width, else byte by byte. */
static bool piece_access(struct emulation *e, gpa_t at, unsigned bytes, bool write, uint8_t *data)
{
	const unsigned step = bytes & (bytes - 1) ? 1 : bytes;

	if (gmem_ptr(&e->vcpu->vm->mem, at.v, bytes))
		return write ? vm_write(e->vcpu->vm, at, data, bytes)
			     : vm_read(e->vcpu->vm, at, data, bytes);
	for (unsigned done = 0; done < bytes; done += step) {
		uint64_t value = 0;

		if (write)
			memcpy(&value, data + done, step);
		if (!e->access(e->vcpu, (gpa_t){ at.v + done }, step, write, &value))
			return false;
		if (!write)
			memcpy(data + done, &value, step);
	}
	return true;
}

static enum verdict place_access(struct emulation *e, const struct place *p, bool write,
				 uint64_t *value)
{
	const unsigned rest = p->bytes - p->first;
	uint8_t data[8] = { 0 };

	if (write)
		memcpy(data, value, p->bytes);
	if (!piece_access(e, p->at[0], p->first, write, data) ||
	    (rest && !piece_access(e, p->at[1], rest, write, data + p->first)))
		return CANNOT;
	if (!write)
		memcpy(value, data, sizeof(data));
	return GO;
}

/* ---- one memory operand ---- */

static uint64_t source(const struct emulation *e)
{
	if (e->insn.has_imm)
		return (uint64_t)e->insn.imm & size_mask(e->insn.bytes);
	return reg_read(e, e->insn.reg, e->insn.bytes);
}

static uint64_t sign_extended(const struct emulation *e, uint64_t value)
{
	const unsigned unused = 64 - 8u * e->insn.mem_bytes;

	return (uint64_t)((int64_t)(value << unused) >> unused);
}

static bool op_reads(const struct insn *insn)
{
	return insn->op != OP_MOV || insn->load;
}

static bool op_writes(const struct insn *insn)
{
	return !insn->load && insn->op != OP_CMP && insn->op != OP_TEST && insn->op != OP_BT;
}

/* Destination ← operation(memory, register or immediate); flags to match. */
static enum verdict memory_carry_out(struct emulation *e, const struct place *p)
{
	const struct insn *insn = &e->insn;
	uint64_t memory = 0, reg = source(e), result;
	enum verdict v;

	if (op_reads(insn)) {
		v = place_access(e, p, false, &memory);
		if (v != GO)
			return v;
		memory &= size_mask(insn->mem_bytes);
	}
	if (insn->op == OP_MOV || insn->op == OP_XCHG)
		result = insn->load ? memory : reg;
	else if (insn->op == OP_MOVZX || insn->op == OP_MOVSX)
		result = insn->op == OP_MOVSX ? sign_extended(e, memory) : memory;
	else if (insn->load)
		result = alu(insn->op, insn->bytes, reg, memory, &e->s.rflags);
	else
		result = alu(insn->op, insn->bytes, memory, reg, &e->s.rflags);
	if (op_writes(insn)) {
		v = place_access(e, p, true, &result);
		if (v != GO)
			return v;
	}
	if (insn->op == OP_XCHG)
		reg_write(e, insn->reg, insn->bytes, memory);
	else if (insn->load && insn->op != OP_CMP)
		reg_write(e, insn->reg, insn->bytes, result);
	return GO;
}

static enum verdict memory_op(struct emulation *e)
{
	struct place p;
	enum verdict v;

	if (!e->insn.memory || e->insn.op >= OP_MOVS)
		return CANNOT;
	v = place_find(e, operand_address(e), e->insn.mem_bytes, op_writes(&e->insn), &p);
	if (v != GO)
		return v;
	return p.ram ? AGAIN : memory_carry_out(e, &p);
}

/* ---- strings ---- */

static bool repeat_over(const struct emulation *e)
{
	return e->insn.rep && address_reg(e, GPR_RCX) == 0;
}

/* After an element: the index registers move on; GO if the instruction is over. If not, the guest
 * comes back to it, but may be interrupted before, or single-step. */
static enum verdict string_step(struct emulation *e, bool rsi, bool rdi)
{
	const int64_t delta = e->s.rflags & RFLAGS_DF ? -(int64_t)e->insn.bytes : e->insn.bytes;

	if (rsi)
		address_reg_add(e, GPR_RSI, delta);
	if (rdi)
		address_reg_add(e, GPR_RDI, delta);
	if (!e->insn.rep)
		return GO;
	address_reg_add(e, GPR_RCX, -1);
	if (repeat_over(e))
		return GO;
	hvm->skip(e->vcpu, 0);
	return AGAIN;
}

static enum verdict find_source(struct emulation *e, struct place *p)
{
	return place_find(e, linear(e, e->insn.seg, address_reg(e, GPR_RSI)), e->insn.bytes, false,
			  p);
}

static enum verdict find_destination(struct emulation *e, struct place *p)
{
	return place_find(e, linear(e, SEG_ES, address_reg(e, GPR_RDI)), e->insn.bytes, true, p);
}

/* Both places are found before either is touched: a fault leaves no trace. */
static enum verdict string_op(struct emulation *e)
{
	const bool reads = e->insn.op != OP_STOS, writes = e->insn.op != OP_LODS;
	struct place from = { .ram = true }, to = { .ram = true };
	uint64_t value = reg_read(e, GPR_RAX, e->insn.bytes);
	enum verdict v;

	if (repeat_over(e))
		return GO;
	if (reads) {
		v = find_source(e, &from);
		if (v != GO)
			return v;
	}
	if (writes) {
		v = find_destination(e, &to);
		if (v != GO)
			return v;
	}
	if (from.ram && to.ram)
		return AGAIN;
	v = reads ? place_access(e, &from, false, &value) : GO;
	if (v == GO && writes)
		v = place_access(e, &to, true, &value);
	if (v != GO)
		return v;
	if (!writes)
		reg_write(e, GPR_RAX, e->insn.bytes, value);
	return string_step(e, reads, writes);
}

/* ---- entries ---- */

static bool emulation_start(struct emulation *e, struct vcpu *vcpu)
{
	uint8_t bytes[INSN_MAX_BYTES] = { 0 };
	const unsigned n = guest_fetch(vcpu, bytes);

	e->vcpu = vcpu;
	hvm->get_sregs(vcpu, &e->s);
	e->old_rflags = e->s.rflags;
	e->mode = insn_mode(&e->s);
	return insn_decode(bytes, n, e->mode, &e->insn);
}

static void finish(struct emulation *e)
{
	if (e->s.rflags != e->old_rflags)
		hvm->set_sregs(e->vcpu, &e->s);
	hvm->skip(e->vcpu, e->insn.length);
}

/* Whether the guest may try again what cannot be carried out. */
static bool may_try_again(struct vcpu *vcpu, uint64_t rip)
{
	if (vcpu->mmio_rip != rip)
		vcpu->mmio_tries = 0;
	vcpu->mmio_rip = rip;
	return ++vcpu->mmio_tries < MMIO_TRIES;
}

bool emulate_mmio(struct vcpu *vcpu, const struct vmexit *exit, mmio_access_fn *access)
{
	struct emulation e = { .access = access };
	enum verdict v = CANNOT;

	(void)exit; /* see above: the address is taken from the instruction */
	vcpu->mmio_refused = false;
	if (emulation_start(&e, vcpu)) {
		if (e.insn.op == OP_MOVS || e.insn.op == OP_STOS || e.insn.op == OP_LODS)
			v = string_op(&e);
		else
			v = memory_op(&e);
	}
	if (v == CANNOT)
		return !vcpu->mmio_refused && may_try_again(vcpu, e.s.rip);
	vcpu->mmio_tries = 0;
	if (v == GO)
		finish(&e);
	return true;
}

bool emulate_string_io(struct vcpu *vcpu, const struct vmexit *exit, io_access_fn *access,
		       mmio_access_fn *memory)
{
	struct emulation e = { .access = memory };
	const bool out = exit->io.write;
	struct place p;
	uint64_t value = 0;
	uint32_t data;
	enum verdict v;

	if (!emulation_start(&e, vcpu))
		return may_try_again(vcpu, e.s.rip);
	/* Port and direction are the exit's: the processor has checked the guest's right to
	 * them. */
	if (e.insn.op != (out ? OP_OUTS : OP_INS) || e.insn.bytes != exit->io.bytes)
		return true;
	if (repeat_over(&e)) {
		finish(&e);
		return true;
	}
	v = out ? find_source(&e, &p) : find_destination(&e, &p);
	if (v != GO)
		return v == AGAIN;
	if (out && place_access(&e, &p, false, &value) != GO)
		return false;
	data = (uint32_t)value;
	if (!access(vcpu, exit->io.port, exit->io.bytes, out, &data))
		return false;
	value = data;
	if (!out && place_access(&e, &p, true, &value) != GO)
		return false;
	if (string_step(&e, out, !out) == GO)
		finish(&e);
	return true;
}
