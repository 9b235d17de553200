/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The data plane's surroundings on the host, for tests, fuzzers and the native benchmark. CPUs are
 * whatever the calling thread says it is; time stands still unless a test moves it.
 */
#include "tests/unit/vswitch/env.h"

#include <stdlib.h>
#include <string.h>

#include "lasthop/uplink.h"
#include "vswitch/switch.h"
#include "vswitch/vq.h"

_Thread_local unsigned env_this_cpu;
uint64_t env_clock_us;
long env_alloc_fail = -1;
_Atomic long env_allocs;

enum peer_state env_peer_state(const struct port *port, unsigned queue)
{
	struct env_port *e = port_owner(port);

	(void)queue;
	return e != NULL ? e->peer : PEER_OFF;
}

/* A port without a driver asks for nothing but its driver's state. */
static struct env_port *owner(const struct port *port)
{
	struct env_port *e = port_owner(port);

	if (e == NULL)
		abort();
	return e;
}

void env_interrupt(struct port *port, unsigned queue)
{
	struct env_port *e = owner(port);

	atomic_fetch_add(&e->interrupts[queue], 1);
	if (e->on_interrupt != NULL)
		e->on_interrupt(port, queue);
}

void env_device_broken(struct port *port, unsigned queue, const char *why)
{
	struct env_port *e = owner(port);

	atomic_fetch_add(&e->broken[queue], 1);
	e->why = why;
}

void env_more_work(struct port *port, unsigned queue)
{
	atomic_fetch_add(&owner(port)->more_work[queue], 1);
}

void env_work_here(struct port *port, unsigned queue)
{
	env_more_work(port, queue);
}

bool env_offload(struct port *port, unsigned queue)
{
	(void)queue;
	return owner(port)->helper;
}

bool env_will_flush(struct port *port, uint32_t within_us)
{
	struct env_port *e = owner(port);

	e->flush_us = within_us;
	return e->will_flush;
}

/* To devices, memory is where it is to the tests. */
unsigned env_share(struct port *to, const struct port *from, const struct seg *seg, uint32_t bytes,
		   struct uplink_piece *piece, unsigned room, struct share_cost *cost)
{
	struct env_port *e = port_owner(to);
	unsigned n = 0;

	(void)from;
	if (e == NULL || atomic_load(&e->shares_left) == 0)
		return 0;
	for (; bytes > 0; n++) {
		uint32_t len = seg[n].len < bytes ? seg[n].len : bytes;

		if (n == room)
			return 0;
		piece[n] = (struct uplink_piece){ (uintptr_t)seg[n].ptr, len, 0 };
		bytes -= len;
	}
	atomic_fetch_sub(&e->shares_left, 1);
	atomic_fetch_add(&e->shared, n);
	cost->mapped += n;
	return n;
}

void env_unshare(struct port *to, const struct uplink_piece *piece, unsigned pieces,
		 struct share_cost *cost)
{
	struct env_port *e = port_owner(to);

	(void)piece;
	cost->flushes++;
	atomic_fetch_sub(&e->shared, pieces);
}

void env_disown(struct port *to, const struct uplink_piece *piece, unsigned pieces)
{
	struct env_port *e = port_owner(to);

	(void)piece;
	atomic_fetch_add(&e->disowned, pieces);
}

void env_unshare_disowned(struct port *to, const struct uplink_piece *piece, unsigned pieces,
			  struct share_cost *cost)
{
	struct env_port *e = port_owner(to);

	env_unshare(to, piece, pieces, cost);
	atomic_fetch_sub(&e->disowned, pieces);
}

void env_revoke(const struct port *from)
{
	struct env_port *e = port_owner(from);

	if (e != NULL)
		atomic_fetch_add(&e->revoked, 1);
}

void env_reclaim(struct port *to)
{
	struct env_port *e = port_owner(to);

	if (e != NULL)
		atomic_fetch_add(&e->reclaimed, 1);
}

unsigned env_cpus(void)
{
	return 0; /* so that a test can let the memory for a CPU fail */
}

unsigned env_cpu(void)
{
	return env_this_cpu;
}

uint64_t env_now_us(void)
{
	return env_clock_us;
}

/* The programs' own time limit ends a wait for ever. */
void env_await(unsigned cpu, uint64_t since_us)
{
	(void)cpu;
	(void)since_us;
	__builtin_ia32_pause();
}

void *env_alloc(size_t bytes)
{
	size_t rounded = (bytes + 63) & ~(size_t)63;
	void *p;

	if (env_alloc_fail >= 0 && env_alloc_fail-- == 0)
		return NULL;
	p = aligned_alloc(64, rounded);
	if (p == NULL)
		abort();
	memset(p, 0, rounded);
	atomic_fetch_add(&env_allocs, 1);
	return p;
}

void env_free(void *p, size_t bytes)
{
	(void)bytes;
	atomic_fetch_sub(&env_allocs, 1);
	free(p);
}
