/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A receiver without a buffer left is given time, if it is what the sender sends to: the sender's ring, and then
 * its socket, hold the sender up, instead of packets that are lost. And the receiver, which would otherwise
 * do nothing but take packets in, gets to what it takes them for. Only by who polls: others have no time.
 *
 * A rest ends when a quarter of the receiver's ring is filled again. One that has not come to that after
 * MOST_PATIENCE may be dead or hostile, and must not hold up what the sender has for others: there is no other
 * rest for RESTLESS. Who does fill its ring in time costs the sender no more than it gets in a rest.
 */
#include "vswitch/switch_impl.h"

#include "vswitch/policy.h"

/* In policy_patience_us(). */
#define MOST_PATIENCE 4u
#define RESTLESS      256u
#define FILLED_SHARE  4u /* of the ring: a driver need not use all of it */

void rest_after(struct queue *q, const struct batch *b)
{
	uint64_t rest_us = atomic_load_explicit(&q->rest_us, memory_order_relaxed);
	bool refused = b->refused > 0 && 2 * b->refused >= b->count;
	uint64_t until = 0, now, patience;

	if (b->count == 0 || (!refused && rest_us == 0))
		return;
	now = env_now_us();
	patience = policy_patience_us();
	if (rest_us != 0 && now >= rest_us)
		q->restless_us = now + RESTLESS * patience;
	else if (refused && now >= q->restless_us)
		until = now + MOST_PATIENCE * patience;
	atomic_store_explicit(&q->rest_us, until, memory_order_relaxed);
}

/* The driver has filled so much of the ring, as far as one look tells. In a batch. */
static bool is_refilled(const struct queue *q)
{
	uint16_t published = atomic_load_explicit(&q->published, memory_order_acquire);
	uint32_t enough = (q->vq.size + FILLED_SHARE - 1) / FILLED_SHARE;

	if (queue_state(q) != QUEUE_RUNNING)
		return true; /* nobody to wait for */
	if (q->vq.packed)
		return vq_has(&q->vq, vq_advance(&q->vq, published, enough - 1));
	return (uint16_t)(vq_avail_idx(&q->vq) - published) >= enough;
}

unsigned rest_quota(struct port *port, const struct queue *q)
{
	uint64_t rest_us = atomic_load_explicit(&q->rest_us, memory_order_relaxed);
	struct vs_cpu *cpu;
	struct port *to;
	bool over;

	if (rest_us == 0 || env_now_us() >= rest_us)
		return VS_BATCH;
	cpu = batch_begin(port->sw); /* keeps the receiver */
	if (cpu == NULL)
		return 0;
	to = queue_towards(port, q);
	over = to == NULL || is_refilled(&to->queue[0]);
	batch_end(cpu);
	return over ? VS_BATCH : 0;
}
