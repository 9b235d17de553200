/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does the local APIC's timer fire once, periodically and by TSC deadline, never early, and wake
 * HLT; do self-IPIs and the task priority work? Then page faults are taken in a loop under a fast
 * timer: a VM exit between a fault and its handler's first instruction must not lose the way
 * (a fault of packaged Bochs, scripts/bochs-errata.py, fault 2). How late an interrupt comes is
 * not asserted. Boot argument: ms=N, how long the loop takes in guest time.
 */
#include <stddef.h>

#include "guest/lib/apic.h"
#include "guest/lib/args.h"
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/paging.h"
#include "guest/lib/runtime.h"
#include "guest/lib/trap.h"
#include "tests/boot/guests/check.h"

#define PROBE (1ull << 39) /* linear address of the page that comes and goes */

static void clear_seen(void)
{
	irq_seen[IRQ_TIMER] = irq_seen[IRQ_TEST] = 0;
}

/* Lets interrupts in for a while, without HLT. */
static void open_window(uint64_t us)
{
	uint64_t end = rdtsc() + clock_us(us);

	__asm__ volatile("sti" : : : "memory");
	while (rdtsc() < end)
		cpu_pause();
	__asm__ volatile("cli" : : : "memory");
}

static void check_countdown(void)
{
	uint64_t begin = rdtsc();

	clear_seen();
	lapic_write(LAPIC_LVT_TIMER, IRQ_TIMER);
	lapic_write(LAPIC_TIMER_INITIAL, 1000000);
	check(lapic_read(LAPIC_TIMER_CURRENT) <= 1000000, "count", "the timer counts down");
	while (!irq_seen[IRQ_TIMER])
		cpu_wait();
	check(irq_seen[IRQ_TIMER] == 1, "one-shot", "a one-shot timer wakes HLT");
	if (clock_apic_khz() && hypercall_present())
		check(rdtsc() - begin >= 1000000 * clock_tsc_khz() / clock_apic_khz(),
		      "one-shot-early", "it does not fire early");
	check(!lapic_read(LAPIC_TIMER_CURRENT), "one-shot-count", "its count is 0 then");
	open_window(2000);
	check(irq_seen[IRQ_TIMER] == 1, "one-shot-once", "it fires once");
}

static void check_periodic(void)
{
	uint64_t begin = rdtsc(), wanted;

	clear_seen();
	lapic_write(LAPIC_LVT_TIMER, IRQ_TIMER | LVT_PERIODIC);
	lapic_write(LAPIC_TIMER_INITIAL, 500000);
	while (irq_seen[IRQ_TIMER] < 10)
		cpu_wait();
	wanted = clock_apic_khz() ? 9 * 500000 * clock_tsc_khz() / clock_apic_khz() : 0;
	check(true, "periodic", "a periodic timer fires ten times");
	if (wanted && hypercall_present())
		check(rdtsc() - begin >= wanted, "periodic-early", "not faster than it should");
	lapic_write(LAPIC_TIMER_INITIAL, 0);
	open_window(1000); /* one may have been pending */
	clear_seen();
	open_window(3000);
	check(!irq_seen[IRQ_TIMER], "stop", "an initial count of 0 stops it");
}

static void check_masked(void)
{
	clear_seen();
	lapic_write(LAPIC_LVT_TIMER, IRQ_TIMER | LVT_MASKED);
	lapic_write(LAPIC_TIMER_INITIAL, 10000);
	open_window(2000);
	check(!irq_seen[IRQ_TIMER], "masked", "a masked timer raises nothing");
}

/* The guest may have to wait for its CPU: then the deadline has passed already, once more. */
static void check_disarm(void)
{
	for (uint64_t us = 1000; us < 2000000; us *= 2) {
		uint64_t deadline = rdtsc() + clock_us(us);

		timer_arm(deadline);
		timer_stop();
		if (rdtsc() < deadline) {
			clear_seen();
			open_window(us + 1000);
			check(!irq_seen[IRQ_TIMER], "deadline-off", "a deadline of 0 disarms it");
			return;
		}
		open_window(1);
	}
	check(false, "deadline-off", "two accesses to the timer take less than a second");
}

static void check_deadline(void)
{
	uint64_t deadline;

	if (!lapic_has_deadline()) {
		skip("deadline", "no TSC deadline timer is offered");
		return;
	}
	clear_seen();
	deadline = rdtsc() + clock_us(500);
	timer_arm(deadline);
	while (!irq_seen[IRQ_TIMER])
		cpu_wait();
	check(rdtsc() >= deadline, "deadline", "the deadline timer wakes HLT, not early");
	check(!rdmsr(MSR_TSC_DEADLINE), "deadline-clear", "the deadline reads 0 then");
	clear_seen();
	timer_arm(rdtsc() - 1);
	cpu_wait();
	check(irq_seen[IRQ_TIMER] == 1, "deadline-past", "a deadline in the past fires at once");
	check_disarm();
}

static void check_self_ipi(void)
{
	if (!lapic_is_x2apic()) {
		skip("self-ipi", "no x2APIC is offered");
		return;
	}
	clear_seen();
	lapic_write(LAPIC_SELF_IPI, IRQ_TEST);
	check(!irq_seen[IRQ_TEST], "self-ipi-held", "a self-IPI waits while IF is 0");
	__asm__ volatile("sti; nop; cli" : : : "memory");
	check(irq_seen[IRQ_TEST] == 1, "self-ipi", "and comes when IF is 1");
	lapic_write(LAPIC_TPR, IRQ_TEST & 0xf0);
	lapic_write(LAPIC_SELF_IPI, IRQ_TEST);
	__asm__ volatile("sti; nop; nop; cli" : : : "memory");
	check(irq_seen[IRQ_TEST] == 1, "tpr", "the task priority holds it back");
	lapic_write(LAPIC_TPR, 0);
	__asm__ volatile("sti; nop; nop; cli" : : : "memory");
	check(irq_seen[IRQ_TEST] == 2, "tpr-lowered", "until it is lowered");
}

static uint64_t *probe_entry, probe_rip, probe_page[512] __attribute__((aligned(4096)));
static uint64_t faults, astray;

static bool on_fault(struct trap_frame *frame)
{
	if (frame->vector != TRAP_PF)
		return false;
	faults++;
	astray += frame->rip != probe_rip || frame->error != 0 || trap_address() != PROBE ||
		  frame->cs != GDT_KERNEL_CODE;
	*probe_entry = (uintptr_t)probe_page | PTE_PRESENT | PTE_WRITABLE;
	return true;
}

static uint64_t interval_us;

/* As fast as the test bed bears: an interval shorter than what an interrupt costs would leave no
 * time for anything else. */
static void rearm(unsigned vector)
{
	static uint64_t faults_then;

	if (vector != IRQ_TIMER)
		return;
	if (faults - faults_then < 4 && interval_us < 1000)
		interval_us *= 2;
	else if (interval_us > 20)
		interval_us -= interval_us / 8;
	faults_then = faults;
	timer_arm(rdtsc() + clock_us(interval_us));
}

static void check_faults(uint64_t ms)
{
	uint64_t end = rdtsc() + clock_ms(ms), late = end + clock_ms(60000), loops = 0, wrong = 0;

	clear_seen();
	probe_entry = paging_entry(PROBE);
	probe_page[0] = 0x1122334455667788;
	trap_hook = on_fault;
	irq_hook = rearm;
	interval_us = 20;
	timer_arm(rdtsc() + clock_us(interval_us));
	__asm__ volatile("sti" : : : "memory");
	/* a busy host may keep us off for all of the time */
	while (rdtsc() < end || ((loops < 100 || !irq_seen[IRQ_TIMER]) && rdtsc() < late)) {
		uint64_t value;

		*probe_entry = 0;
		paging_flush(PROBE);
		__asm__ volatile("leaq 1f(%%rip), %0\n\tmovq %0, %1\n"
				 "1:\tmovq (%2), %0"
				 : "=&r"(value), "=m"(probe_rip)
				 : "r"(PROBE)
				 : "memory");
		wrong += value != probe_page[0];
		loops++;
	}
	__asm__ volatile("cli" : : : "memory");
	irq_hook = NULL;
	trap_hook = NULL;
	timer_stop();
	print("timer: %lu page faults, %u timer interrupts, %lu us apart at last\n", faults,
	      irq_seen[IRQ_TIMER], interval_us);
	check(faults == loops && loops, "faults", "each access faulted exactly once");
	check(!astray && !wrong, "faults-state",
	      "RIP, error code, CR2 and data were right each time");
	check(irq_seen[IRQ_TIMER] > 0, "faults-timer", "the timer went on meanwhile");
}

int guest_main(void)
{
	uint64_t ms;

	(void)args_u64(guest_cmdline(), "ms", 1000, &ms);
	check_countdown();
	check_periodic();
	check_masked();
	check_deadline();
	check_self_ipi();
	check_faults(ms);
	return check_status();
}
