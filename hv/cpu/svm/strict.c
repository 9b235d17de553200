/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Moves to control and debug registers that exit. CR4 always does: a guest gets CR4_GUEST, not what
 * the processor has. QEMU's TCG moreover lets a guest move values into CR0, DR6 and DR7 that a
 * processor answers with #GP, and refuses them at the next VMRUN. There, and only there, these
 * moves exit, too: a value that a processor would refuse becomes the guest's #GP (APM 2, "Control
 * Registers", "Debug Registers"), any other one is moved by the guest itself, with the intercepts
 * off until the next exit.
 *
 * DR7 is kept from TCG altogether: its VMRUN and exits change the register but not the lists of
 * breakpoints behind it, so that the next change takes a watchpoint out of the wrong list, and QEMU
 * dies. A guest reads back what it wrote; its breakpoints, which TCG would have lost, do not fire.
 */
#include "hv/core/decode.h"
#include "hv/cpu/svm/svm_impl.h"

#define HYPERVISOR_LEAF 0x40000000u
#define VECTOR_GP	13
#define HIGH_HALF	0xffffffff00000000ull

#define WRITES_CR0  ((uint16_t)BIT(0))
#define WRITES_DR6  ((uint16_t)BIT(6))
#define ACCESS_DR7  ((uint16_t)(BIT(5) | BIT(7))) /* DR5 is another name for it */
#define VECTOR_UD   6
#define DR7_ENABLED 0xffull
#define DR7_ZERO    0xd800ull /* always 0 */

bool svm_moves_unchecked(void)
{
	const struct cpuid_regs r = cpuid(HYPERVISOR_LEAF, 0);

	return cpuid(1, 0).ecx & BIT(31) && r.ebx == 0x54474354 && r.ecx == 0x43544743 &&
	       r.edx == 0x47435447; /* "TCGTCGTCGTCG" */
}

void svm_strict_before_entry(struct svm_vcpu *v)
{
	struct vmcb_control *c = &v->vmcb->ctl;

	if (!svm.strict)
		return;
	c->dr_read = ACCESS_DR7;
	if (v->move_allowed) {
		c->cr_write &= (uint16_t)~WRITES_CR0;
		c->dr_write = ACCESS_DR7;
	} else {
		c->cr_write |= WRITES_CR0;
		c->dr_write = ACCESS_DR7 | WRITES_DR6;
	}
	v->move_allowed = false;
}

static bool cr0_valid(const struct vmcb_save *s, uint64_t value)
{
	const bool code64 = s->efer & EFER_LMA && s->cs.attrib & ATTRIB_L;

	if (value & HIGH_HALF || (value & CR0_PG && !(value & CR0_PE)) ||
	    (value & CR0_NW && !(value & CR0_CD)))
		return false;
	if (s->cr0 & CR0_PG)
		return value & CR0_PG || !code64;
	return !(value & CR0_PG && s->efer & EFER_LME &&
		 (!(s->cr4 & CR4_PAE) || s->cs.attrib & ATTRIB_L));
}

static bool cr4_valid(const struct vmcb_save *s, uint64_t value)
{
	if (value & ~(svm.limits.cr4 & CR4_GUEST))
		return false;
	return !(s->efer & EFER_LMA) || value & CR4_PAE;
}

static bool valid(const struct vmcb_save *s, uint32_t code, uint64_t value)
{
	switch (code) {
	case EXIT_CR0_WRITE:
		return cr0_valid(s, value);
	case EXIT_CR4_WRITE:
		return cr4_valid(s, value);
	default: /* DR6 */
		return !(value & HIGH_HALF);
	}
}

static void cr4_write(struct svm_vcpu *v, uint64_t value)
{
	v->vmcb->save.cr4 = value;
	v->asid = (struct asid){ 0 }; /* as most changes of it drop all translations */
	svm_skip(&v->vcpu, SKIP_WHOLE);
}

static bool set_dr7(struct svm_vcpu *v, uint64_t value)
{
	if (value & HIGH_HALF)
		return false;
	v->dr7 = (value & ~DR7_ZERO) | DR7_RESET;
	v->vmcb->save.dr7 = v->dr7 & ~(DR7_ENABLED | DR7_GD);
	return true;
}

/* Code that is another one by now is executed as what it is. */
static void dr7_exit(struct svm_vcpu *v, bool write, bool wide, const struct insn *insn)
{
	uint64_t mask = wide ? ~0ull : 0xffffffff, *gpr;

	if (!insn || insn->op != (write ? OP_MOV_DR : OP_MOV_FROM_DR) || (insn->reg | 2) != 7)
		return;
	gpr = &v->vcpu.gpr[insn->base];
	if (insn->reg == 5 && v->vmcb->save.cr4 & CR4_DE) {
		svm_inject_exception(&v->vcpu, VECTOR_UD, -1);
		return;
	}
	if (!write) {
		*gpr = v->dr7;
	} else if (!set_dr7(v, *gpr & mask)) {
		svm_inject_exception(&v->vcpu, VECTOR_GP, 0);
		return;
	}
	svm_skip(&v->vcpu, insn->length);
}

/* LMSW and CLTS cannot do wrong; nor is it decided here if the code is another one by now: then it
 * exits again, or was none of these. */
void svm_strict_exit(struct svm_vcpu *v, uint32_t code, const struct insn *insn)
{
	const bool wide = v->vmcb->save.efer & EFER_LMA && v->vmcb->save.cs.attrib & ATTRIB_L;
	const bool move = insn && (insn->op == OP_MOV_CR || insn->op == OP_MOV_DR);
	uint64_t value = move ? v->vcpu.gpr[insn->base] : 0;

	if (code != EXIT_CR0_WRITE && code != EXIT_CR4_WRITE && code != EXIT_DR6_WRITE) {
		dr7_exit(v, code == EXIT_DR5_WRITE || code == EXIT_DR7_WRITE, wide, insn);
		return;
	}
	if (!wide)
		value = (uint32_t)value;
	if (move && !valid(&v->vmcb->save, code, value))
		svm_inject_exception(&v->vcpu, VECTOR_GP, 0);
	else if (code != EXIT_CR4_WRITE)
		v->move_allowed = true;
	else if (move && insn->op == OP_MOV_CR && insn->reg == 4)
		cr4_write(v, value);
}
