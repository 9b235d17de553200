/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Serving a transmit queue: batches until it is empty or the quota is used up. One CPU at a time;
 * another that finds it busy leaves a mark, so that the first looks again before it goes. When the
 * queue is empty, the driver is asked to kick, and then the ring is looked at once more: a chain
 * that came before the driver could see the request came without a kick.
 * Model: tests/model/kick.pml; the code itself: tests/unit/vswitch/rearm.c.
 */
#include "vswitch/switch_impl.h"

#include "vswitch/policy.h"

/* queue.service */
#define SERVICE_BUSY  1u
#define SERVICE_AGAIN 2u

/* How often one call looks again because others kicked: a guest with a second vCPU could keep a CPU
 * here for ever with kicks alone. */
#define MAX_ROUNDS 8u

/* Gives the chains of a batch back, with one store of the index and at most one interrupt. */
static void complete(struct port *port, unsigned queue, uint16_t before, const struct vs_cpu *cpu,
		     struct stat_slot *slot)
{
	struct queue *q = &port->queue[queue];
	const struct batch *b = &cpu->batch;
	uint16_t pos = before;

	if (queue_state(q) != QUEUE_RUNNING)
		return;
	for (unsigned i = 0; i < b->count; i++) {
		vq_put_used(&q->vq, pos, b->pkt[i].chain, 0, VQ_READ, i == 0);
		pos = vq_advance(&q->vq, pos, cpu->tx_slots[i]);
	}
	vq_publish(&q->vq, before, q->next, VQ_READ);
	if (!vq_wants_interrupt(&q->vq, before, q->next)) {
		stat_add(slot, STAT_interrupts_saved, 1);
		return;
	}
	stat_add(slot, STAT_interrupts_tx, 1);
	env_interrupt(port, queue);
}

/* How far the reading of a batch has come. */
struct reading {
	uint16_t start, avail; /* where it began; see vq_read() */
	unsigned nsegs, descs;
};

/* Reads the next chain, of any kind, into the batch; *more: there was one. */
static enum vq_fault read_chain(struct vs_cpu *cpu, struct queue *q, struct reading *r, bool *more)
{
	struct batch *b = &cpu->batch;
	struct seg *seg = cpu->tx_seg + r->nsegs;
	struct vq_chain chain;
	enum vq_fault fault =
		vq_read(&q->vq, q->next, r->avail, VQ_READ, UINT64_MAX, seg, VQ_MAX_CHAIN, &chain);

	*more = chain.slots != 0;
	if (fault != VQ_OK || chain.slots == 0)
		return fault;
	if (!chain.whole)
		return VQ_BAD_LONG;
	if (q->vq.packed && !vq_packed_fits(&q->vq, r->start, q->next, chain.slots))
		return VQ_BAD_OVERRUN;
	q->next = vq_advance(&q->vq, q->next, chain.slots);
	cpu->tx_slots[b->count] = chain.slots;
	r->nsegs += chain.nsegs;
	r->descs += chain.descs;
	batch_add(cpu, seg, chain.bytes, chain.id);
	return VQ_OK;
}

/* Reads up to `most` chains into the batch: a rule broken by the driver ends it. Nothing is taken
 * when it begins. avail: see vq_read(). */
static enum vq_fault read_chains(struct vs_cpu *cpu, struct queue *q, struct batch *b,
				 uint16_t avail, unsigned most)
{
	struct reading r = { .start = q->next, .avail = avail };
	uint32_t most_bytes = policy_get(POLICY_batch_bytes);
	enum vq_fault fault = VQ_OK;
	bool more = true;

	while (fault == VQ_OK && more && b->count < most && r.nsegs + VQ_MAX_CHAIN <= TX_SEGS &&
	       r.descs < READ_DESCS && b->tx_bytes < most_bytes && b->segments < BATCH_SEGMENTS) {
		struct seg *seg = cpu->tx_seg + r.nsegs;
		uint16_t id;

		if (!vq_read_single(&q->vq, q->next, avail, VQ_READ, seg, &id)) {
			fault = read_chain(cpu, q, &r, &more);
			continue;
		}
		q->next++;
		cpu->tx_slots[b->count] = 1;
		r.nsegs++;
		r.descs++;
		batch_add(cpu, seg, seg->len, id);
	}
	return fault;
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
	return (uint16_t)(*avail - q->next) > q->vq.size ? VQ_BAD_AVAIL_IDX : VQ_OK;
}

/* One batch, inside of batch_begin/end: returns the packets taken. */
static unsigned serve_batch(struct vs_cpu *cpu, struct port *port, unsigned queue, unsigned most)
{
	struct queue *q = &port->queue[queue];
	struct stat_slot *slot = stats_slot(port, cpu->cpu);
	unsigned limit = policy_get(POLICY_batch_packets);
	uint16_t before = q->next, avail;
	enum vq_fault fault = read_avail(q, &avail);
	struct batch *b;

	if (fault != VQ_OK) {
		queue_break(port, queue, fault, cpu->cpu);
		return 0;
	}
	b = batch_open(cpu, port);
	b->offloads = atomic_load_explicit(&q->offloads, memory_order_relaxed);
	fault = read_chains(cpu, q, b, avail, most < limit ? most : limit);
	if (fault != VQ_OK) {
		stat_add(slot, STAT_tx_packets, 1);
		stat_add(slot, STAT_tx_drop_broken, 1);
		queue_break(port, queue, fault, cpu->cpu);
	}
	if (b->count == 0)
		return 0;
	stat_add(slot, STAT_batches, 1);
	if (atomic_load_explicit(&port->pairs, memory_order_relaxed) > 1)
		learn_flows(port, b, queue / 2);
	batch_forward(cpu);
	complete(port, queue, before, cpu, slot);
	return b->count;
}

/* Asks for a kick if the queue is empty; false: it is not. */
static bool arm_if_empty(struct queue *q)
{
	if (vq_has(&q->vq, q->next))
		return false;
	vq_arm_kick(&q->vq, q->next);
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

/* Batches until nothing is left, which `*idle` says, or `quota` packets are taken. */
static unsigned serve(struct port *port, unsigned queue, unsigned quota, bool *idle)
{
	struct queue *q = &port->queue[queue];
	unsigned taken = 0;

	*idle = false;
	while (taken < quota && !*idle) {
		struct vs_cpu *cpu = batch_begin(port->sw);

		if (cpu == NULL)
			break;
		if (queue_state(q) == QUEUE_RUNNING) {
			disarm(q);
			taken += serve_batch(cpu, port, queue, quota - taken);
		}
		*idle = queue_state(q) != QUEUE_RUNNING || arm_if_empty(q);
		batch_end(cpu);
	}
	return taken;
}

unsigned port_service(struct port *port, unsigned queue, unsigned quota)
{
	struct queue *q;
	unsigned taken = 0;
	bool idle = true;

	if (queue >= port->queues || queue % 2 == 0)
		return 0; /* new receive buffers: nobody waits for them */
	q = &port->queue[queue];
	if (atomic_fetch_or_explicit(&q->service, SERVICE_BUSY | SERVICE_AGAIN,
				     memory_order_acq_rel) &
	    SERVICE_BUSY)
		return 0;
	for (unsigned round = 0; round < MAX_ROUNDS && idle && taken < quota; round++) {
		uint32_t busy = SERVICE_BUSY;

		atomic_fetch_and_explicit(&q->service, ~SERVICE_AGAIN, memory_order_acq_rel);
		taken += serve(port, queue, quota - taken, &idle);
		if (idle && atomic_compare_exchange_strong_explicit(&q->service, &busy, 0,
								    memory_order_acq_rel,
								    memory_order_acquire))
			return taken;
	}
	atomic_store_explicit(&q->service, 0, memory_order_release);
	env_more_work(port, queue);
	return taken;
}

unsigned port_kick(struct port *port, unsigned queue, unsigned quota)
{
	if (queue >= port->queues)
		return 0;
	stat_add(stats_slot(port, env_cpu()), STAT_kicks, 1);
	return port_service(port, queue, quota);
}
