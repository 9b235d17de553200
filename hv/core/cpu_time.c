/* SPDX-License-Identifier: BSD-2-Clause */
/* See cpu_time.h: reading it, a sequence lock whose number is the time. */
#include "hv/core/cpu_time.h"

#include <string.h>

/* False: it was being changed. Its CPU is soon done, as the holder of a spin lock is. */
static bool read_account(struct cpu *cpu, uint64_t time[TIME_KINDS])
{
	uint64_t until = atomic_load_explicit(&cpu->accounted, memory_order_acquire), now;
	uint32_t doing;

	if (until == ACCOUNT_NONE)
		return true;
	for (unsigned i = 0; i < TIME_KINDS; i++)
		time[i] = atomic_load_explicit(&cpu->time[i], memory_order_relaxed);
	doing = atomic_load_explicit(&cpu->doing, memory_order_relaxed);
	now = rdtsc();
	atomic_thread_fence(memory_order_acquire);
	if (until == ACCOUNT_CHANGES ||
	    atomic_load_explicit(&cpu->accounted, memory_order_relaxed) != until)
		return false;
	if (now > until) /* another CPU's TSC may be ahead of ours */
		time[doing] += now - until;
	return true;
}

void cpu_time_sum(uint64_t sum[TIME_KINDS])
{
	memset(sum, 0, TIME_KINDS * sizeof(*sum));
	for (unsigned i = 0; i < cpu_count; i++) {
		uint64_t time[TIME_KINDS] = { 0 };

		while (!read_account(cpus[i], time))
			__builtin_ia32_pause();
		for (unsigned kind = 0; kind < TIME_KINDS; kind++)
			sum[kind] += time[kind];
	}
}
