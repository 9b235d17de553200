/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC's insides, for vlapic*.c. Register numbers: MSR - 0x800 = offset in the page / 16
 * (SDM 3A, "x2APIC Register Address Space"). */
#pragma once

#include <stdatomic.h>

#include "hv/core/vcpu.h"
#include "hv/cpu/msr.h"
#include "hv/dev/vlapic.h"

enum apic_register {
	APIC_ID = 0x02,
	APIC_VERSION = 0x03,
	APIC_TPR = 0x08,
	APIC_PPR = 0x0a,
	APIC_EOI = 0x0b,
	APIC_LDR = 0x0d,
	APIC_DFR = 0x0e,
	APIC_SVR = 0x0f,
	APIC_ISR = 0x10, /* eight words each */
	APIC_TMR = 0x18,
	APIC_IRR = 0x20,
	APIC_ESR = 0x28,
	APIC_ICR = 0x30,
	APIC_ICR_HIGH = 0x31,
	APIC_LVT_TIMER = 0x32,
	APIC_LVT_THERMAL = 0x33,
	APIC_LVT_PERF = 0x34,
	APIC_LVT_LINT0 = 0x35,
	APIC_LVT_LINT1 = 0x36,
	APIC_LVT_ERROR = 0x37,
	APIC_INITIAL_COUNT = 0x38,
	APIC_CURRENT_COUNT = 0x39,
	APIC_DIVIDE = 0x3e,
	APIC_SELF_IPI = 0x3f,
};

#define APIC_WORDS	 8 /* of 32 vectors */
#define APIC_LVTS	 6
#define SVR_ENABLE	 BIT(8)
#define LVT_MASKED	 BIT(16)
#define LVT_TIMER_MODE	 (BIT(17) | BIT(18))
#define TIMER_ONE_SHOT	 0u
#define TIMER_PERIODIC	 BIT(17)
#define TIMER_DEADLINE	 BIT(18)
#define ESR_SEND_ILLEGAL BIT(5)
#define ESR_REGISTER	 BIT(7)
#define FIRST_VECTOR	 16 /* below: reserved */

/* (c) constant (o) the CPU that runs the vCPU (s) written by it, read by any (a) any CPU */
struct vlapic {
	struct vcpu *vcpu;		  /* (c) */
	_Atomic uint32_t irr[APIC_WORDS]; /* (a) */
	_Atomic uint32_t tmr[APIC_WORDS]; /* (a) level-triggered ones among irr and isr */
	_Atomic uint64_t apic_base;	  /* (s) the MSR */
	_Atomic uint32_t svr, ldr, dfr;	  /* (s) ldr: of xAPIC mode */
	uint32_t isr[APIC_WORDS];	  /* (o) */
	uint32_t tpr, esr, esr_new;	  /* (o) esr_new: since the last write of ESR */
	uint64_t icr;			  /* (o) */
	uint64_t eoi_msr;		  /* (o) vlapic_eoi.c */
	bool eoi_offered;		  /* (o) the guest may leave out the next EOI */
	uint32_t lvt[APIC_LVTS];	  /* (o) from APIC_LVT_TIMER on */

	uint32_t initial, divide; /* (o) the timer's registers … */
	uint64_t tsc_deadline;	  /* (o) … and its MSR, in guest ticks */
	uint64_t deadline;	  /* (o) when it fires, in host ticks; TIMER_NEVER */
};

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

/* vlapic_irq.c: sets the vector in IRR, unless the APIC is off. Any CPU; does not kick. */
void vlapic_accept(struct vlapic *v, uint8_t vector, bool level);
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
