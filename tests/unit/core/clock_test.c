/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does the paravirtual clock tell a guest the right time, and is it written only where it may be? Is
 * the machine's clock read in all its forms, and an absent one noticed?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "hv/core/vcpu.h"
#include "hv/cpu/x86.h"

#undef assert /* the core's, as cmocka's of the same name */
#include <cmocka.h>

static uint8_t cmos_ram[128], cmos_index;
static unsigned updates; /* readings of register A that tell of an update */
static uint64_t now_tsc = 1000000, rate_khz = 100000;

static void fake_outb(uint16_t port, uint8_t value)
{
	assert_int_equal(port, 0x70);
	cmos_index = value & 0x7f;
}

static uint8_t fake_inb(uint16_t port)
{
	assert_int_equal(port, 0x71);
	if (cmos_index == 10 && updates) {
		updates--;
		return 0xa6;
	}
	return cmos_ram[cmos_index];
}

static uint64_t fake_rdtsc(void)
{
	return now_tsc;
}

#define outb  fake_outb
#define inb   fake_inb
#define rdtsc fake_rdtsc
#include "hv/core/pvclock.c"
#include "hv/core/wall.c"

static uint8_t ram[4096];
static unsigned log_lines;

uint64_t tsc_khz(void)
{
	return rate_khz;
}

uint64_t tsc_to_ns(uint64_t ticks)
{
	return (uint64_t)((unsigned __int128)ticks * 1000000 / rate_khz);
}

void log_printf(const char *fmt, ...)
{
	(void)fmt;
	log_lines++;
}

bool vm_write(const struct vm *vm, gpa_t at, const void *from, size_t bytes)
{
	(void)vm;
	if (at.v > sizeof(ram) || bytes > sizeof(ram) - at.v)
		return false;
	memcpy(ram + at.v, from, bytes);
	return true;
}

/* As a guest computes it (Linux: Documentation/virt/kvm/x86/msr.rst). */
static uint64_t guest_ns(uint64_t ticks, uint32_t mul, int8_t shift)
{
	ticks = shift >= 0 ? ticks << shift : ticks >> -shift;
	return (uint64_t)((unsigned __int128)ticks * mul >> 32);
}

static void any_rate(void **state)
{
	static const uint64_t rates[] = { 1000,	   99999,   100000,  500000,  999999,
					  1000000, 1000001, 2596124, 3500000, 10000000 };

	(void)state;
	for (unsigned i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		uint64_t day = rates[i] * 86400000;
		uint32_t mul;
		int8_t shift;
		uint64_t ns;

		pvclock_scale(rates[i], &mul, &shift);
		ns = guest_ns(day, mul, shift);
		assert_true(mul >> 31);
		assert_in_range(ns, 86400000000000ull - 50000, 86400000000000ull); /* 0.001 ppm */
	}
}

static void structures(void **state)
{
	static struct config_vm config;
	static struct vm vm = { .config = &config };
	static struct vcpu v = { .vm = &vm };
	struct system_time t;
	struct wall_clock w;

	(void)state;
	vm.tsc_offset = 0 - now_tsc;
	boot_tsc = 0;
	boot_ns = 5000000000; /* the VM was made 10 ms later */
	assert_true(pvclock_write(&v, MSR_SYSTEM_TIME, 0x100 | 1));
	memcpy(&t, ram + 0x100, sizeof(t));
	assert_int_equal(t.version, 2);
	assert_int_equal(t.flags, 1);
	assert_int_equal(guest_ns(rate_khz, t.tsc_to_system_mul, t.tsc_shift), 1000000);
	assert_int_equal(pvclock_read(&v, MSR_SYSTEM_TIME), 0x101);
	assert_true(pvclock_write(&v, MSR_WALL_CLOCK, 0x200));
	memcpy(&w, ram + 0x200, sizeof(w));
	assert_int_equal(w.sec, 5);
	assert_int_equal(w.nsec, 10000000);
	assert_int_equal(pvclock_read(&v, MSR_WALL_CLOCK), 0x200);
	/* not in RAM: refused, and nothing is changed; switched off: nothing is written */
	assert_false(pvclock_write(&v, MSR_SYSTEM_TIME, (sizeof(ram) - 16) | 1));
	assert_false(pvclock_write(&v, MSR_SYSTEM_TIME, ~0ull));
	assert_false(pvclock_write(&v, MSR_WALL_CLOCK, sizeof(ram) - 8));
	assert_int_equal(pvclock_read(&v, MSR_SYSTEM_TIME), 0x101);
	memset(ram, 0xee, sizeof(ram));
	assert_true(pvclock_write(&v, MSR_SYSTEM_TIME, 0x300));
	assert_int_equal(ram[0x300], 0xee);
}

static void set_cmos(uint8_t s, uint8_t m, uint8_t h, uint8_t day, uint8_t month, uint8_t year,
		     uint8_t b)
{
	memset(cmos_ram, 0, sizeof(cmos_ram));
	cmos_ram[0] = s;
	cmos_ram[2] = m;
	cmos_ram[4] = h;
	cmos_ram[7] = day;
	cmos_ram[8] = month;
	cmos_ram[9] = year;
	cmos_ram[11] = b;
	log_lines = 0;
	wall_init();
}

static uint64_t seconds(void)
{
	return wall_ns_at(now_tsc) / 1000000000;
}

static void machine_clock(void **state)
{
	(void)state;
	updates = 3;
	set_cmos(0x56, 0x34, 0x12, 0x23, 0x11, 0x26, B_24_HOUR); /* BCD */
	assert_int_equal(seconds(), 1795437296);
	set_cmos(56, 34, 12, 23, 11, 26, B_24_HOUR | B_BINARY);
	assert_int_equal(seconds(), 1795437296);
	set_cmos(0x56, 0x34, 0x92, 0x23, 0x11, 0x26, 0); /* 12 p.m. */
	assert_int_equal(seconds(), 1795437296);
	set_cmos(0x56, 0x34, 0x12, 0x23, 0x11, 0x26, 0); /* 12 a.m. */
	assert_int_equal(seconds(), 1795437296 - 12 * 3600);
	assert_int_equal(wall_ns_at(now_tsc + rate_khz) - wall_ns_at(now_tsc), 1000000);
	assert_int_equal(log_lines, 0);
}

static void every_day(void **state)
{
	(void)state;
	for (time_t t = 946684800; t < 4102444800; t += 86400) { /* 2000 to 2099 */
		struct tm d;

		gmtime_r(&t, &d);
		set_cmos(0, 0, 0, (uint8_t)d.tm_mday, (uint8_t)(d.tm_mon + 1),
			 (uint8_t)(d.tm_year - 100), B_24_HOUR | B_BINARY);
		assert_int_equal(seconds(), t);
	}
}

static void no_clock(void **state)
{
	(void)state;
	set_cmos(0, 0, 0, 0, 0, 0, 0); /* no date */
	assert_int_equal(seconds(), FALLBACK);
	assert_int_equal(log_lines, 1);
	set_cmos(0x61, 0, 0, 1, 1, 0x26, B_24_HOUR);
	assert_int_equal(seconds(), FALLBACK);
	updates = UINT32_MAX; /* as an absent one, whose port reads all ones */
	set_cmos(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
	assert_int_equal(seconds(), FALLBACK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_rate),	 cmocka_unit_test(structures),
		cmocka_unit_test(machine_clock), cmocka_unit_test(every_day),
		cmocka_unit_test(no_clock),
	};

	return cmocka_run_group_tests_name("clocks", tests, NULL, NULL);
}
