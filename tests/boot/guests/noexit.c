/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts to a vCPU that runs, self-IPIs, EOIs, and changes of the task priority, ROUNDS of each:
 * with APIC virtualisation none of them is a VM exit, but for the IPI at its sender's. The guest checks
 * that each arrived; the exits are counted by the hypervisor, and compared by tests/boot.
 */
#include "guest/lib/apic.h"
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/runtime.h"
#include "guest/lib/smp.h"
#include "tests/boot/guests/check.h"

enum { ROUNDS = 1000, LIMIT_MS = 2000 };

static _Atomic bool stop;

/* vCPU 1: computes, and takes interrupts. */
static void compute(void)
{
	__asm__ volatile("sti" : : : "memory");
	while (!atomic_load(&stop))
		cpu_pause();
	__asm__ volatile("cli" : : : "memory");
}

static bool arrives(const _Atomic uint32_t *taken, uint32_t wanted)
{
	uint64_t end = rdtsc() + clock_ms(LIMIT_MS);

	while (atomic_load(taken) < wanted)
		if (rdtsc() > end)
			return false;
	return true;
}

static uint32_t send_to_other(void)
{
	const _Atomic uint32_t *taken = &smp_cpus[1].irqs[IRQ_TEST];
	uint32_t n = 0;

	while (n < ROUNDS) {
		smp_ipi(1, ICR_FIXED | ICR_ASSERT | IRQ_TEST);
		if (!arrives(taken, n + 1))
			break;
		n++;
	}
	return n;
}

static uint32_t send_to_self(void)
{
	const _Atomic uint32_t *taken = &smp_cpus[0].irqs[IRQ_TEST];

	__asm__ volatile("sti" : : : "memory");
	for (unsigned i = 0; i < ROUNDS; i++)
		lapic_write(LAPIC_SELF_IPI, IRQ_TEST);
	__asm__ volatile("cli" : : : "memory");
	return atomic_load(taken);
}

static bool change_priority(void)
{
	bool right = true;

	for (unsigned i = 0; i < ROUNDS; i++) {
		lapic_write(LAPIC_TPR, i & 0xf0);
		right = right && lapic_read(LAPIC_TPR) == (i & 0xf0);
	}
	lapic_write(LAPIC_TPR, 0);
	return right;
}

int guest_main(void)
{
	uint32_t others, own;

	if (smp_init() != 2 || !smp_start(1, 8))
		guest_fail("two vCPUs are needed: cpus = <2>");
	smp_call(1, compute);
	others = send_to_other();
	atomic_store(&stop, true);
	smp_wait(1);
	own = send_to_self();
	check(others == ROUNDS && smp_cpus[1].irqs[IRQ_TEST] == ROUNDS, "other",
	      "the other vCPU took each IPI once");
	check(own == ROUNDS, "self", "each self-IPI came at once");
	check(change_priority(), "priority", "the task priority reads as it was written");
	return check_status();
}
