/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events into the guest, through EVENTINJ (APM 2, "Event Injection"). V_IRQ, intercepted, is the
 * interrupt window: an exit as soon as the guest could take an interrupt. NMIs are blocked from one's
 * delivery to its IRET, which is intercepted meanwhile.
 *
 * QEMU's VMRUN forgets to forget an interrupt that EVENTINJ has injected: should its main loop be
 * entered before the next exit (for another CPU's sake, so most often on a busy host), the guest gets
 * it again, even with IF = 0. There, interrupts go in through V_IRQ, not intercepted. Only where the
 * window is needed at the same time, and for vectors of exceptions, it is EVENTINJ, and an exit before
 * the first instruction, for a host interrupt that waits already, ends the matter.
 *
 * V_IRQ can be late: QEMU's VMRUN notes it in a word that other threads change as well, without a lock.
 * If that was lost, the guest goes on, with the interrupt in service already, and gets it at an entry
 * when it takes interrupts.
 */
#include "hv/core/decode.h"
#include "hv/core/fail.h"
#include "hv/cpu/svm/svm_impl.h"

#define VECTOR_BP      3
#define VECTOR_OF      4
#define FIRST_EXTERNAL 32
#define INSN_HLT       0xf4
#define VIRQ	       (VINTR_IRQ | VINTR_PRIO_MAX | VINTR_IGN_TPR)

static bool occupied(const struct svm_vcpu *v)
{
	return v->virq || v->vmcb->ctl.event_inj & EVENT_VALID;
}

static bool in_shadow(const struct svm_vcpu *v)
{
	return v->vmcb->ctl.int_state & INT_SHADOW;
}

bool svm_irq_ready(struct vcpu *vcpu)
{
	const struct svm_vcpu *v = to_svm(vcpu);

	return v->vmcb->save.rflags & RFLAGS_IF && !in_shadow(v) && !occupied(v);
}

/* Replaces what an exit cut off: the exception is newer. */
void svm_inject_exception(struct vcpu *vcpu, uint8_t vector, int64_t error_code)
{
	uint64_t event = EVENT_VALID | EVENT_EXCEPTION | vector;

	assert(vector < FIRST_EXTERNAL && vector != 2);
	if (error_code >= 0)
		event |= EVENT_HAS_ERROR | EVENT_ERROR(error_code);
	to_svm(vcpu)->vmcb->ctl.event_inj = event;
}

static void init(struct svm_vcpu *v)
{
	struct vmcb *vmcb = v->vmcb;

	vmcb->ctl.event_inj = 0;
	vmcb->ctl.int_state = 0;
	vmcb->ctl.ctl3 &= (uint32_t)~CTL3_IRET;
	v->nmi_pending = v->nmi_blocked = v->entry_shadow = false;
	v->iret_left = v->move_allowed = false;
	v->virq = 0;
	vmcb->save.dr6 = DR6_RESET;
	vmcb->save.dr7 = v->dr7 = DR7_RESET;
	for (unsigned i = 0; i < 4; i++)
		v->dr[i] = 0;
	v->loaded = false;	      /* the next entry loads them */
	v->asid = (struct asid){ 0 }; /* no translation of before is used again */
	v->changed = true;
}

void svm_inject(struct vcpu *vcpu, const struct injection *what)
{
	struct svm_vcpu *v = to_svm(vcpu);

	switch (what->kind) {
	case INJECT_IRQ: /* QEMU takes lower vectors for exceptions if they are cut off */
		if (svm.strict && what->vector >= FIRST_EXTERNAL)
			v->virq = what->vector;
		else
			v->vmcb->ctl.event_inj = EVENT_VALID | EVENT_INTR | what->vector;
		break;
	case INJECT_EXCEPTION:
		svm_inject_exception(vcpu, what->vector, what->error_code);
		break;
	case INJECT_NMI:
		v->nmi_pending = true;
		break;
	case INJECT_INIT:
		init(v);
		break;
	}
}

static void nmi_before_entry(struct svm_vcpu *v)
{
	struct vmcb_control *c = &v->vmcb->ctl;

	if (v->iret_left && v->vmcb->save.rip != v->iret_rip)
		v->nmi_blocked = v->iret_left = false;
	if (!v->nmi_pending || v->nmi_blocked || c->event_inj & EVENT_VALID)
		return;
	c->event_inj = EVENT_VALID | EVENT_NMI | 2;
	c->ctl3 |= (uint32_t)CTL3_IRET;
	v->nmi_pending = false;
	v->nmi_blocked = true;
}

/* The IRET is still to be executed: a waiting NMI comes behind it. */
void svm_iret_exit(struct svm_vcpu *v)
{
	v->vmcb->ctl.ctl3 &= (uint32_t)~CTL3_IRET;
	v->iret_left = true;
	v->iret_rip = v->vmcb->save.rip;
}

/* An NMI that waits, with no exit in sight that would let it in. */
static bool nmi_waits(const struct svm_vcpu *v)
{
	return v->nmi_pending && !(v->vmcb->ctl.ctl3 & CTL3_IRET);
}

/*
 * QEMU's VMRUN does not load the shadow: with the window open the exit would come within it. Between
 * the STI and the HLT of an idle guest the interrupt would be handled before a HLT that waits for
 * it; between MOV SS and the new stack pointer it would use half a stack, but not in 64-bit mode,
 * where the segment has no base. There the window must stay shut, and the guest is left a moment
 * later. Everywhere else it opens at once, since what follows may shut interrupts out again.
 */
static bool shadow_counts(struct svm_vcpu *v)
{
	uint8_t code[INSN_MAX_BYTES];
	struct vcpu_sregs s;

	if (!svm.strict || !in_shadow(v))
		return false;
	svm_get_sregs(&v->vcpu, &s);
	return insn_mode(&s) != 8 || guest_fetch(&v->vcpu, code) == 0 || code[0] == INSN_HLT;
}

/* The window serves another interrupt: this one by EVENTINJ, if the guest can still take it. */
static void free_window(struct svm_vcpu *v)
{
	const uint64_t vector = v->virq;

	v->virq = 0;
	if (vector && svm_irq_ready(&v->vcpu))
		v->vmcb->ctl.event_inj = EVENT_VALID | EVENT_INTR | vector;
	else
		v->virq = (uint8_t)vector;
}

bool svm_inject_before_entry(struct svm_vcpu *v, bool irq_waits)
{
	struct vmcb_control *c = &v->vmcb->ctl;
	bool window, deliver;

	if (irq_waits)
		free_window(v);
	nmi_before_entry(v);
	window = irq_waits && !v->virq && !shadow_counts(v);
	deliver = v->virq && !shadow_counts(v);
	v->entry_shadow = in_shadow(v) && !(c->event_inj & EVENT_VALID) && !window && !deliver;
	v->entry_rip = v->vmcb->save.rip;
	c->vintr &= ~(VIRQ | VINTR_VECTOR(0xff));
	c->ctl3 |= (uint32_t)CTL3_VINTR;
	if (window)
		c->vintr |= VIRQ;
	if (deliver) {
		c->vintr |= VIRQ | VINTR_VECTOR(v->virq);
		c->ctl3 &= (uint32_t)~CTL3_VINTR;
	}
	return (irq_waits && !window) || (v->virq && !deliver) || nmi_waits(v);
}

bool svm_must_leave_at_once(const struct svm_vcpu *v)
{
	const uint64_t event = v->vmcb->ctl.event_inj;

	return svm.strict && event & EVENT_VALID && (event & EVENT_TYPE) == EVENT_INTR;
}

/*
 * INT n, INT3 and INTO are executed again instead: RIP is still at them. An interrupt by V_IRQ, which
 * QEMU calls an exception when its delivery is cut off, is still there.
 */
bool svm_reinject(struct svm_vcpu *v)
{
	struct vmcb_control *c = &v->vmcb->ctl;
	uint64_t event = c->exit_int_info;
	const uint64_t vector = event & EVENT_VECTOR;
	const bool cut = event & EVENT_VALID;

	if (!(c->ctl3 & CTL3_VINTR) && !(c->vintr & VINTR_IRQ))
		v->virq = 0; /* delivered; not so if the guest was left before */
	/* A shadow that QEMU has not loaded: nothing was executed, so it is still there. */
	if (v->entry_shadow && v->vmcb->save.rip == v->entry_rip)
		c->int_state |= INT_SHADOW;
	c->event_inj = 0;
	if (!cut || (v->virq && vector == v->virq))
		return cut;
	switch (event & EVENT_TYPE) {
	case EVENT_INTR:
	case EVENT_NMI:
		break;
	case EVENT_EXCEPTION:
		if (vector == VECTOR_BP || vector == VECTOR_OF)
			return true;
		break;
	default:
		return true;
	}
	c->event_inj = event;
	return true;
}
