/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The policy preemptive-copy switched off: a packet whose receiver does not run is not copied before that
 * has got a CPU. It stays in the sender's ring, with all that is behind it there, and the queue is `held`:
 * nobody asks for kicks. The receiver is woken if it sleeps, and its CPU, before it enters the guest,
 * announces the queues that wait for it (port_arrive()); serving them then copies.
 *
 * Only a receiver that is about to run is waited for, and for one packet a few times at most. One that
 * sleeps on, since it wants no interrupt or takes none, gets its packets at once: no guest can stop
 * another's queue.
 * Model: tests/model/hold.pml.
 */
#include "vswitch/switch_impl.h"

#include "vswitch/policy.h"

/* A queue's first packet waits for so many arrivals: each should end it, but the receiver may be gone again
 * when another CPU serves the queue. */
#define MOST_WAITS 4u

/* Would the driver take an interrupt for one packet more? In a batch. */
static bool wants_next(const struct queue *q)
{
	uint16_t end = atomic_load_explicit(&q->published, memory_order_acquire);

	return vq_wants_interrupt(&q->vq, end, vq_advance(&q->vq, end, 1));
}

/* True: the receiver will run, and the sender's queue is announced when it does. */
static bool await(struct port *from, struct queue *tx, struct port *to, unsigned queue,
		  unsigned cpu)
{
	const uint64_t bit = 1ull << from->id;
	const struct queue *q = &to->queue[queue];
	enum peer_state peer = env_peer_state(to, queue);

	if (queue_state(q) != QUEUE_RUNNING || tx->waits == MOST_WAITS)
		return false;
	if (peer == PEER_BLOCKED && wants_next(q))
		rx_interrupt(to, queue, stats_slot(to, cpu));
	else if (peer != PEER_RUNNABLE)
		return false;
	if (!(atomic_fetch_or_explicit(&to->awaited_by, bit, memory_order_seq_cst) & bit))
		tx->waits++;
	/* partner: port_arrive(), after which it is RUNNING */
	return env_peer_state(to, queue) == PEER_RUNNABLE;
}

/* The first of the packets to this port alone that has to wait, or b->count. */
static unsigned first_held(struct batch *b, struct queue *tx, struct port *to, unsigned cpu)
{
	unsigned pairs = atomic_load_explicit(&to->pairs, memory_order_relaxed);

	for (uint64_t set = b->to[to->id]; set != 0; set &= set - 1) {
		unsigned i = (unsigned)__builtin_ctzll(set);
		unsigned pair = pairs == 1 ? 0 : steer_pair(to, &b->pkt[i], pairs);

		if (await(b->from, tx, to, 2 * pair, cpu))
			return i;
		if (pairs == 1)
			break; /* the others are for the same queue */
	}
	return b->count;
}

unsigned batch_unheld(struct batch *b, struct queue *tx, unsigned cpu)
{
	unsigned first = b->count;

	/* before anybody is awaited: who arrives looks for it */
	atomic_store_explicit(&tx->held, !policy_get(POLICY_preemptive_copy), memory_order_relaxed);
	if (!atomic_load_explicit(&tx->held, memory_order_relaxed))
		return first;
	for (uint64_t dests = b->dests; dests != 0; dests &= dests - 1) {
		unsigned i = first_held(b, tx, b->dest[__builtin_ctzll(dests)], cpu);

		first = i < first ? i : first;
	}
	if (first > 0)
		tx->waits = 0;
	atomic_store_explicit(&tx->held, first < b->count, memory_order_relaxed);
	return first;
}

void port_arrive(struct port *port)
{
	struct vs_cpu *cpu;
	uint64_t set;

	/* partner: await() */
	if (atomic_load_explicit(&port->awaited_by, memory_order_seq_cst) == 0)
		return;
	cpu = batch_begin(port->sw); /* keeps the senders */
	if (cpu == NULL)
		return;
	set = atomic_exchange_explicit(&port->awaited_by, 0, memory_order_seq_cst);
	for (; set != 0; set &= set - 1) {
		unsigned id = (unsigned)__builtin_ctzll(set);
		struct port *from = atomic_load_explicit(&port->sw->port[id], memory_order_seq_cst);

		for (unsigned i = 1; from != NULL && i < from->queues; i += 2)
			if (atomic_load_explicit(&from->queue[i].held, memory_order_relaxed))
				env_work_here(from, i);
	}
	batch_end(cpu);
}
