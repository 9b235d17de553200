/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC's insides, for vlapic*.c. */
#pragma once

#include <stdatomic.h>
#include <stddef.h>

#include "hv/core/vcpu.h"
#include "hv/cpu/msr.h"
#include "hv/cpu/vapic.h"
#include "hv/dev/vlapic.h"

#define SVR_ENABLE	 BIT(8)
#define LVT_MASKED	 BIT(16)
#define LVT_TIMER_MODE	 (BIT(17) | BIT(18))
#define TIMER_ONE_SHOT	 0u
#define TIMER_PERIODIC	 BIT(17)
#define TIMER_DEADLINE	 BIT(18)
#define ESR_SEND_ILLEGAL BIT(5)
#define ESR_REGISTER	 BIT(7)
#define FIRST_VECTOR	 16 /* below: reserved */

/*
 * (c) constant (o) the CPU that runs the vCPU (s) written by it, read by any (a) any CPU
 *
 * Registers are in the page (o), SVR, LDR and DFR (s) among them; but for ICR, of which x2APIC mode
 * makes one of 64 bits. Others request interrupts in `posted` and `level` only; their way into IRR is
 * vlapic_take_requests(), or for `posted`, while the processor virtualises the APIC, its own. That knows
 * nothing of `level`: the EOI-exit bitmap must be there before such an interrupt is.
 */
struct vlapic {
	struct vapic_page page;
	struct posted posted;	    /* (a) requests of edge-triggered interrupts */
	struct posted level;	    /* (a) and of level-triggered ones */
	struct vcpu *vcpu;	    /* (c) */
	bool may_virtualize;	    /* (c) by the processor, in x2APIC mode */
	bool virtualized;	    /* (o) it is */
	_Atomic uint64_t apic_base; /* (s) the MSR */
	uint64_t icr;		    /* (o) */
	uint32_t esr_new;	    /* (o) errors since the last write of ESR */
	uint64_t eoi_msr;	    /* (o) vlapic_eoi.c */
	bool eoi_offered;	    /* (o) the guest may leave out the next EOI */
	uint64_t tsc_deadline;	    /* (o) the timer's MSR, in guest ticks */
	uint64_t deadline;	    /* (o) when it fires, in host ticks; TIMER_NEVER */
};
_Static_assert(offsetof(struct vlapic, page) == 0 && offsetof(struct vlapic, posted) % 64 == 0,
	       "page_alloc() gives whole pages");

static inline struct vlapic *vlapic_of(const struct vcpu *vcpu)
{
	return vcpu->platform;
}

static inline bool vlapic_enabled(const struct vlapic *v)
{
	return atomic_load_explicit(&v->apic_base, memory_order_relaxed) & APIC_BASE_ENABLE;
}

static inline bool vlapic_x2(const struct vlapic *v)
{
	return atomic_load_explicit(&v->apic_base, memory_order_relaxed) & APIC_BASE_X2APIC;
}

static inline uint32_t vlapic_get(const struct vlapic *v, unsigned reg)
{
	return vapic_get(&v->page, reg);
}

static inline void vlapic_set(struct vlapic *v, unsigned reg, uint32_t value)
{
	vapic_set(&v->page, reg, value);
}

/* After IRR, ISR or TMR were changed. */
static inline void vlapic_changed(struct vlapic *v)
{
	if (v->virtualized)
		apic_ops->changed(v->vcpu);
}

/* vlapic_irq.c: requests the vector, unless the APIC is off. Any CPU; true: the vCPU is to be told. */
bool vlapic_accept(struct vlapic *v, uint8_t vector, bool level);
void vlapic_take_requests(struct vlapic *v); /* into IRR */
void vlapic_drop_requests(struct vlapic *v);
uint32_t vlapic_ppr(const struct vlapic *v);
void vlapic_eoi(struct vlapic *v);

/* May the EOI of the highest interrupt in service wait until the next exit? */
bool vlapic_eoi_can_wait(const struct vlapic *v);

bool vlapic_eoi_msr_write(struct vlapic *v, uint64_t value); /* false: #GP */
void vlapic_error(struct vlapic *v, uint32_t bit);
void vlapic_send_icr(struct vlapic *v);

/* vlapic_timer.c */
void vlapic_timer_expire(struct vlapic *v);
void vlapic_timer_stop(struct vlapic *v);
void vlapic_timer_set_count(struct vlapic *v, uint32_t count);
uint32_t vlapic_timer_current(struct vlapic *v);
void vlapic_timer_set_divide(struct vlapic *v, uint32_t divide);
void vlapic_timer_set_lvt(struct vlapic *v, uint32_t lvt);
void vlapic_timer_set_deadline(struct vlapic *v, uint64_t guest_tsc);
