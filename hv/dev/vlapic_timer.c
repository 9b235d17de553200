/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC's timer (SDM 3A, "APIC Timer"). It counts at GUEST_APIC_TIMER_KHZ, which CPUID
 * tells the guest: 1 GHz, so that a count at divide 1 is a nanosecond. Nothing runs here: a timer
 * is a host TSC value, looked at whenever the vCPU is about to be entered or has been woken.
 */
#include "hv/core/guest_map.h"
#include "hv/core/timer.h"
#include "hv/cpu/x86.h"
#include "hv/dev/vlapic_impl.h"

_Static_assert(GUEST_APIC_TIMER_KHZ == 1000000, "a count is a nanosecond below");

#define NS_PER_MS     1000000u
#define MIN_PERIOD_NS 50000u /* a shorter one would leave the guest no time to run */

/* SDM 3A, "Divide Configuration Register": bits 3, 1, 0; 7 means 1. */
static unsigned divide_shift(uint32_t divide)
{
	unsigned code = (divide >> 1 & 4) | (divide & 3);

	return (code + 1) & 7;
}

/* At most 2^39 ns: times a TSC rate below 2^24 kHz it still fits. */
static uint64_t ticks_from_ns(uint64_t ns)
{
	return ns * tsc_khz() / NS_PER_MS;
}

static uint64_t ns_from_ticks(uint64_t ticks)
{
	uint64_t khz = tsc_khz();

	return ticks / khz * NS_PER_MS + ticks % khz * NS_PER_MS / khz;
}

static uint32_t initial(const struct vlapic *v)
{
	return vlapic_get(v, APIC_INITIAL_COUNT);
}

static bool masked(const struct vlapic *v)
{
	return vlapic_get(v, APIC_LVT_TIMER) & LVT_MASKED;
}

static uint32_t timer_mode(const struct vlapic *v)
{
	return vlapic_get(v, APIC_LVT_TIMER) & LVT_TIMER_MODE;
}

static uint64_t count_ns(const struct vlapic *v, uint32_t count)
{
	return (uint64_t)count << divide_shift(vlapic_get(v, APIC_DIVIDE));
}

void vlapic_timer_stop(struct vlapic *v)
{
	vlapic_set(v, APIC_INITIAL_COUNT, 0);
	v->tsc_deadline = 0;
	v->deadline = TIMER_NEVER;
}

static uint64_t next_period(const struct vlapic *v, uint64_t now)
{
	uint64_t ns = count_ns(v, initial(v));
	uint64_t period = ticks_from_ns(ns > MIN_PERIOD_NS ? ns : MIN_PERIOD_NS);
	uint64_t next = v->deadline + period;

	return next > now ? next : now + period; /* periods that were missed are lost */
}

void vlapic_timer_expire(struct vlapic *v)
{
	uint64_t now = rdtsc();

	if (now < v->deadline)
		return;
	v->tsc_deadline = 0;
	v->deadline =
		timer_mode(v) == TIMER_PERIODIC && initial(v) ? next_period(v, now) : TIMER_NEVER;
	if (!masked(v))
		vlapic_accept(v, (uint8_t)vlapic_get(v, APIC_LVT_TIMER), false);
}

void vlapic_timer_set_count(struct vlapic *v, uint32_t count)
{
	if (timer_mode(v) & TIMER_DEADLINE)
		return;
	vlapic_set(v, APIC_INITIAL_COUNT, count);
	v->deadline = count ? rdtsc() + ticks_from_ns(count_ns(v, count)) : TIMER_NEVER;
}

uint32_t vlapic_timer_current(struct vlapic *v)
{
	uint64_t now, left;

	vlapic_timer_expire(v);
	now = rdtsc();
	if (timer_mode(v) & TIMER_DEADLINE || v->deadline == TIMER_NEVER || v->deadline <= now)
		return 0;
	left = ns_from_ticks(v->deadline - now) >> divide_shift(vlapic_get(v, APIC_DIVIDE));
	return left < initial(v) ? (uint32_t)left : initial(v);
}

void vlapic_timer_set_divide(struct vlapic *v, uint32_t divide)
{
	uint32_t left = vlapic_timer_current(v);

	vlapic_set(v, APIC_DIVIDE, divide);
	if (left)
		v->deadline = rdtsc() + ticks_from_ns(count_ns(v, left));
}

void vlapic_timer_set_lvt(struct vlapic *v, uint32_t lvt)
{
	bool was_deadline = timer_mode(v) & TIMER_DEADLINE;

	vlapic_timer_expire(v);
	vlapic_set(v, APIC_LVT_TIMER, lvt);
	if (was_deadline != !!(lvt & TIMER_DEADLINE))
		vlapic_timer_stop(v);
}

void vlapic_timer_set_deadline(struct vlapic *v, uint64_t guest_tsc)
{
	uint64_t now = rdtsc();
	uint64_t guest_now = now + v->vcpu->vm->tsc_offset;

	if (timer_mode(v) != TIMER_DEADLINE)
		return;
	v->tsc_deadline = guest_tsc;
	v->deadline = TIMER_NEVER;
	if (guest_tsc && guest_tsc <= guest_now)
		v->deadline = now;
	else if (guest_tsc && guest_tsc - guest_now < TIMER_NEVER - now)
		v->deadline = now + (guest_tsc - guest_now);
}

uint64_t vlapic_next_timer(struct vcpu *vcpu)
{
	struct vlapic *v = vlapic_of(vcpu);

	return masked(v) ? TIMER_NEVER : v->deadline;
}
