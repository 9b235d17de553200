/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The counting loop: the same instructions before and after all that is measured. Where time is virtual
 * they take the same ticks, or the clock was not fair. An interrupt of the hypervisor's lengthens a
 * round, so the shortest counts.
 */
#include "guest/bench/bench.h"

#include "guest/lib/cpu.h"
#include "guest/lib/print.h"

enum { ROUNDS = 8 };

static uint64_t round_ticks(uint64_t loops)
{
	uint64_t begin = rdtsc();

	__asm__ volatile("1: dec %0\n\t"
			 "jnz 1b"
			 : "+r"(loops)
			 :
			 : "cc");
	return rdtsc() - begin;
}

void bench_count(const char *when, uint64_t loops)
{
	uint64_t least = UINT64_MAX;

	if (!loops)
		return;
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t ticks = round_ticks(loops);

		if (ticks < least)
			least = ticks;
	}
	print("lasthop: result test=count when=%s loops=%lu ticks=%lu\n", when, loops, least);
}
