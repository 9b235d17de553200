/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Serving a transmit queue: batches until it is empty or the quota is used up. One CPU at a time;
 * another that finds it busy leaves a mark, so that the first looks again before it goes. When the
 * queue is empty, the driver is asked to kick, and then the ring is looked at once more: a chain
 * that came before the driver could see the request came without a kick.
 * Model: tests/model/kick.pml; the code itself: tests/unit/vswitch/rearm.c.
 *
 * Batching: a busy sender is asked for a kick only at the lag-th packet from now. Then its next VM exit
 * of any kind takes what is there (port_flush), and one by a timer if there is no other; who has not
 * promised that, or leaves, arms for the next packet. The lag doubles with every batch that reaches it
 * soon enough that the timer would not end the wait for twice as many, and is 1 again when they come more
 * slowly and their receiver was asleep: it needs each packet at once.
 * Model: tests/model/lag.pml.
 *
 * Completions: a sender that runs is told of buffers that came back at a later VM exit, and only if it
 * still asks then: most often it has found them by itself at its next packet. When it leaves its CPU it is
 * told before, so that it need not sleep, and after many packets or poll_us at the latest. One that sleeps
 * is told within the patience of who polls: a stream's next acknowledgement most often comes before.
 * Model: tests/model/completions.pml.
 *
 * Fairness: deficit round robin over the queues that a CPU has to serve. A service is a queue's turn; what
 * its last batch costs above what the turn may is missing in the next one. Bytes cost, and packets, descriptors,
 * segments and the copies of floods.
 *
 * Offload: a queue that is kicked often is handed to an idle CPU, which polls it. While it does, nobody
 * asks for kicks; when it stops, it takes the mark away and serves the queue once more, and that asks.
 * Model: tests/model/poll.pml.
 */
#include "vswitch/lend.h"

#include "vswitch/policy.h"
#include "vswitch/tap.h"

/* queue.service */
#define SERVICE_BUSY  1u
#define SERVICE_AGAIN 2u

/* How often one call looks again because others kicked: a guest with a second vCPU could keep a CPU
 * here for ever with kicks alone. */
#define MAX_ROUNDS 8u

/* What a turn may cost for each packet of its quota: a quota of small packets, or 64 KiB of large ones. */
#define TURN_COST 2048

/* A kick comes before this part of the ring is full, or the sender would wait for it. */
#define LAG_SHARE 4u

/* After so many packets given back a sender is told of them in any case. */
#define OWED_PACKETS VS_BATCH

/* How long one who polls leaves the driver's interrupt: nobody waits for a buffer that came back as for an
 * answer, but who sleeps may do so for want of room. */
static uint32_t owed_patience_us(enum peer_state sender)
{
	switch (sender) {
	case PEER_RUNNING:
		return policy_get(POLICY_poll_us);
	case PEER_BLOCKED:
		return policy_patience_us();
	default: /* it costs no exit */
		return 0;
	}
}

/* Somebody comes by again for what the driver is owed: this CPU's next VM exit, or its next poll, unless
 * that has come too often or is due. Never for a whole ring: a packed one's positions tell no more apart than two
 * rounds, the next batch's among them. */
static bool may_owe(struct port *port, unsigned queue)
{
	const struct queue *q = &port->queue[queue];

	if (q->owed >= OWED_PACKETS || q->owed_slots >= q->vq.size || q->late ||
	    !policy_get(POLICY_batching))
		return false;
	if (!q->polling)
		return env_will_flush(port, policy_get(POLICY_poll_us));
	return env_now_us() - q->owed_us < owed_patience_us(env_peer_state(port, queue));
}

/* Drivers ask for an interrupt when most of what they have put is back (Linux: three quarters), and count what is
 * lent with it. Somebody may keep that for ever: so it counts as back. */
static bool wants_interrupt(const struct queue *q)
{
	return vq_wants_interrupt(&q->vq, q->owed_from, q->used) ||
	       (q->lent_slots > 0 &&
		vq_wants_interrupt(&q->vq, q->used, vq_advance(&q->vq, q->used, q->lent_slots)));
}

/* Tells the driver of what was given back, now or later. */
static void settle(struct port *port, unsigned queue)
{
	struct queue *q = &port->queue[queue];
	struct stat_slot *slot = stats_slot(port, env_cpu());

	if (q->owed == 0 || queue_state(q) != QUEUE_RUNNING)
		return;
	if (!wants_interrupt(q)) {
		stat_add(slot, STAT_interrupts_saved, 1);
	} else if (may_owe(port, queue)) {
		atomic_store_explicit(&q->lazy, true, memory_order_relaxed);
		return;
	} else {
		stat_add(slot, STAT_interrupts_tx, 1);
		env_interrupt(port, queue);
	}
	q->owed = 0;
}

static void count_batch(struct stat_slot *slot, unsigned packets)
{
	stat_add(slot, STAT_batches, 1);
	stat_add(slot,
		 packets == 1	? STAT_batches_1
		 : packets < 8	? STAT_batches_2_7
		 : packets < 32 ? STAT_batches_8_31
				: STAT_batches_32_64,
		 1);
}

/* What comes back of these flows is to come in by the same pair. */
static void learn_flows(struct port *port, const struct batch *b, unsigned pair)
{
	for (unsigned i = 0; i < b->count; i++)
		if (b->pkt[i].verdict == VERDICT_DELIVERED)
			steer_learn(port, &b->pkt[i], pair);
}

/* How far the driver has filled a split ring, and whether it may; a packed one shows it entry by
 * entry. */
static enum vq_fault read_avail(const struct queue *q, uint16_t *avail)
{
	*avail = 0;
	if (q->vq.packed)
		return VQ_OK;
	*avail = vq_avail_idx(&q->vq);
	return (uint16_t)(*avail - q->used) > q->vq.size ? VQ_BAD_AVAIL_IDX : VQ_OK;
}

/* Leaves in the ring what is not to be forwarded yet. */
static void hold_back(struct vs_cpu *cpu, struct queue *q, uint16_t before)
{
	struct batch *b = &cpu->batch;
	unsigned count = batch_unheld(b, q, cpu->cpu);

	if (count == b->count)
		return;
	stat_add(stats_slot(b->from, cpu->cpu), STAT_batches_held, 1);
	batch_cut(b, count);
	q->next = before;
	for (unsigned i = 0; i < count; i++)
		q->next = vq_advance(&q->vq, q->next, cpu->tx_slots[i]);
}

static unsigned lesser(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* A split ring tells how many chains there are; of a packed one it is a guess: up to twice as many as came
 * last. */
static unsigned expected(const struct queue *q, uint16_t avail)
{
	if (!q->vq.packed)
		return (uint16_t)(avail - q->next);
	return vq_has(&q->vq, q->next) ? 2u * q->packets : 0;
}

/* What a batch of `count` packets will need of both queues' rings comes from other CPUs, line by line: asked
 * for at once, most of it is here when it is needed. The receiver's is a guess. */
static void prefetch_rings(const struct port *port, const struct queue *q, unsigned count)
{
	struct port *to = queue_towards(port, q);

	if (count > 1) /* one alone is read at once */
		queue_prefetch(q, q->next, count);
	if (to != NULL && queue_state(&to->queue[0]) == QUEUE_RUNNING)
		queue_prefetch(&to->queue[0],
			       atomic_load_explicit(&to->queue[0].published, memory_order_relaxed),
			       count);
}

/* One batch, inside of batch_begin/end: returns the packets taken. */
static unsigned serve_batch(struct vs_cpu *cpu, struct port *port, unsigned queue, unsigned most)
{
	struct queue *q = &port->queue[queue];
	struct stat_slot *slot = stats_slot(port, cpu->cpu);
	unsigned count;
	struct capture *capture;
	uint16_t before = q->next, avail;
	enum vq_fault fault = read_avail(q, &avail);
	struct batch *b;

	q->more = false;
	if (fault != VQ_OK) {
		queue_break(port, queue, fault, cpu->cpu);
		return 0;
	}
	most = lesser(most, policy_get(POLICY_batch_packets));
	count = lesser(expected(q, avail), most);
	if (count > 0)
		prefetch_rings(port, q, count);
	b = batch_open(cpu, port);
	b->expected = count;
	b->offloads = atomic_load_explicit(&q->offloads, memory_order_relaxed);
	b->queue = queue;
	b->polling = q->polling;
	fault = tx_read(cpu, q, avail, most);
	if (fault != VQ_OK) {
		capture = capture_of(port);
		stat_add(slot, STAT_tx_packets, 1);
		stat_add(slot, STAT_tx_drop_broken, 1);
		if (capture != NULL)
			capture_unread(capture, queue);
		queue_break(port, queue, fault, cpu->cpu);
	} else {
		hold_back(cpu, q, before);
	}
	if (b->count == 0) {
		/* at least: a driver that shows chains and takes them away, in turns */
		q->deficit -= (int64_t)(PACKET_COST + b->beside);
		return 0;
	}
	count_batch(slot, b->count);
	if (atomic_load_explicit(&port->pairs, memory_order_relaxed) > 1)
		learn_flows(port, b, queue / 2);
	batch_forward(cpu);
	q->deficit -= (int64_t)(b->tx_bytes + b->count * PACKET_COST + b->beside);
	tx_complete(q, cpu);
	q->more = !q->vq.packed && avail != q->next;
	if (b->last_dest != port->id) /* it went to one port: not only floods and drops */
		atomic_store_explicit(&q->towards, (uint8_t)b->last_dest, memory_order_relaxed);
	q->packets = (uint16_t)b->count;
	q->packet_bytes = (uint32_t)(b->tx_bytes / b->count) + 1;
	if (q->packet_bytes >= BULK_BYTES)
		atomic_store_explicit(&q->bulk_us, env_now_us(), memory_order_relaxed);
	return b->count;
}

/* The sender took so long for what this service found, its own kick, which it need not make, apart. 0: it was all
 * there, and this is not the first batch of it. */
static uint64_t since_last(const struct queue *q)
{
	return q->begun_us > q->taken_us ? q->begun_us - q->taken_us : 0;
}

/* taken: by this service until now, with the last batch. The lag is doubled if twice as many packets will be there
 * within lag_us. A receiver that was asleep needs each packet at once, unless they come so fast that it
 * only sleeps between two of them. */
static void adapt_lag(struct queue *q, const struct batch *b, unsigned taken)
{
	uint32_t most_us = policy_get(POLICY_lag_us);
	bool reached = taken >= q->lag;
	bool fast = reached && 2 * since_last(q) <= most_us;
	bool slow = reached && since_last(q) > most_us;

	if (reached)
		q->taken_us = env_now_us();
	if (fast)
		q->lag = q->lag < VS_BATCH / 2 ? (uint16_t)(2 * q->lag) : VS_BATCH;
	else if (q->late)
		q->lag = taken > 1 ? (uint16_t)taken : 1;
	if (slow && b->woke)
		q->lag = 1;
}

/* At which packet from now on the driver is to kick: 1 is the next one. */
static unsigned kick_after(struct port *port, const struct queue *q)
{
	unsigned after = lesser(q->lag, policy_get(POLICY_batch_packets));

	after = lesser(after, policy_get(POLICY_batch_bytes) / q->packet_bytes);
	after = lesser(after, q->vq.size / LAG_SHARE / q->packet_descs);
	if (after <= 1 || !q->vq.event_idx || !policy_get(POLICY_batching) ||
	    !env_will_flush(port, policy_get(POLICY_lag_us)))
		return 1;
	return after;
}

/* Asks for a kick if the queue is empty; false: it is not. */
static bool arm_if_empty(struct port *port, struct queue *q)
{
	unsigned after;

	if (q->more || vq_has(&q->vq, q->next))
		return false;
	/* partner: port_poll_end(), which serves the queue after taking the mark away */
	if (atomic_load_explicit(&q->polled, memory_order_seq_cst)) {
		atomic_store_explicit(&q->lazy, q->owed > 0, memory_order_relaxed);
		return true;
	}
	after = kick_after(port, q);
	atomic_store_explicit(&q->lazy, after > 1 || q->owed > 0, memory_order_relaxed);
	vq_arm_kick(&q->vq, vq_advance(&q->vq, q->next, after - 1));
	q->kicks_on = true;
	return !vq_has(&q->vq, q->next);
}

static void disarm(struct queue *q)
{
	if (!q->kicks_on)
		return;
	q->kicks_on = false;
	vq_disarm_kick(&q->vq, q->next);
}

/* Batches until nothing is left, which `*idle` says, `quota` packets are taken, or the turn is over. */
static unsigned serve(struct port *port, unsigned queue, unsigned quota, bool *idle)
{
	struct queue *q = &port->queue[queue];
	unsigned taken = 0;

	*idle = false;
	while (taken < quota && q->deficit > 0 && !*idle) {
		struct vs_cpu *cpu = batch_begin(port->sw);

		if (cpu == NULL)
			break;
		if (queue_state(q) == QUEUE_RUNNING) {
			disarm(q);
			taken += serve_batch(cpu, port, queue, quota - taken);
			adapt_lag(q, &cpu->batch, taken);
			rest_after(q, &cpu->batch);
		}
		tx_complete_returned(q);
		settle(port, queue);
		*idle = queue_state(q) != QUEUE_RUNNING ||
			atomic_load_explicit(&q->held, memory_order_relaxed) ||
			arm_if_empty(port, q);
		batch_end(cpu);
	}
	return taken;
}

/* How a service came about: see struct queue. */
enum occasion { BY_KICK, BY_LATE_FLUSH, BY_POLL };

/* What was left of the last turn is lost: the queue was empty, or the quota used up. */
static void begin_turn(struct queue *q, unsigned quota)
{
	q->deficit = (q->deficit < 0 ? q->deficit : 0) + (int64_t)quota * TURN_COST;
}

/* Tells the driver without taking packets. */
static void settle_alone(struct port *port, unsigned queue)
{
	struct vs_cpu *cpu = batch_begin(port->sw);

	if (cpu == NULL)
		return;
	tx_complete_returned(&port->queue[queue]);
	settle(port, queue);
	batch_end(cpu);
}

/* quota 0: packets are left to who polls. */
static unsigned service(struct port *port, unsigned queue, unsigned quota, enum occasion by)
{
	struct queue *q = &port->queue[queue];
	unsigned taken = 0;
	bool idle = true;

	if (atomic_fetch_or_explicit(&q->service, SERVICE_BUSY | SERVICE_AGAIN,
				     memory_order_seq_cst) &
	    SERVICE_BUSY)
		return 0;
	begin_turn(q, quota);
	q->begun_us = env_now_us();
	q->late = by == BY_LATE_FLUSH;
	q->polling = by == BY_POLL;
	if (quota == 0)
		settle_alone(port, queue);
	for (unsigned round = 0; round < MAX_ROUNDS && idle && taken < quota; round++) {
		uint32_t busy = SERVICE_BUSY;

		atomic_fetch_and_explicit(&q->service, ~SERVICE_AGAIN, memory_order_acq_rel);
		taken += serve(port, queue, quota - taken, &idle);
		if (idle && atomic_compare_exchange_strong_explicit(&q->service, &busy, 0,
								    memory_order_acq_rel,
								    memory_order_acquire))
			return taken;
	}
	/* partner: port_poll_end(), which takes the mark away, then tries to serve */
	atomic_store_explicit(&q->service, 0, memory_order_seq_cst);
	if (!atomic_load_explicit(&q->polled, memory_order_seq_cst))
		env_more_work(port, queue);
	return taken;
}

unsigned port_service(struct port *port, unsigned queue, unsigned quota)
{
	if (queue >= port->queues || queue % 2 == 0)
		return 0; /* new receive buffers: nobody waits for them */
	return service(port, queue, quota, BY_KICK);
}

void port_flush(struct port *port, bool late)
{
	for (unsigned i = 1; i < port->queues; i += 2)
		if (atomic_load_explicit(&port->queue[i].lazy, memory_order_relaxed) &&
		    service(port, i, VS_BATCH, late ? BY_LATE_FLUSH : BY_KICK) > 0)
			stat_add(stats_slot(port, env_cpu()), STAT_kicks_saved, 1);
}

void port_settle(struct port *port)
{
	for (unsigned i = 1; i < port->queues; i += 2)
		if (atomic_load_explicit(&port->queue[i].polled, memory_order_relaxed) &&
		    atomic_load_explicit(&port->queue[i].lazy, memory_order_relaxed))
			service(port, i, rest_quota(port, &port->queue[i]), BY_LATE_FLUSH);
	rx_settle(port);
}

bool port_poll_begin(struct port *port, unsigned queue)
{
	struct queue *q = &port->queue[queue];

	return !atomic_exchange_explicit(&q->polled, true, memory_order_seq_cst);
}

unsigned port_poll(struct port *port, unsigned queue)
{
	struct stat_slot *slot = stats_slot(port, env_cpu());
	unsigned quota = rest_quota(port, &port->queue[queue]);
	unsigned taken = quota > 0 ? service(port, queue, quota, BY_POLL) : 0;

	stat_add(slot, taken > 0 ? STAT_batches_offloaded : STAT_polls_empty, 1);
	stat_add(slot, STAT_kicks_saved, taken > 0);
	rx_settle_all(port->sw, false);
	return taken;
}

void port_poll_end(struct port *port, unsigned queue, unsigned quota)
{
	atomic_store_explicit(&port->queue[queue].polled, false, memory_order_seq_cst);
	service(port, queue, quota, BY_LATE_FLUSH);
	rx_settle_all(port->sw, true);
}

/* Does the driver kick so often that somebody might as well stay? */
static bool is_busy(struct queue *q)
{
	uint64_t now = env_now_us();
	uint64_t last = atomic_exchange_explicit(&q->kicked_us, now, memory_order_relaxed);

	return now - last <= 2 * (uint64_t)policy_get(POLICY_poll_us);
}

unsigned port_kick(struct port *port, unsigned queue, unsigned quota)
{
	struct stat_slot *slot = stats_slot(port, env_cpu());
	unsigned taken;

	if (queue >= port->queues)
		return 0;
	stat_add(slot, STAT_kicks, 1);
	if (queue % 2 == 0)
		lend_kicked(port, queue);
	taken = port_service(port, queue, quota);
	if (queue % 2 == 1 && is_busy(&port->queue[queue]) && policy_get(POLICY_offload) &&
	    env_offload(port, queue))
		stat_add(slot, STAT_offloads, 1);
	return taken;
}
