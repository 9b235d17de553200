/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What share of a CPU does a guest get that always computes? It reads the TSC without end: a step
 * longer than 20 us is time in which it did not run. It measures from from=MS to to=MS of its own
 * time, when who began before the others has paid for it, and goes on until until=MS, so that others
 * who measure are not left alone too early. What is fair depends on the other VMs: tests/boot
 * compares (on Bochs; on TCG the host's load is in it).
 */
#include "guest/lib/args.h"
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/print.h"
#include "guest/lib/runtime.h"

enum { AWAY_US = 20 };

struct measured {
	uint64_t ran, longest, times; /* ticks, ticks and number of steps away */
};

static struct measured spin(uint64_t from, uint64_t to)
{
	struct measured m = { 0 };
	uint64_t away = clock_us(AWAY_US), last = from, now;

	while ((now = rdtsc()) < from)
		last = now;
	for (; now < to; last = now, now = rdtsc()) {
		if (now - last < away) {
			m.ran += now - last;
			continue;
		}
		m.times++;
		if (now - last > m.longest)
			m.longest = now - last;
	}
	return m;
}

int guest_main(void)
{
	uint64_t begin = rdtsc(), from, to, until;
	struct measured m;

	(void)args_u64(guest_cmdline(), "from", 80, &from);
	(void)args_u64(guest_cmdline(), "to", 280, &to);
	(void)args_u64(guest_cmdline(), "until", 320, &until);
	m = spin(begin + clock_ms(from), begin + clock_ms(to));
	while (rdtsc() < begin + clock_ms(until))
		;
	/* told last: a line takes its time */
	print("spin: ran %lu of %lu us, away %lu times, %lu us at most\n", clock_ns(m.ran) / 1000,
	      (to - from) * 1000, m.times, clock_ns(m.longest) / 1000);
	return 0;
}
