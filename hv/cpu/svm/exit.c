/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exit codes (APM 2, appendix C) in neutral words, and the length of the instruction behind an exit
 * where the processor does not tell it. What the core need not know is dealt with here.
 */
#include "hv/core/decode.h"
#include "hv/core/log.h"
#include "hv/cpu/svm/svm_impl.h"

#include <string.h>

#define VECTOR_DB 1
#define VECTOR_GP 13
#define VECTOR_AC 17

/* Exits that need no more than their name. length: of the bare instruction, should the guest's
 * code not be readable (any more) when it is skipped. */
static const struct {
	uint16_t code;
	uint8_t kind; /* enum vmexit_kind */
	uint8_t length;
} plain[] = {
	{ EXIT_INTR, VMEXIT_INTERRUPT, 0 },
	{ EXIT_NMI, VMEXIT_INTERRUPT, 0 }, /* taken when GIF came back */
	{ EXIT_CPUID, VMEXIT_CPUID, 2 },
	{ EXIT_HLT, VMEXIT_HLT, 1 },
	{ EXIT_PAUSE, VMEXIT_PAUSE, 2 },
	{ EXIT_XSETBV, VMEXIT_XSETBV, 3 },
	{ EXIT_VMMCALL, VMEXIT_HYPERCALL, 3 },
	{ EXIT_INVD, VMEXIT_CACHE, 2 },
	{ EXIT_WBINVD, VMEXIT_CACHE, 2 },
	{ EXIT_VMRUN, VMEXIT_UNDEFINED, 3 },
	{ EXIT_VMLOAD, VMEXIT_UNDEFINED, 3 },
	{ EXIT_VMSAVE, VMEXIT_UNDEFINED, 3 },
	{ EXIT_STGI, VMEXIT_UNDEFINED, 3 },
	{ EXIT_CLGI, VMEXIT_UNDEFINED, 3 },
	{ EXIT_SKINIT, VMEXIT_UNDEFINED, 3 },
	{ EXIT_INVLPGA, VMEXIT_UNDEFINED, 3 },
	{ EXIT_MONITOR, VMEXIT_UNDEFINED, 3 },
	{ EXIT_MWAIT, VMEXIT_UNDEFINED, 3 },
	{ EXIT_MWAIT_ARMED, VMEXIT_UNDEFINED, 3 },
	{ EXIT_SHUTDOWN, VMEXIT_SHUTDOWN, 0 },
	{ EXIT_MSR, VMEXIT_RDMSR, 2 },	  /* or WRMSR */
	{ EXIT_CR8_READ, VMEXIT_CR8, 4 }, /* with its operands */
	{ EXIT_CR8_WRITE, VMEXIT_CR8, 4 },
	{ EXIT_IOIO, VMEXIT_IO, 0 },
};
#define PLAIN_COUNT (sizeof(plain) / sizeof(plain[0]))

static void failed(struct vmexit *exit, const char *what, uint64_t a, uint64_t b)
{
	exit->kind = VMEXIT_FAILED;
	snprintf(exit->reason, sizeof(exit->reason), "%s (0x%llx, 0x%llx)", what,
		 (unsigned long long)a, (unsigned long long)b);
}

static bool decode_at_rip(struct svm_vcpu *v, struct insn *insn)
{
	uint8_t bytes[INSN_MAX_BYTES];
	const unsigned n = guest_fetch(&v->vcpu, bytes);
	struct vcpu_sregs s;

	svm_get_sregs(&v->vcpu, &s);
	return insn_decode(bytes, n, insn_mode(&s), insn);
}

static void io_exit(const struct vmcb_control *c, struct vmexit *exit)
{
	const uint64_t info = c->exit_info1;

	exit->kind = VMEXIT_IO;
	exit->io.port = (uint16_t)(info >> 16);
	exit->io.bytes = (uint8_t)(info >> 4 & 7); /* SZ8, SZ16, SZ32: one bit each */
	exit->io.write = !(info & IOIO_IN);
	exit->io.string = info & IOIO_STRING;
	exit->io.rep = info & IOIO_REP;
	exit->io.addr_bytes = (uint8_t)((info >> 7 & 7) << 1);
	exit->io.seg = (uint8_t)(info >> 10 & 7);
}

static void npf_exit(const struct vmcb_control *c, bool cut, struct vmexit *exit)
{
	const uint64_t info = c->exit_info1;

	if (info & (NPF_PRESENT | NPF_RESERVED)) {
		failed(exit, "nested page fault on mapped memory (code, address)", info,
		       c->exit_info2);
		return;
	}
	/* An event's delivery is no instruction that could be emulated: stack or IDT is not RAM. */
	exit->kind = cut || info & (NPF_FETCH | NPF_WALK) ? VMEXIT_MMIO_FETCH : VMEXIT_MMIO;
	exit->mmio.gpa.v = c->exit_info2;
	exit->mmio.write = info & NPF_WRITE;
}

static void cr8_exit(struct svm_vcpu *v, struct vmexit *exit)
{
	const struct vmcb_control *c = &v->vmcb->ctl;
	struct insn insn;

	exit->kind = VMEXIT_CR8;
	exit->cr8.write = c->exit_code == EXIT_CR8_WRITE;
	if (svm.edx & SVM_EDX_DECODE) {
		exit->cr8.gpr = c->exit_info1 & 15;
		return;
	}
	if (decode_at_rip(v, &insn) && insn.op == (exit->cr8.write ? OP_MOV_CR : OP_MOV_FROM_CR))
		exit->cr8.gpr = (uint8_t)insn.base;
	else /* the guest has changed its code: it executes what it is now */
		exit->kind = VMEXIT_NONE;
}

/*
 * QEMU makes VMEXIT_INVALID also of a guest's MOV to CR3 or CR4 with a reserved bit: a #GP. A
 * refused entry instead stored the host's registers, RIP in svm_run() among them, so what is shown
 * then is the copy of before.
 */
static void invalid_exit(struct svm_vcpu *v, struct vmexit *exit)
{
	const char *sentence;
	struct insn insn;
	const uint64_t rip = v->vmcb->save.rip;
	const bool refused = rip >= (uint64_t)svm_run && rip < (uint64_t)svm_run_end;

	if (!refused && decode_at_rip(v, &insn) && insn.op == OP_MOV_CR) {
		svm_inject_exception(&v->vcpu, VECTOR_GP, 0);
		exit->kind = VMEXIT_NONE;
		return;
	}
	memcpy(v->vmcb, v->entered, sizeof(*v->vmcb));
	v->vcpu.gpr[GPR_RAX] = v->vmcb->save.rax;
	v->vcpu.gpr[GPR_RSP] = v->vmcb->save.rsp;
	sentence = svm_check(v->vmcb, &svm.limits);
	exit->kind = VMEXIT_FAILED;
	snprintf(exit->reason, sizeof(exit->reason), "VM entry refused: %s",
		 sentence ? sentence : "by none of the checks that APM 2 lists for VMRUN");
}

static bool plain_exit(uint32_t code, struct vmexit *exit)
{
	for (unsigned i = 0; i < PLAIN_COUNT; i++) {
		if (plain[i].code == code) {
			exit->kind = plain[i].kind;
			return true;
		}
	}
	return false;
}

static void exception_exit(struct svm_vcpu *v, uint32_t code, struct vmexit *exit)
{
	exit->kind = VMEXIT_NONE;
	if (code == EXIT_EXCEPTION_DB)
		svm_inject_exception(&v->vcpu, VECTOR_DB, -1);
	else if (code == EXIT_EXCEPTION_AC)
		svm_inject_exception(&v->vcpu, VECTOR_AC, 0);
	else
		failed(exit, "machine check while the guest ran", 0, 0);
}

static void other_exit(struct svm_vcpu *v, uint32_t code, bool cut, struct vmexit *exit)
{
	const struct vmcb_control *c = &v->vmcb->ctl;
	struct insn insn;

	switch (code) {
	case EXIT_VINTR:
		exit->kind = VMEXIT_IRQ_WINDOW;
		break;
	case EXIT_NPF:
		npf_exit(c, cut, exit);
		break;
	case EXIT_RDPMC: /* no counters are offered */
		svm_inject_exception(&v->vcpu, VECTOR_GP, 0);
		exit->kind = VMEXIT_NONE;
		break;
	case EXIT_CR0_WRITE:
	case EXIT_CR4_WRITE:
	case EXIT_DR5_READ:
	case EXIT_DR7_READ:
	case EXIT_DR5_WRITE:
	case EXIT_DR6_WRITE:
	case EXIT_DR7_WRITE:
		svm_strict_exit(v, code, decode_at_rip(v, &insn) ? &insn : NULL);
		exit->kind = VMEXIT_NONE;
		break;
	case EXIT_IRET:
		svm_iret_exit(v);
		exit->kind = VMEXIT_NONE;
		break;
	case EXIT_EXCEPTION_DB:
	case EXIT_EXCEPTION_AC:
	case EXIT_EXCEPTION_MC:
		exception_exit(v, code, exit);
		break;
	default:
		failed(exit, "unknown exit code (code, info)", code, c->exit_info1);
	}
}

void svm_exit(struct svm_vcpu *v, struct vmexit *exit)
{
	const struct vmcb_control *c = &v->vmcb->ctl;
	const uint32_t code = (uint32_t)c->exit_code;
	bool cut;

	v->vcpu.gpr[GPR_RAX] = v->vmcb->save.rax;
	v->vcpu.gpr[GPR_RSP] = v->vmcb->save.rsp;
	cut = svm_reinject(v);
	if (code == EXIT_INVALID_32) {
		invalid_exit(v, exit);
		return;
	}
	if (!plain_exit(code, exit)) {
		other_exit(v, code, cut, exit);
		return;
	}
	if (exit->kind == VMEXIT_HLT && v->virq && v->vmcb->save.rflags & RFLAGS_IF) {
		svm_skip(&v->vcpu, SKIP_WHOLE); /* the interrupt that waits ends it at once */
		exit->kind = VMEXIT_NONE;
	} else if (exit->kind == VMEXIT_HLT)
		exit->rflags = v->vmcb->save.rflags;
	else if (exit->kind == VMEXIT_RDMSR && c->exit_info1 & 1)
		exit->kind = VMEXIT_WRMSR;
	else if (exit->kind == VMEXIT_PAUSE)
		exit->pause_loop = svm.edx & SVM_EDX_PAUSE;
	else if (exit->kind == VMEXIT_CR8)
		cr8_exit(v, exit);
	else if (exit->kind == VMEXIT_IO)
		io_exit(c, exit);
}

/* From the guest's own code, with its prefixes; else the bare instruction's. */
static unsigned instruction_length(struct svm_vcpu *v)
{
	struct insn insn;

	if (decode_at_rip(v, &insn))
		return insn.length;
	for (unsigned i = 0; i < PLAIN_COUNT; i++)
		if (plain[i].code == v->vmcb->ctl.exit_code)
			return plain[i].length;
	return 0;
}

/* Behind the instruction that caused the exit. */
static uint64_t next_rip(struct svm_vcpu *v)
{
	const struct vmcb_control *c = &v->vmcb->ctl;

	if (c->exit_code == EXIT_IOIO)
		return c->exit_info2;
	if (svm.edx & SVM_EDX_NRIP && c->next_rip)
		return c->next_rip;
	return v->vmcb->save.rip + instruction_length(v);
}

void svm_skip(struct vcpu *vcpu, unsigned bytes)
{
	struct svm_vcpu *v = to_svm(vcpu);
	struct vmcb_control *c = &v->vmcb->ctl;
	struct vmcb_save *s = &v->vmcb->save;
	const uint64_t next = bytes == SKIP_WHOLE ? next_rip(v) : s->rip + bytes;
	const bool code_64 = s->efer & EFER_LMA && s->cs.attrib & ATTRIB_L;

	s->rip = code_64 ? next : next & 0xffffffff;
	s->rflags &= ~RFLAGS_RF;
	c->int_state &= ~INT_SHADOW;
	if (s->rflags & RFLAGS_TF && !(c->event_inj & EVENT_VALID)) {
		s->dr6 |= DR6_BS;
		s->dr7 &= ~DR7_GD;
		v->dr7 &= ~DR7_GD;
		svm_inject_exception(vcpu, VECTOR_DB, -1);
	}
}
