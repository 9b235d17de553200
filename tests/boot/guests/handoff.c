/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long does a word take from one vCPU to the next that waits for it in a loop of PAUSEs, when
 * there are more vCPUs than CPUs? A token goes round; who waits has nothing to do but to look, and
 * without PAUSE-loop exits would do so until its slice is over. Boot arguments: cpus=N vCPUs;
 * rounds=N; most-us=N what a hand-over may take on average (0, the default: any time).
 */
#include "guest/lib/args.h"
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/runtime.h"
#include "guest/lib/smp.h"
#include "tests/boot/guests/check.h"

enum { PAGE = 0x08 };

static unsigned count;
static uint64_t rounds;
static _Atomic uint64_t token; /* hand-overs so far: the turn of vCPU token % count */

static void pass_on(void)
{
	unsigned id = smp_self()->id;

	for (uint64_t turn = id; turn < rounds * count; turn += count) {
		while (atomic_load_explicit(&token, memory_order_acquire) != turn)
			cpu_pause();
		atomic_store_explicit(&token, turn + 1, memory_order_release);
	}
}

int guest_main(void)
{
	uint64_t cpus, most_us, begin, us;
	unsigned started = 1;

	(void)args_u64(guest_cmdline(), "cpus", 2, &cpus);
	(void)args_u64(guest_cmdline(), "rounds", 25, &rounds);
	(void)args_u64(guest_cmdline(), "most-us", 0, &most_us);
	count = smp_init();
	for (unsigned id = 1; id < count; id++)
		started += smp_start(id, PAGE);
	if (!check(count == cpus && started == count, "start", "every vCPU starts"))
		return 1;
	begin = rdtsc();
	smp_everywhere(count, pass_on);
	us = clock_ns(rdtsc() - begin) / 1000;
	check(atomic_load(&token) == rounds * count, "token", "the token went round");
	print("handoff: %lu hand-overs between %u vCPUs, %lu us each\n", rounds * count, count,
	      us / (rounds * count));
	if (most_us)
		check(us / (rounds * count) <= most_us, "handoff",
		      "who waits gives its CPU to the one that is waited for");
	return check_status();
}
