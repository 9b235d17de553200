/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does the hypervisor stop with a report that tells what happened, whatever kills it? A core_main()
 * that brings the machine up as hv/core/main.c does, logs a line, and then does what FAULT (given to
 * the compiler) says. Each run must end with the event "panic" and the reason given in `faults`, a
 * back trace that names fault_here and core_main, and the line "before the fault".
 */
#include "hv/core/main.h"

#include "hv/core/acpi.h"
#include "hv/core/last_boot.h"
#include "hv/core/log_impl.h"
#include "hv/core/machine_reset.h"
#include "hv/core/paging.h"
#include "hv/core/percpu.h"
#include "hv/core/platform.h"
#include "hv/core/pmm.h"
#include "hv/core/report.h"
#include "hv/core/screen.h"
#include "hv/core/smp.h"
#include "hv/core/timer.h"
#include "hv/core/trap.h"
#include "hv/cpu/lapic.h"
#include "hv/cpu/x86.h"

#ifndef FAULT
#error "compile with -DFAULT=0 to 13"
#endif

/* What the console leads to is linked, and never called: no guest runs here. */
const struct hvm_ops *hvm;
const struct apic_ops *apic_ops;
const struct platform_ops *platform;

extern char __text_start[], __rodata_start[];
void fault_here(const struct handover *h);

/* A few bytes of data that would be code: RET. */
static unsigned char ret_instruction[] = { 0xc3 };

/* `left` is more than any stack holds. */
static unsigned deeper(volatile unsigned char *above, unsigned left)
{
	volatile unsigned char here[512];

	here[0] = (unsigned char)(above[0] + 1);
	return left == 0 ? 0 : deeper(here, left - 1) + here[0];
}

static volatile uintptr_t null; /* what the compiler must not see through */

static void null_write(const struct handover *h)
{
	(void)h;
	*(volatile uint32_t *)null = 1;
}

static void stack_overflow(const struct handover *h)
{
	volatile unsigned char first[512] = { 0 };

	(void)h;
	log_printf("%u", deeper(first, 1u << 20));
}

static void execute_data(const struct handover *h)
{
	(void)h;
	((void (*)(void))(uintptr_t)ret_instruction)();
}

static void write_text(const struct handover *h)
{
	(void)h;
	*(volatile char *)__text_start = 0;
}

static void write_rodata(const struct handover *h)
{
	(void)h;
	*(volatile char *)__rodata_start = 0;
}

/* The image's pages must not be reachable through the direct map, where they would be writable. */
static void image_alias(const struct handover *h)
{
	*(volatile char *)hpa_to_ptr((hpa_t){ h->core_addr }) = 0;
}

/* Neither must the trampoline, once it is executable. */
static void trampoline_alias(const struct handover *h)
{
	*(volatile char *)hpa_to_ptr((hpa_t){ h->trampoline }) = 0;
}

static void direct_map_execute(const struct handover *h)
{
	unsigned char *page = page_alloc(PAGE_SIZE);

	(void)h;
	page[0] = ret_instruction[0];
	((void (*)(void))(uintptr_t)page)();
}

static void broken_promise(const struct handover *h)
{
	assert(h == NULL);
}

static void divide_by_zero(const struct handover *h)
{
	volatile unsigned zero = 0;

	log_printf("%u", h->version / zero);
}

/* Where no x86 has memory, where ours ends, and round the end of all numbers. */
static void absurd_device(const struct handover *h)
{
	(void)h;
	for (unsigned bit = 44; bit < 64; bit++)
		assert(!map_device(BIT(bit), PAGE_SIZE) && !map_firmware(BIT(bit), 1));
	assert(!map_device(~0ull, 2) && !map_firmware(~0ull - PAGE_SIZE, 2 * PAGE_SIZE));
	assert(!map_device(BIT(cpuid(0x80000008, 0).eax & 63) - 1, 2));
	assert(map_device(acpi.lapic_base, PAGE_SIZE));
	panic("nothing was mapped");
}

/* The first life ends by a reset, of which nobody tells; the second one knows how the first went. */
static void first_life(const struct handover *h)
{
	if (h->dead_bytes)
		panic("the second life knows of the first");
	log_printf("the first life's last words");
}

static void triple_fault(const struct handover *h)
{
	static const uint8_t no_idt[10];

	first_life(h);
	__asm__ volatile("lidt %0; ud2" : : "m"(no_idt));
}

static void reset(const struct handover *h)
{
	first_life(h);
	machine_reset();
}

/* An NMI interrupts whoever holds a lock, that of the log too: it is told afterwards. */
static void nmi_amid_the_log(const struct handover *h)
{
	(void)h;
	assert(log_lock_take(&log_lock));
	lapic_send_nmi(this_cpu()->apic_id);
	delay_us(1000);
	spin_unlock(&log_lock);
	assert(mailbox_take() & MB_NMI);
	panic("the log goes on");
}

static const struct {
	void (*run)(const struct handover *h);
	const char *reason; /* must be in the event "panic" */
} faults[] = {
	{ null_write, "page fault: write at 0000000000000000" },
	{ stack_overflow, "stack overflow" },
	{ execute_data, "page fault: execute" },
	{ write_text, "page fault: write at ffffffff80000000: not allowed there" },
	{ write_rodata, "not allowed there" },
	{ image_alias, "nothing is mapped there" },
	{ trampoline_alias, "nothing is mapped there" },
	{ direct_map_execute, "page fault: execute" },
	{ broken_promise, "assertion failed: h == NULL" },
	{ divide_by_zero, "divide error" },
	{ absurd_device, "nothing was mapped" },
	{ triple_fault, "the second life knows of the first" },
	{ reset, "the second life knows of the first" },
	{ nmi_amid_the_log, "the log goes on" },
};

void fault_here(const struct handover *h)
{
	log_printf("expect: %s", faults[FAULT].reason);
	log_printf("before the fault");
	faults[FAULT].run(h);
	log_printf("after the fault: nothing stopped it");
	report_refused("the fault had no effect");
}

static void ap_life(void)
{
	for (;;) {
		cpu_wait();
		mailbox_take();
	}
}

_Noreturn void core_main(const struct handover *h)
{
	trap_init(h);
	log_init(h);
	pmm_init(h);
	paging_init(h);
	screen_init(h);
	last_boot_show(h);
	smp_init_boot_cpu();
	trap_init_cpu();
	if (acpi_init(h->rsdp) < 0)
		panic("no ACPI tables");
	if (!lapic_probe(map_device(acpi.lapic_base, PAGE_SIZE)))
		panic("no local APIC");
	lapic_init_cpu();
	timer_calibrate();
	timer_init_cpu();
	smp_start(h->trampoline, ap_life);
	report_boot("none", cpu_count, tsc_khz());
	fault_here(h);
	cpu_halt();
}
