/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading a transmit queue's chains into a batch. Most are a single descriptor, and these are read many at a
 * time, ahead of what looks into their packets; every other kind, one by one.
 */
#include "vswitch/switch_impl.h"

#include "vswitch/policy.h"

/* How far the reading of a batch has come. */
struct reading {
	uint16_t start, avail; /* what was not given back begins there; see vq_read() */
	unsigned nsegs, descs;
	unsigned ring; /* of descs, in the ring or its table: indirect ones count as one */
	unsigned most; /* packets, and bytes, of the batch */
	uint32_t most_bytes;
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
	cpu->tx_descs[b->count] = (uint16_t)(chain.indirect ? chain.slots : chain.descs);
	r->nsegs += chain.nsegs;
	r->descs += chain.descs;
	r->ring += chain.indirect ? 1 : chain.descs;
	batch_add(cpu, seg, chain.bytes, chain.id);
	return VQ_OK;
}

/* One look, which is all that reading an empty ring costs. */
static bool is_empty(const struct queue *q, const struct reading *r)
{
	return q->vq.packed ? !vq_has(&q->vq, q->next) : r->avail == q->next;
}

static bool has_room(const struct batch *b, const struct reading *r)
{
	return b->count < r->most && r->nsegs + VQ_MAX_CHAIN <= TX_SEGS && r->descs < READ_DESCS &&
	       b->tx_bytes < r->most_bytes && b->segments < BATCH_SEGMENTS;
}

/* Reads single descriptors, as many as come next, ahead of what looks into their packets: until that
 * does, these are on their way into the cache. What the batch has no room for is left in the ring. */
static void read_singles(struct vs_cpu *cpu, struct queue *q, struct reading *r)
{
	struct batch *b = &cpu->batch;
	struct seg *seg = cpu->tx_seg + r->nsegs;
	uint16_t id[VS_BATCH];
	unsigned count =
		vq_read_singles(&q->vq, q->next, r->avail, VQ_READ, seg, id, r->most - b->count);

	for (unsigned i = 0; i < count && has_room(b, r); i++) {
		if (q->vq.packed && !vq_packed_fits(&q->vq, r->start, q->next, 1))
			return;
		q->next = vq_advance(&q->vq, q->next, 1);
		cpu->tx_slots[b->count] = cpu->tx_descs[b->count] = 1;
		r->nsegs++;
		r->descs++;
		r->ring++;
		batch_add(cpu, &seg[i], seg[i].len, id[i]);
	}
	if (count > 0)
		guess_next(q, id[count - 1]);
}

enum vq_fault tx_read(struct vs_cpu *cpu, struct queue *q, uint16_t avail, unsigned most)
{
	struct batch *b = &cpu->batch;
	struct reading r = { .start = q->used, .avail = avail, .most = most };
	enum vq_fault fault = VQ_OK;
	bool more = true;

	r.most_bytes = policy_get(POLICY_batch_bytes);
	if (q->deficit < r.most_bytes)
		r.most_bytes = (uint32_t)q->deficit; /* positive: serve() */
	while (fault == VQ_OK && more && has_room(b, &r) && !is_empty(q, &r)) {
		read_singles(cpu, q, &r);
		if (has_room(b, &r) && !is_empty(q, &r))
			fault = read_chain(cpu, q, &r, &more);
	}
	b->beside += more_descs_cost(r.descs, b->count);
	batch_sort(cpu);
	if (b->count > 0)
		q->packet_descs = (uint16_t)(r.ring > b->count ? r.ring / b->count : 1);
	return fault;
}
