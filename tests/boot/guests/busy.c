/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does a CPU take the same time for the same work, whether the other CPUs idle or compute? One VM
 * measures (boot argument measure=1), others compute between from=MS and to=MS of their own time
 * and are halted else. The one measures at once, when they are halted, and again within that
 * span. True of virtual time only: Bochs as packaged lets the clock run up to three times too fast
 * when CPUs are halted (scripts/bochs-errata.py, fault 5).
 */
#include "guest/lib/args.h"
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/runtime.h"
#include "tests/boot/guests/check.h"

enum { LOOPS = 1000000, PERCENT = 3 };

static void sleep_until(uint64_t tsc)
{
	while (rdtsc() < tsc)
		clock_wait(tsc);
}

static uint64_t work(void)
{
	uint64_t begin = rdtsc(), n = LOOPS;

	__asm__ volatile("1:\tdecq %0\n\tjnz 1b" : "+r"(n) : : "cc");
	return rdtsc() - begin;
}

static void measure(uint64_t again)
{
	uint64_t alone = work(), beside;
	bool in_time = rdtsc() < again;

	sleep_until(again);
	beside = work();
	print("busy: %u loops took %lu ticks beside halted CPUs, %lu beside busy ones\n", LOOPS,
	      alone, beside);
	check(in_time, "alone", "the first measurement was over when the others began");
	check(beside * 100 <= alone * (100 + PERCENT) && alone * 100 <= beside * (100 + PERCENT),
	      "fair-clock", "the same work took the same time");
}

int guest_main(void)
{
	uint64_t begin = rdtsc(), from, to, measures;

	(void)args_u64(guest_cmdline(), "from", 100, &from);
	(void)args_u64(guest_cmdline(), "to", 200, &to);
	(void)args_u64(guest_cmdline(), "measure", 0, &measures);
	if (measures) {
		measure(begin + clock_ms((from + to) / 2));
		return check_status();
	}
	sleep_until(begin + clock_ms(from));
	while (rdtsc() < begin + clock_ms(to))
		(void)work();
	check(true, "busy", "this VM computed meanwhile");
	return check_status();
}
