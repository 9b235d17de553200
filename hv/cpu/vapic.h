/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What of a guest's local APIC a processor can work on by itself (SDM 3C, "APIC Virtualization and
 * Virtual Interrupts"): the page with its registers, and the interrupts that others request of it. The
 * local APIC (hv/dev/vlapic*.c) has its state here, virtualised by the processor or not, so that
 * nothing is moved when that changes. All functions are pure but for the struct they are given.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Register numbers: MSR - 0x800 = offset in the page / 16 (SDM 3A, "x2APIC Register Address Space"). */
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

#define APIC_WORDS 8 /* of 32 vectors */

/* SDM 3C, "Virtual APIC State" */
struct vapic_page {
	struct {
		_Atomic uint32_t value;
		uint32_t reserved[3];
	} reg[256];
};
_Static_assert(sizeof(struct vapic_page) == 4096, "SDM 3C");

/* SDM 3C, "Posted-Interrupt Processing": the format of a posted-interrupt descriptor */
struct posted {
	_Atomic uint32_t requests[APIC_WORDS];
	_Atomic uint32_t outstanding; /* bit 0 */
	uint32_t reserved[7];
};
_Static_assert(sizeof(struct posted) == 64, "SDM 3C");

static inline uint32_t vapic_get(const struct vapic_page *page, unsigned reg)
{
	return atomic_load_explicit(&page->reg[reg].value, memory_order_relaxed);
}

static inline void vapic_set(struct vapic_page *page, unsigned reg, uint32_t value)
{
	atomic_store_explicit(&page->reg[reg].value, value, memory_order_relaxed);
}

/* The highest vector in ISR, TMR or IRR; -1: none. */
static inline int vapic_highest(const struct vapic_page *page, enum apic_register first)
{
	for (int i = APIC_WORDS - 1; i >= 0; i--) {
		uint32_t word = vapic_get(page, first + (unsigned)i);

		if (word)
			return 32 * i + 31 - __builtin_clz(word);
	}
	return -1;
}

/* SDM 3C, "Guest Non-Register State", guest interrupt status: the vectors RVI (requested) and SVI (in
 * service), 0 if there is none. */
static inline uint16_t vapic_status(const struct vapic_page *page)
{
	int requested = vapic_highest(page, APIC_IRR), in_service = vapic_highest(page, APIC_ISR);

	return (uint16_t)((in_service < 0 ? 0 : in_service) << 8 | (requested < 0 ? 0 : requested));
}

/* SDM 3C, "Controls for APIC Virtualization", EOI-exit bitmap i (of four): the EOI of what is level-
 * triggered is somebody else's business, too. */
static inline uint64_t vapic_eoi_exits(const struct vapic_page *page, unsigned i)
{
	return vapic_get(page, APIC_TMR + 2 * i) | (uint64_t)vapic_get(page, APIC_TMR + 2 * i + 1)
							   << 32;
}

/*
 * Requests an interrupt; any CPU. True: nobody has told the vCPU's CPU yet that there are requests, and
 * the caller must. Partners: posted_take(), and the processor's posted-interrupt processing.
 * Model: tests/model/posted.pml.
 */
static inline bool posted_put(struct posted *posted, uint8_t vector)
{
	atomic_fetch_or(&posted->requests[vector / 32], 1u << (vector & 31));
	return !(atomic_fetch_or(&posted->outstanding, 1) & 1);
}

/* Takes all requests, as the processor does: first the notification, so that who comes later gives
 * another. False: there are none. The CPU that runs the vCPU, outside of the guest. */
static inline bool posted_take(struct posted *posted, uint32_t requests[APIC_WORDS])
{
	if (!(atomic_load(&posted->outstanding) & 1))
		return false;
	atomic_fetch_and(&posted->outstanding, ~1u);
	for (unsigned i = 0; i < APIC_WORDS; i++)
		requests[i] = atomic_load(&posted->requests[i])
				      ? atomic_exchange(&posted->requests[i], 0)
				      : 0;
	return true;
}
