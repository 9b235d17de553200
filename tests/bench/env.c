/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The data plane's surroundings for the benchmark of two cores: guests that run all the time, and the
 * TSC as clock, as in the hypervisor.
 */
#include "tests/bench/env.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

_Thread_local unsigned bench_cpu;
_Atomic unsigned long bench_interrupts;
static uint64_t us_per_tsc; /* 32.32 fixed point */

static double now_s(void)
{
	struct timespec t;

	timespec_get(&t, TIME_UTC);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double bench_tsc_hz(void)
{
	static double hz;
	double start = now_s();
	uint64_t tsc = __rdtsc();

	if (hz != 0)
		return hz;
	while (now_s() - start < 0.1)
		;
	hz = (double)(__rdtsc() - tsc) / (now_s() - start);
	us_per_tsc = (uint64_t)(1e6 / hz * 4294967296.0);
	return hz;
}

uint64_t env_now_us(void)
{
	return (uint64_t)((unsigned __int128)__rdtsc() * us_per_tsc >> 32);
}

enum peer_state env_peer_state(const struct port *port, unsigned queue)
{
	(void)port;
	(void)queue;
	return PEER_RUNNING;
}

void env_interrupt(struct port *port, unsigned queue)
{
	(void)port;
	(void)queue;
	atomic_fetch_add_explicit(&bench_interrupts, 1, memory_order_relaxed);
}

void env_device_broken(struct port *port, unsigned queue, const char *why)
{
	(void)port;
	(void)queue;
	(void)why;
	abort();
}

void env_more_work(struct port *port, unsigned queue)
{
	(void)port;
	(void)queue;
}

void env_work_here(struct port *port, unsigned queue)
{
	(void)port;
	(void)queue;
}

bool env_will_flush(struct port *port, uint32_t within_us)
{
	(void)port;
	(void)within_us;
	return false;
}

bool env_offload(struct port *port, unsigned queue)
{
	(void)port;
	(void)queue;
	return false;
}

unsigned env_share(struct port *to, const struct port *from, const struct seg *seg, uint32_t bytes,
		   struct uplink_piece *piece, unsigned room, struct share_cost *cost)
{
	(void)to;
	(void)from;
	(void)seg;
	(void)bytes;
	(void)piece;
	(void)room;
	(void)cost;
	return 0; /* there is no uplink here */
}

void env_unshare(struct port *to, const struct uplink_piece *piece, unsigned pieces,
		 struct share_cost *cost)
{
	(void)to;
	(void)piece;
	(void)pieces;
	(void)cost;
}

void env_disown(struct port *to, const struct uplink_piece *piece, unsigned pieces)
{
	(void)to;
	(void)piece;
	(void)pieces;
}

void env_unshare_disowned(struct port *to, const struct uplink_piece *piece, unsigned pieces,
			  struct share_cost *cost)
{
	env_unshare(to, piece, pieces, cost);
}

void env_revoke(const struct port *from)
{
	(void)from;
}

void env_reclaim(struct port *to)
{
	(void)to;
}

unsigned env_cpus(void)
{
	return 2;
}

unsigned env_cpu(void)
{
	return bench_cpu;
}

void env_await(unsigned cpu, uint64_t since_us)
{
	(void)cpu;
	(void)since_us;
	__builtin_ia32_pause();
}

void *env_alloc(size_t bytes)
{
	size_t rounded = (bytes + 63) & ~(size_t)63;
	void *p = aligned_alloc(64, rounded);

	if (p == NULL)
		abort();
	return memset(p, 0, rounded);
}

void env_free(void *p, size_t bytes)
{
	(void)bytes;
	free(p);
}
