/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How late does a guest run that sleeps until a timer? Sleeps of 1 to 5 ms, by a fixed sequence so
 * that no beat with the hypervisor's slices hides a wait, each followed by work=US of computing.
 * It measures from from=MS to to=MS of its own time and goes on until until=MS, so that no VM ends
 * while another one measures. How late is acceptable depends on the other VMs: tests/boot compares.
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
	uint64_t begin = rdtsc(), from, to, until, work, most = 0, sum = 0, number = 0;

	(void)args_u64(guest_cmdline(), "from", 80, &from);
	(void)args_u64(guest_cmdline(), "to", 280, &to);
	(void)args_u64(guest_cmdline(), "until", 320, &until);
	(void)args_u64(guest_cmdline(), "work", 50, &work);
	while (rdtsc() < begin + clock_ms(until)) {
		uint64_t late = sleep_until(rdtsc() + clock_us(random_us()));
		uint64_t worked = rdtsc() + clock_us(work);

		while (rdtsc() < worked)
			;
		if (worked < begin + clock_ms(from) || worked > begin + clock_ms(to))
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
