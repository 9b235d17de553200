/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each CPU's time goes into, in TSC ticks: guests, the hypervisor itself, HLT, and looks at queues
 * that found nothing. Each CPU keeps its own account; anybody reads the sum.
 */
#pragma once

#include "hv/core/percpu.h"
#include "hv/cpu/x86.h"

/* Values of struct cpu ->accounted that are no time */
enum { ACCOUNT_NONE, ACCOUNT_CHANGES };

/* This CPU's time since the last call was of one kind, and from now on it is of the next. Partner
 * of the stores: cpu_time_sum(). */
static inline void cpu_time_turn(struct cpu *cpu, enum cpu_time was, enum cpu_time next)
{
	uint64_t now = rdtsc(), since = atomic_load_explicit(&cpu->accounted, memory_order_relaxed);
	uint64_t spent = atomic_load_explicit(&cpu->time[was], memory_order_relaxed);

	atomic_store_explicit(&cpu->accounted, ACCOUNT_CHANGES, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&cpu->time[was], spent + now - since, memory_order_relaxed);
	atomic_store_explicit(&cpu->doing, next, memory_order_relaxed);
	atomic_store_explicit(&cpu->accounted, now, memory_order_release);
}

/* Ticks for which it has been in HLT by now, or 0. For a guess: it may have changed meanwhile. */
static inline uint64_t cpu_time_idle(const struct cpu *cpu)
{
	uint64_t since = atomic_load_explicit(&cpu->accounted, memory_order_acquire), now = rdtsc();

	if (since <= ACCOUNT_CHANGES || now < since ||
	    atomic_load_explicit(&cpu->doing, memory_order_relaxed) != TIME_IDLE)
		return 0;
	return now - since;
}

/* The account begins; until then the CPU has none. */
static inline void cpu_time_begin(struct cpu *cpu)
{
	atomic_store_explicit(&cpu->accounted, rdtsc(), memory_order_release);
}

/* All CPUs' accounts until now. */
void cpu_time_sum(uint64_t sum[TIME_KINDS]);
