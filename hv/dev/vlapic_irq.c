/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts through the guest's local APIC: who a message is for, IRR and ISR, priorities, EOI
 * (SDM 3A, "Handling Interrupts"). A sender on any CPU requests the vector and then tells the vCPU,
 * unless another sender is about to; the vCPU's CPU takes requests after it changed the vCPU's state
 * (partner: block() in core/vcpu.c). Model: tests/model/posted.pml.
 */
#include "hv/core/log.h"
#include "hv/cpu/hvm.h"
#include "hv/dev/pc_impl.h"
#include "hv/dev/vlapic_impl.h"

#define BROADCAST	 (~0u)
#define MSI_BASE	 0xfee00000ull
#define MSI_BASE_MASK	 0xfffffffffff00000ull
#define MSI_LOGICAL	 BIT(2)
#define MSI_LEVEL	 BIT(15)
#define DFR_FLAT	 0xf0000000u
#define ICR_LOGICAL	 BIT(11)
#define ICR_ASSERT	 BIT(14)
#define ICR_LEVEL	 BIT(15)
#define SHORTHAND_NONE	 0
#define SHORTHAND_SELF	 1
#define SHORTHAND_OTHERS 3

static bool accepts(const struct vlapic *v)
{
	return vlapic_enabled(v) && vlapic_get(v, APIC_SVR) & SVR_ENABLE;
}

bool vlapic_accept(struct vlapic *v, uint8_t vector, bool level)
{
	if (vector < FIRST_VECTOR || !accepts(v))
		return false;
	return posted_put(level ? &v->level : &v->posted, vector);
}

static void set_bits(struct vlapic *v, unsigned reg, uint32_t bits)
{
	vlapic_set(v, reg, vlapic_get(v, reg) | bits);
}

static void clear_bits(struct vlapic *v, unsigned reg, uint32_t bits)
{
	vlapic_set(v, reg, vlapic_get(v, reg) & ~bits);
}

void vlapic_take_requests(struct vlapic *v)
{
	uint32_t requests[APIC_WORDS];

	if (posted_take(&v->posted, requests)) {
		for (unsigned i = 0; i < APIC_WORDS; i++) {
			if (!requests[i])
				continue;
			set_bits(v, APIC_IRR + i, requests[i]);
			clear_bits(v, APIC_TMR + i, requests[i]);
		}
		vlapic_changed(v);
	}
	if (posted_take(&v->level, requests)) {
		for (unsigned i = 0; i < APIC_WORDS; i++) {
			if (!requests[i])
				continue;
			set_bits(v, APIC_IRR + i, requests[i]);
			set_bits(v, APIC_TMR + i, requests[i]);
		}
		vlapic_changed(v);
	}
}

void vlapic_drop_requests(struct vlapic *v)
{
	uint32_t requests[APIC_WORDS];

	(void)posted_take(&v->posted, requests);
	(void)posted_take(&v->level, requests);
}

uint32_t vlapic_ppr(const struct vlapic *v)
{
	int in_service = vapic_highest(&v->page, APIC_ISR);
	uint32_t isrv = in_service < 0 ? 0 : (uint32_t)in_service;
	uint32_t tpr = vlapic_get(v, APIC_TPR);

	return (tpr & 0xf0) >= (isrv & 0xf0) ? tpr : isrv & 0xf0;
}

int vlapic_irq_pending(struct vcpu *vcpu)
{
	struct vlapic *v = vlapic_of(vcpu);
	int vector;

	vlapic_timer_expire(v);
	vlapic_take_requests(v);
	if (!vlapic_enabled(v))
		return -1;
	vector = vapic_highest(&v->page, APIC_IRR);
	return vector >= 0 && ((uint32_t)vector & 0xf0) > (vlapic_ppr(v) & 0xf0) ? vector : -1;
}

void vlapic_irq_taken(struct vcpu *vcpu, uint8_t vector)
{
	struct vlapic *v = vlapic_of(vcpu);
	uint32_t bit = 1u << (vector & 31);

	clear_bits(v, APIC_IRR + vector / 32, bit);
	set_bits(v, APIC_ISR + vector / 32, bit);
}

static bool is_level(const struct vlapic *v, unsigned vector)
{
	return vlapic_get(v, APIC_TMR + vector / 32) >> (vector & 31) & 1;
}

void vlapic_eoi(struct vlapic *v)
{
	int vector = vapic_highest(&v->page, APIC_ISR);

	if (vector < 0)
		return;
	clear_bits(v, APIC_ISR + (unsigned)vector / 32, 1u << (vector & 31));
	if (is_level(v, (unsigned)vector))
		pc_eoi(v->vcpu->vm, (uint8_t)vector);
}

/* The processor has taken it out of ISR. What it posts itself is edge-triggered, and leaves TMR alone:
 * so TMR, and with it the EOI-exit bitmap, forgets the vector here. */
void vlapic_eoi_exit(struct vcpu *vcpu, uint8_t vector)
{
	struct vlapic *v = vlapic_of(vcpu);

	if (!is_level(v, vector))
		return;
	clear_bits(v, APIC_TMR + vector / 32, 1u << (vector & 31));
	vlapic_changed(v);
	pc_eoi(vcpu->vm, vector);
}

bool vlapic_eoi_can_wait(const struct vlapic *v)
{
	int vector = vapic_highest(&v->page, APIC_ISR);

	return vector >= 0 && !is_level(v, (unsigned)vector) &&
	       vapic_highest(&v->page, APIC_IRR) < 0;
}

void vlapic_error(struct vlapic *v, uint32_t bit)
{
	uint32_t lvt = vlapic_get(v, APIC_LVT_ERROR);

	v->esr_new |= bit;
	if (!(lvt & LVT_MASKED))
		vlapic_accept(v, (uint8_t)lvt, false);
}

/* SDM 3A, "Determining IPI Destination". */
static bool is_for(const struct vlapic *v, uint32_t dest, bool logical)
{
	uint32_t id = v->vcpu->index;
	uint32_t ldr;

	if (dest == BROADCAST || !logical)
		return dest == BROADCAST || dest == id;
	if (vlapic_x2(v))
		return dest >> 16 == id >> 4 && dest >> (id & 15) & 1;
	ldr = vlapic_get(v, APIC_LDR) >> 24;
	if ((vlapic_get(v, APIC_DFR) & DFR_FLAT) == DFR_FLAT)
		return ldr & dest;
	return ldr >> 4 == dest >> 4 && ldr & dest & 0xf;
}

/* One target. from: the sender if it is a vCPU's IPI: it sees its own without a kick. */
static void deliver_to(struct vlapic *v, const struct apic_message *m, const struct vlapic *from)
{
	bool tell = false;

	switch (m->mode) {
	case APIC_FIXED:
	case APIC_LOWEST:
		tell = vlapic_accept(v, m->vector, m->level);
		break;
	case APIC_NMI:
		vcpu_signal(v->vcpu, SIGNAL_NMI, 0);
		return;
	case APIC_INIT:
	case APIC_STARTUP:
		if (from) /* no device starts or stops CPUs */
			vcpu_signal(v->vcpu, m->mode == APIC_INIT ? SIGNAL_INIT : SIGNAL_SIPI,
				    m->vector);
		return;
	default: /* SMI, ExtINT: there is neither SMM nor a PIC */
		return;
	}
	if (!tell || v == from)
		return;
	if (m->level)
		vcpu_kick(v->vcpu);
	else
		vcpu_notify(v->vcpu);
}

static void deliver(struct vm *vm, const struct apic_message *m, struct vlapic *from,
		    unsigned shorthand)
{
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		struct vlapic *v = vlapic_of(vm->vcpus[i]);

		if (shorthand == SHORTHAND_OTHERS && v == from)
			continue;
		if (shorthand == SHORTHAND_NONE && !is_for(v, m->dest, m->logical))
			continue;
		if (m->mode == APIC_LOWEST && !accepts(v))
			continue;
		deliver_to(v, m, from);
		if (m->mode == APIC_LOWEST)
			return; /* "lowest priority": the first that takes any is as good as any */
	}
}

void apic_deliver(struct vm *vm, const struct apic_message *message)
{
	deliver(vm, message, NULL, SHORTHAND_NONE);
}

static uint32_t wide_dest(uint32_t dest)
{
	return dest == 0xff ? BROADCAST : dest;
}

void msi_deliver(struct vm *vm, uint64_t address, uint32_t data)
{
	struct apic_message m = {
		.dest = wide_dest(address >> 12 & 0xff),
		.logical = address & MSI_LOGICAL,
		.level = data & MSI_LEVEL,
		.mode = data >> 8 & 7,
		.vector = (uint8_t)data,
	};

	if ((address & MSI_BASE_MASK) == MSI_BASE)
		apic_deliver(vm, &m);
}

struct vcpu *msi_target(struct vm *vm, uint64_t address)
{
	uint32_t dest = wide_dest(address >> 12 & 0xff);

	if ((address & MSI_BASE_MASK) == MSI_BASE)
		for (unsigned i = 0; i < vm->vcpu_count; i++)
			if (is_for(vlapic_of(vm->vcpus[i]), dest, address & MSI_LOGICAL))
				return vm->vcpus[i];
	return NULL;
}

bool msi_is_interrupt(struct vm *vm, uint64_t address, uint32_t data)
{
	unsigned mode = data >> 8 & 7;

	return (mode == APIC_FIXED || mode == APIC_LOWEST) && (uint8_t)data >= FIRST_VECTOR &&
	       msi_target(vm, address);
}

void vlapic_send_icr(struct vlapic *v)
{
	uint32_t low = (uint32_t)v->icr;
	uint32_t dest = (uint32_t)(v->icr >> 32);
	unsigned shorthand = low >> 18 & 3;
	struct apic_message m = {
		.dest = vlapic_x2(v) ? dest : wide_dest(dest >> 24),
		.logical = low & ICR_LOGICAL,
		.mode = low >> 8 & 7,
		.vector = (uint8_t)low,
	};

	if (m.mode == APIC_INIT && low & ICR_LEVEL && !(low & ICR_ASSERT))
		return; /* INIT level de-assert: not supported since the Pentium 4 */
	if ((m.mode == APIC_FIXED || m.mode == APIC_LOWEST) && m.vector < FIRST_VECTOR) {
		vlapic_error(v, ESR_SEND_ILLEGAL);
		return;
	}
	if (shorthand == SHORTHAND_SELF) {
		if (m.mode == APIC_FIXED)
			vlapic_accept(v, m.vector, false);
		return;
	}
	deliver(v->vcpu->vm, &m, v, shorthand);
}
