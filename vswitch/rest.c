/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A receiver without a buffer left is given time, if it is what the sender sends to: the sender's ring, and then
 * its socket, hold the sender up, instead of packets that are lost. And the receiver, which would otherwise
 * do nothing but take packets in, gets to what it takes them for. Only by who polls: others have no time.
 *
 * From such a loss on, for CAREFUL batches, the sender rests until the receiver has buffers for a batch, or
 * a quarter of its ring. One that has not come to that MOST_PATIENCE after the last batch may be dead or hostile,
 * and must not hold up what the sender has for others: there is no other rest for RESTLESS. Who does fill its ring
 * in time costs the sender no more than it gets in a rest.
 */
#include "vswitch/switch_impl.h"

#include "vswitch/policy.h"

/* In policy_patience_us(). */
#define MOST_PATIENCE 16u
#define RESTLESS      1024u
#define CAREFUL	      64u
#define FILLED	      VS_BATCH
#define FILLED_SHARE  4u /* of the ring, if that is less: a driver need not use all of it */
/* queue.rest_us: the receiver did not come in time */
#define IN_VAIN	      UINT64_MAX

void rest_after(struct queue *q, const struct batch *b)
{
	uint64_t rest_us = atomic_load_explicit(&q->rest_us, memory_order_relaxed);
	bool refused = b->refused > 0 && 2 * b->refused >= b->count;
	uint64_t until = 0, now, patience;

	if (b->count == 0 || (!refused && rest_us == 0))
		return;
	now = env_now_us();
	patience = policy_patience_us();
	if (rest_us == IN_VAIN)
		q->restless_us = now + RESTLESS * patience;
	else if (refused)
		q->careful = CAREFUL;
	else
		q->careful--;
	if (rest_us != IN_VAIN && q->careful > 0 && now >= q->restless_us)
		until = now + MOST_PATIENCE * patience;
	atomic_store_explicit(&q->rest_us, until, memory_order_relaxed);
}

/* The driver has filled so much of the ring, as far as one look tells. In a batch. */
static bool is_refilled(const struct queue *q)
{
	uint16_t published;
	uint32_t enough;

	if (queue_state(q) != QUEUE_RUNNING)
		return true; /* nobody to wait for; else it is not started with another ring in this batch */
	published = atomic_load_explicit(&q->published, memory_order_acquire);
	enough = (q->vq.size + FILLED_SHARE - 1) / FILLED_SHARE;
	if (enough > FILLED)
		enough = FILLED;
	if (q->vq.packed)
		return vq_has(&q->vq, vq_advance(&q->vq, published, enough - 1));
	return (uint16_t)(vq_avail_idx(&q->vq) - published) >= enough;
}

/* The receiver of its last batch is ready for another, or gone. */
static bool is_ready(struct port *port, const struct queue *q)
{
	struct vs_cpu *cpu = batch_begin(port->sw); /* keeps the receiver */
	struct port *to;
	bool ready;

	if (cpu == NULL)
		return false;
	to = queue_towards(port, q);
	ready = to == NULL || is_refilled(&to->queue[0]);
	batch_end(cpu);
	return ready;
}

unsigned rest_quota(struct port *port, struct queue *q)
{
	uint64_t rest_us = atomic_load_explicit(&q->rest_us, memory_order_relaxed);

	if (rest_us == 0 || rest_us == IN_VAIN || is_ready(port, q))
		return VS_BATCH;
	if (env_now_us() < rest_us)
		return 0;
	atomic_store_explicit(&q->rest_us, IN_VAIN, memory_order_relaxed);
	return VS_BATCH;
}
