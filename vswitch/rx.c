/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Filling a receive queue, by several CPUs at once. Each reserves buffers for a list of packets
 * under the `reserve` lock, which also fixes their places in the used ring, and copies outside of
 * it. Used entries must reach the driver in ring order (one index says how many there are), but
 * copies end in any order, and nobody waits: who has copied marks its reservation done, and then,
 * under the `publish` lock, publishes the oldest reservations as far as they are done, whoever made
 * them. One that is behind an unfinished one is thus left to the CPU that finishes that.
 * Model: tests/model/publish.pml. In this version all packets go to receive queue 0.
 */
#include "vswitch/switch_impl.h"

#include "vswitch/copy.h"

#define RX_QUEUE 0u

/* Renew the kick suppression long before the driver's index comes round to it; queue size and this
 * together stay below 65536. */
#define DISARM_EVERY 16384u

static void drop(struct port *to, struct batch *b, struct rx_take *take, unsigned i,
		 enum verdict why)
{
	take->drops[why]++;
	if (b->to[to->id] >> i & 1) {
		take->unicast_drops++;
		b->pkt[i].verdict = (uint8_t)why;
	}
}

static void drop_all(struct port *to, struct batch *b, struct rx_take *take, uint64_t set,
		     enum verdict why)
{
	for (; set != 0; set &= set - 1)
		drop(to, b, take, (unsigned)__builtin_ctzll(set), why);
}

/* One chain. A packed ring tells by nothing but its entries how far the driver has filled it. */
static enum vq_fault read_buffer(const struct queue *q, uint16_t pos, uint16_t avail, uint32_t want,
				 struct seg *seg, unsigned room, struct vq_chain *chain)
{
	enum vq_fault fault = vq_read(&q->vq, pos, avail, VQ_WRITE, want, seg, room, chain);
	uint16_t published;

	if (!q->vq.packed || fault != VQ_OK)
		return fault;
	published = atomic_load_explicit(&q->published, memory_order_acquire);
	return vq_packed_fits(&q->vq, published, pos, chain->slots) ? VQ_OK : VQ_BAD_OVERRUN;
}

/* Buffers for one packet of `need` bytes with its header, from ring position q->next on. On a drop,
 * nothing is taken: a smaller packet may still use them. */
static enum verdict take_buffers(struct queue *q, uint16_t avail, uint32_t need,
				 struct rx_take *take)
{
	unsigned nsegs = take->nsegs, nbufs = take->nbufs, end = nsegs + RX_PACKET_SEGS;
	uint16_t pos = q->next;
	uint32_t got = 0;

	for (;;) {
		struct vq_chain chain;

		take->fault = read_buffer(q, pos, avail, need - got, take->seg + nsegs,
					  end - nsegs, &chain);
		take->descs += chain.descs;
		if (take->fault != VQ_OK)
			return VERDICT_DROP_BROKEN;
		if (chain.slots == 0)
			return VERDICT_DROP_NO_BUFFER;
		pos = vq_advance(&q->vq, pos, chain.slots);
		nsegs += chain.nsegs;
		take->buf[nbufs].head = chain.id;
		take->buf[nbufs].slots = chain.slots;
		if (chain.bytes >= need - got) {
			take->buf[nbufs++].bytes = need - got;
			break;
		}
		take->buf[nbufs++].bytes = (uint32_t)chain.bytes;
		got += (uint32_t)chain.bytes;
		/* 5.1.6.3.1: a mergeable buffer holds at least the header */
		if (q->mergeable && chain.whole && chain.bytes < VNET_HDR_BYTES) {
			take->fault = VQ_BAD_RX_TINY;
			return VERDICT_DROP_BROKEN;
		}
		if (!q->mergeable || nsegs == end)
			return VERDICT_DROP_BUFFER_SMALL;
	}
	q->next = pos;
	take->nsegs = nsegs;
	take->nbufs = nbufs;
	return VERDICT_DELIVERED;
}

static void take_packet(struct port *to, struct batch *b, struct rx_take *take, unsigned i,
			unsigned seg, unsigned buf)
{
	take->pkt[take->npkts++] = (struct rx_packet){
		.buf = (uint16_t)buf,
		.nbufs = (uint16_t)(take->nbufs - buf),
		.seg = (uint16_t)seg,
		.pkt = (uint8_t)i,
	};
	take->unicast += b->to[to->id] >> i & 1;
}

/* Under the lock. */
static void take_list(struct port *to, struct queue *q, uint16_t avail, struct batch *b,
		      uint64_t want, struct rx_take *take)
{
	enum verdict verdict = VERDICT_DELIVERED;
	uint32_t failed_need = UINT32_MAX; /* the buffers at q->next are too few for this */

	for (; want != 0 && take->fault == VQ_OK; want &= want - 1) {
		unsigned i = (unsigned)__builtin_ctzll(want);
		unsigned seg = take->nsegs, buf = take->nbufs;
		uint32_t need = VNET_HDR_BYTES + b->pkt[i].bytes;

		if (seg + RX_PACKET_SEGS > RX_SEGS || take->descs >= READ_DESCS) {
			take->left = want;
			return;
		}
		if (need < failed_need)
			verdict = take_buffers(q, avail, need, take);
		if (verdict == VERDICT_DELIVERED) {
			take_packet(to, b, take, i, seg, buf);
			failed_need = UINT32_MAX;
		} else {
			drop(to, b, take, i, verdict);
			failed_need = need < failed_need ? need : failed_need;
		}
	}
	drop_all(to, b, take, want, VERDICT_DROP_BROKEN);
}

/* Under the lock: how far the driver has filled the ring; false: it broke the rule that no more
 * buffers are there than the ring holds. */
static bool read_avail(struct queue *q, uint16_t *avail)
{
	uint16_t idx, published;

	*avail = 0;
	if (q->vq.packed)
		return true; /* see read_buffer() */
	idx = vq_avail_idx(&q->vq);
	published = atomic_load_explicit(&q->published, memory_order_acquire);
	if ((uint16_t)(idx - q->next) > q->vq.size || (uint16_t)(idx - published) > q->vq.size)
		return false;
	if ((uint16_t)(idx - q->disarmed_at) > DISARM_EVERY) {
		vq_disarm_kick(&q->vq, idx);
		q->disarmed_at = idx;
	}
	*avail = idx;
	return true;
}

static void clear_take(struct rx_take *take)
{
	take->left = 0;
	for (unsigned i = 0; i < VERDICT_COUNT; i++)
		take->drops[i] = 0;
	take->unicast_drops = 0;
	take->fault = VQ_OK;
	take->npkts = take->nbufs = take->nsegs = take->descs = take->unicast = 0;
}

static void reserve_locked(struct port *to, struct queue *q, struct batch *b, uint64_t want,
			   struct rx_take *take)
{
	uint32_t tail = atomic_load_explicit(&q->resv_tail, memory_order_acquire);
	uint16_t avail;

	if (!read_avail(q, &avail)) {
		take->fault = VQ_BAD_AVAIL_IDX;
		drop_all(to, b, take, want, VERDICT_DROP_BROKEN);
		return;
	}
	/* Very many are waiting for one slow CPU: as if the ring were empty. */
	if (q->resv_head - tail == RX_RESERVATIONS) {
		drop_all(to, b, take, want, VERDICT_DROP_NO_BUFFER);
		return;
	}
	take->start = q->next;
	take_list(to, q, avail, b, want, take);
	take->end = q->next;
	if (take->npkts > 0)
		take->resv = q->resv_head++;
}

void rx_reserve(struct port *to, struct batch *b, uint64_t want, struct rx_take *take)
{
	struct queue *q = &to->queue[RX_QUEUE];
	enum queue_state state = queue_state(q);

	clear_take(take);
	if (state != QUEUE_RUNNING) {
		drop_all(to, b, take, want,
			 state == QUEUE_BROKEN ? VERDICT_DROP_BROKEN : VERDICT_DROP_LINK_DOWN);
		return;
	}
	spin_lock(&q->reserve);
	reserve_locked(to, q, b, want, take);
	spin_unlock(&q->reserve);
}

void rx_fill(struct port *to, struct batch *b, const struct rx_take *take)
{
	const struct queue *q = &to->queue[RX_QUEUE];
	uint16_t pos = take->start;

	for (unsigned n = 0; n < take->npkts; n++) {
		const struct rx_packet *r = &take->pkt[n];
		struct packet *p = &b->pkt[r->pkt];

		frame_set_rx_header(p->head, r->nbufs);
		copy_packet(take->seg + r->seg, p->head, HEAD_BYTES, p->seg,
			    VNET_HDR_BYTES + p->bytes);
		for (unsigned i = r->buf; i < (unsigned)r->buf + r->nbufs; i++) {
			vq_put_used(&q->vq, pos, take->buf[i].head, take->buf[i].bytes, VQ_WRITE,
				    i == 0);
			pos = vq_advance(&q->vq, pos, take->buf[i].slots);
		}
	}
}

/* Counts one reservation at both ends, now that its fate is known. */
static void count_published(struct port *to, const struct reservation *r, enum queue_state state,
			    unsigned cpu)
{
	struct stat_slot *from = stats_slot_now(r->from, cpu);
	struct stat_slot *slot = stats_slot_now(to, cpu);

	if (state == QUEUE_RUNNING) {
		stat_add(slot, STAT_rx_packets, r->packets);
		stat_add(slot, STAT_rx_bytes, r->bytes);
		stat_add(from, STAT_tx_delivered, r->unicast);
	} else {
		stat_add(slot, state == QUEUE_BROKEN ? STAT_rx_drop_broken : STAT_rx_drop_reset,
			 r->packets);
		stat_add(from, STAT_tx_drop_receiver, r->unicast);
	}
}

/*
 * Under the lock: publishes the oldest reservations as far as they are done. true: the driver wants
 * an interrupt for them. If the queue was stopped meanwhile, they are discarded.
 */
static bool publish_done(struct port *to, struct queue *q, unsigned cpu, bool *published)
{
	uint32_t tail = atomic_load_explicit(&q->resv_tail, memory_order_relaxed);
	uint16_t before = atomic_load_explicit(&q->published, memory_order_relaxed);
	enum queue_state state = queue_state(q);
	uint16_t idx = before;
	struct reservation *r = &q->resv[tail % RX_RESERVATIONS];

	while (atomic_load_explicit(&r->done, memory_order_acquire)) {
		uint16_t start = idx;

		count_published(to, r, state, cpu);
		idx = r->end;
		/* before the driver can fill them again: who finds them filled must know that they
		 * were given back */
		atomic_store_explicit(&q->published, idx, memory_order_release);
		if (state == QUEUE_RUNNING)
			vq_publish(&q->vq, start, idx, VQ_WRITE);
		atomic_store_explicit(&r->done, 0, memory_order_relaxed);
		r = &q->resv[++tail % RX_RESERVATIONS];
	}
	if (idx == before)
		return false;
	atomic_store_explicit(&q->resv_tail, tail, memory_order_release);
	*published = state == QUEUE_RUNNING;
	return *published && vq_wants_interrupt(&q->vq, before, idx);
}

static void interrupt(struct port *to, struct stat_slot *slot)
{
	enum stat_id id = STAT_interrupts_blocked; /* off: as if blocked */

	switch (env_peer_state(to, RX_QUEUE)) {
	case PEER_RUNNING:
		id = STAT_interrupts_running;
		break;
	case PEER_RUNNABLE:
		id = STAT_interrupts_runnable;
		break;
	case PEER_BLOCKED:
	case PEER_OFF:
		break;
	}
	stat_add(slot, id, 1);
	env_interrupt(to, RX_QUEUE);
}

void rx_complete(struct port *to, const struct batch *b, const struct rx_take *take,
		 struct vs_cpu *cpu)
{
	struct queue *q = &to->queue[RX_QUEUE];
	struct reservation *r = &q->resv[take->resv % RX_RESERVATIONS];
	struct stat_slot *slot = stats_slot(to, cpu->cpu);
	uint64_t bytes = 0;
	bool published = false, wanted;

	for (unsigned n = 0; n < take->npkts; n++)
		bytes += b->pkt[take->pkt[n].pkt].bytes;
	stat_add(slot, STAT_copies, take->npkts);
	stat_add(slot, STAT_copied_bytes, bytes);
	r->end = take->end;
	r->packets = (uint16_t)take->npkts;
	r->unicast = (uint16_t)take->unicast;
	r->bytes = bytes;
	r->from = b->from;
	atomic_store_explicit(&r->done, 1, memory_order_release);
	spin_lock(&q->publish);
	wanted = publish_done(to, q, cpu->cpu, &published);
	spin_unlock(&q->publish);
	if (wanted)
		interrupt(to, slot);
	else if (published)
		stat_add(slot, STAT_interrupts_saved, 1);
}
