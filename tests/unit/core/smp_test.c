/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does a CPU that comes late, or in another one's time, get no place; does one that is in time keep its
 * own; and does a wait for a CPU end? Faked: the local APIC, whose SIPI calls what the test wants to
 * happen, and time, in which a microsecond is a tick.
 */
#include <asm/prctl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#undef fail /* cmocka's macro, the core's function */
#include "hv/core/smp.c"

struct acpi_info acpi;
char trampoline_start[64], trampoline_end[1], trampoline_cr3[1], trampoline_base[1];
char trampoline_far32[1], trampoline_far64[1], boot_stack_top[1];
uint64_t stack_guard_canary;

static uint32_t id_here; /* the local APIC's */
static void (*at_sipi)(void);
static unsigned sipis;
static jmp_buf panicked;
static char reason[128];

void panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	longjmp(panicked, 1);
}

void log_printf(const char *fmt, ...)
{
	(void)fmt;
}

void *page_alloc(size_t bytes)
{
	return calloc(1, bytes);
}

void *stack_alloc(size_t bytes)
{
	(void)bytes;
	return boot_stack_top;
}

uint64_t tsc_from_us(uint64_t us)
{
	return us;
}

uint64_t tsc_to_ns(uint64_t ticks)
{
	return ticks;
}

uint32_t lapic_id(void)
{
	return id_here;
}

bool lapic_is_x2apic(void)
{
	return true;
}

void lapic_send_sipi(uint32_t apic_id, uint8_t page)
{
	(void)apic_id;
	(void)page;
	if (sipis++ == 0 && at_sipi)
		at_sipi();
}

#define DOES_NOTHING(name, ...)                                                                    \
	void name(__VA_ARGS__)                                                                     \
	{                                                                                          \
	}
DOES_NOTHING(paging_load, void)
DOES_NOTHING(trap_init_cpu, void)
DOES_NOTHING(lapic_init_cpu, void)
DOES_NOTHING(fpu_init_cpu, void)
DOES_NOTHING(timer_init_cpu, void)
DOES_NOTHING(trampoline_writable, uint64_t hpa __attribute__((unused)))
DOES_NOTHING(trampoline_executable, uint64_t hpa __attribute__((unused)))
DOES_NOTHING(delay_us, uint64_t us __attribute__((unused)))
DOES_NOTHING(lapic_send_init, uint32_t id __attribute__((unused)))
DOES_NOTHING(lapic_send_nmi, uint32_t id __attribute__((unused)))
DOES_NOTHING(lapic_send_ipi, uint32_t id __attribute__((unused)),
	     uint8_t vector __attribute__((unused)))

uint64_t paging_cr3(void)
{
	return 0;
}

/* What entry.S does: NULL: the CPU parks. */
static struct cpu *enter(void)
{
	struct cpu *place = atomic_load(&ap_place);
	uint32_t offered = CPU_OFFERED;

	return atomic_compare_exchange_strong(&place->start, &offered, CPU_TAKEN) ? place : NULL;
}

static void comes_in_time(void)
{
	assert_true(come_online(enter()));
}

static struct cpu *taken;

static void takes_the_place_only(void)
{
	taken = enter();
	assert_non_null(taken);
}

static int set_up(void **state)
{
	(void)state;
	syscall(SYS_arch_prctl, ARCH_SET_GS, &boot_cpu);
	boot_cpu.self = &boot_cpu;
	sipis = 0;
	at_sipi = NULL;
	return 0;
}

static void in_time(void **state)
{
	struct cpu cpu = { .apic_id = 3 };

	(void)state;
	id_here = 3;
	at_sipi = comes_in_time;
	assert_true(start_cpu(&cpu, 8));
	assert_int_equal(atomic_load(&cpu.start), CPU_ONLINE);
	assert_null(enter()); /* a second SIPI */
}

static void too_late(void **state)
{
	struct cpu cpu = { .apic_id = 3 };

	(void)state;
	id_here = 3;
	assert_false(start_cpu(&cpu, 8));
	assert_null(enter());
	/* it came, but was then away for too long */
	memset(&cpu, 0, sizeof(cpu));
	cpu.apic_id = 3;
	sipis = 0;
	at_sipi = takes_the_place_only;
	assert_false(start_cpu(&cpu, 8));
	assert_false(come_online(taken));
}

/* The late one takes the place of the next, and is found out. */
static void in_another_ones_time(void **state)
{
	struct cpu late = { .apic_id = 3 }, next = { .apic_id = 4 };

	(void)state;
	id_here = 3;
	assert_false(start_cpu(&late, 8));
	sipis = 0;
	at_sipi = takes_the_place_only;
	assert_false(start_cpu(&next, 8));
	assert_ptr_equal(taken, &next);
	assert_false(come_online(taken));
	id_here = 4;
	assert_null(enter());
}

/* Those left out have no index; the others' are in one piece. */
static void indices_are_dense(void **state)
{
	struct cpu *left_out;

	(void)state;
	memset(&acpi, 0, sizeof(acpi));
	acpi.cpu_count = 3;
	acpi.apic_ids[1] = 5;
	acpi.apic_ids[2] = 6;
	boot_cpu.apic_id = 0;
	cpu_count = 0;
	add_cpu(&boot_cpu);
	start_or_leave_out(5, 8);
	left_out = atomic_load(&ap_place); /* kept, for the CPU may be on its stack */
	sipis = 0;
	id_here = 6;
	at_sipi = comes_in_time;
	start_or_leave_out(6, 8);
	assert_int_equal(cpu_count, 2);
	assert_int_equal(cpus[1]->apic_id, 6);
	assert_int_equal(cpus[1]->index, 1);
	free(cpus[1]);
	free(left_out);
}

static void a_wait_ends(void **state)
{
	(void)state;
	cpu_await(rdtsc(), 7, "nothing");
	cpu_await(rdtsc() - ANSWER_US / 2, 7, "nothing");
	cpu_await(rdtsc() + 1000000000, 7, "nothing"); /* a clock read too early */
	if (setjmp(panicked) == 0) {
		cpu_await(rdtsc() - ANSWER_US - 1, 7, "it was to wake up");
		assert_true(false);
	}
	assert_string_equal(reason, "CPU 7 does not answer: it was to wake up");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(in_time, set_up),
		cmocka_unit_test_setup(too_late, set_up),
		cmocka_unit_test_setup(in_another_ones_time, set_up),
		cmocka_unit_test_setup(indices_are_dense, set_up),
		cmocka_unit_test_setup(a_wait_ends, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
