/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How late does a guest run that sleeps until a timer? Sleeps of 1 to 5 ms, by a fixed sequence so
 * that no beat with the hypervisor's slices hides a wait, each followed by work=US of computing.
 * Boot arguments: sleeps=N, skip=N (of these, not measured), work=US. Never early is asserted
 * here; how late is acceptable depends on the other VMs: tests/boot compares.
 */
#include "guest/lib/args.h"
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/runtime.h"
#include "tests/boot/guests/check.h"

static uint64_t random_us(void)
{
	static uint64_t state = 1;

	state = state * 6364136223846793005 + 1442695040888963407;
	return 1000 + (state >> 33) % 4000;
}

/* How many ticks after `deadline` it was awake. */
static uint64_t sleep_until(uint64_t deadline)
{
	uint64_t now;

	while ((now = rdtsc()) < deadline)
		clock_wait(deadline);
	return now - deadline;
}

int guest_main(void)
{
	uint64_t sleeps, skipped, work, late, most = 0, sum = 0, number = 0;

	(void)args_u64(guest_cmdline(), "sleeps", 60, &sleeps);
	(void)args_u64(guest_cmdline(), "skip", 10, &skipped);
	(void)args_u64(guest_cmdline(), "work", 50, &work);
	for (uint64_t i = 0; i < sleeps; i++) {
		uint64_t until;

		late = sleep_until(rdtsc() + clock_us(random_us()));
		until = rdtsc() + clock_us(work);
		while (rdtsc() < until)
			;
		if (i < skipped)
			continue;
		number++;
		sum += late;
		if (late > most)
			most = late;
	}
	print("wake: %lu sleeps, late by %lu us at most, %lu on average\n", number,
	      clock_ns(most) / 1000, number ? clock_ns(sum / number) / 1000 : 0);
	check(number > 0, "wake", "each sleep ended");
	return check_status();
}
