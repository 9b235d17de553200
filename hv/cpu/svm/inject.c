/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events into the guest, through EVENTINJ only (APM 2, "Event Injection"). V_IRQ with its
 * intercept is the interrupt window: an exit as soon as the guest could take an interrupt. NMIs
 * are blocked from one's delivery to its IRET, which is intercepted meanwhile.
 */
#include "hv/core/fail.h"
#include "hv/cpu/svm/svm_impl.h"

#define VECTOR_BP      3
#define VECTOR_OF      4
#define FIRST_EXTERNAL 32
#define WINDOW	       (VINTR_IRQ | VINTR_PRIO_MAX | VINTR_IGN_TPR)

static bool occupied(const struct svm_vcpu *v)
{
	return v->vmcb->ctl.event_inj & EVENT_VALID;
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

void svm_inject_irq(struct vcpu *vcpu, uint8_t vector)
{
	to_svm(vcpu)->vmcb->ctl.event_inj = EVENT_VALID | EVENT_INTR | vector;
}

void svm_irq_window(struct vcpu *vcpu, bool wanted)
{
	to_svm(vcpu)->window = wanted;
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

void svm_inject_nmi(struct vcpu *vcpu)
{
	to_svm(vcpu)->nmi_pending = true;
}

void svm_vcpu_init(struct vcpu *vcpu)
{
	struct svm_vcpu *v = to_svm(vcpu);
	struct vmcb *vmcb = v->vmcb;

	vmcb->ctl.event_inj = 0;
	vmcb->ctl.int_state = 0;
	vmcb->ctl.ctl3 &= (uint32_t)~CTL3_IRET;
	v->window = v->nmi_pending = v->nmi_blocked = v->entry_shadow = false;
	v->iret_left = v->move_allowed = false;
	vmcb->save.dr6 = DR6_RESET;
	vmcb->save.dr7 = DR7_RESET;
	for (unsigned i = 0; i < 4; i++)
		v->dr[i] = 0;
	v->loaded = false;	      /* the next entry loads them */
	v->asid = (struct asid){ 0 }; /* no translation of before is used again */
	v->changed = true;
}

static void nmi_before_entry(struct svm_vcpu *v)
{
	struct vmcb_control *c = &v->vmcb->ctl;

	if (v->iret_left && v->vmcb->save.rip != v->iret_rip)
		v->nmi_blocked = v->iret_left = false;
	if (!v->nmi_pending || v->nmi_blocked || occupied(v))
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
 * QEMU's VMRUN does not load the shadow: with the window open the exit would come within the
 * shadow, between the STI and the HLT of an idle guest, and the interrupt would be handled before
 * a HLT that waits for it. So inside a shadow the window stays shut, and the guest is left a
 * moment later.
 */
bool svm_inject_before_entry(struct svm_vcpu *v)
{
	struct vmcb_control *c = &v->vmcb->ctl;
	const bool open = v->window && !in_shadow(v);

	nmi_before_entry(v);
	v->entry_shadow = in_shadow(v) && !occupied(v);
	v->entry_rip = v->vmcb->save.rip;
	if (open) {
		c->vintr |= WINDOW;
		c->ctl3 |= (uint32_t)CTL3_VINTR;
	} else {
		c->vintr &= ~WINDOW;
		c->ctl3 &= (uint32_t)~CTL3_VINTR;
	}
	return (v->window && !open) || nmi_waits(v);
}

/*
 * INT n, INT3 and INTO are executed again instead: RIP is still at them. QEMU calls an external
 * interrupt that it delivered through V_IRQ an exception, which must not be injected like that.
 */
bool svm_reinject(struct svm_vcpu *v)
{
	struct vmcb_control *c = &v->vmcb->ctl;
	uint64_t event = c->exit_int_info;
	const uint64_t vector = event & EVENT_VECTOR;

	/* A shadow that QEMU has not loaded: nothing was executed, so it is still there. */
	if (v->entry_shadow && v->vmcb->save.rip == v->entry_rip)
		c->int_state |= INT_SHADOW;
	c->event_inj = 0;
	if (!(event & EVENT_VALID))
		return false;
	switch (event & EVENT_TYPE) {
	case EVENT_INTR:
	case EVENT_NMI:
		break;
	case EVENT_EXCEPTION:
		if (vector == VECTOR_BP || vector == VECTOR_OF)
			return true;
		if (vector >= FIRST_EXTERNAL)
			event = EVENT_VALID | EVENT_INTR | vector;
		break;
	default:
		return true;
	}
	c->event_inj = event;
	return true;
}
