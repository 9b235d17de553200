/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Filling a receive queue, by several CPUs at once. Each reserves buffers for a list of packets
 * under the `reserve` lock, which also fixes their places in the used ring, and copies outside of
 * it. Used entries must reach the driver in ring order (one index says how many there are), but
 * copies end in any order, and nobody waits: who has copied marks its reservation done, and then,
 * under the `publish` lock, publishes the oldest reservations as far as they are done, whoever made
 * them. One that is behind an unfinished one is thus left to the CPU that finishes that.
 * Model: tests/model/publish.pml.
 */
#include "vswitch/lend.h"

/* Renew the kick suppression long before the driver's index comes round to it; queue size and this
 * together stay below 65536. */
#define DISARM_EVERY 16384u

/* Drops `packets`, all that is left of packet i of the batch. If part of it was taken already, the
 * sender is told nothing any more. */
static void drop(struct port *to, struct batch *b, struct rx_take *take, unsigned i,
		 enum verdict why, unsigned packets)
{
	if (!take->dropped) {
		take->dropped_set = 0;
		for (unsigned v = 0; v < VERDICT_COUNT; v++)
			take->drops[v] = 0;
	}
	take->dropped = true;
	take->drops[why] += packets;
	take->dropped_set |= 1ull << i;
	take->why[i] = (uint8_t)why;
	if (take->segment == 0 && b->to[to->id] >> i & 1) {
		take->unicast_drops++;
		b->refused += why == VERDICT_DROP_NO_BUFFER;
		b->pkt[i].verdict = (uint8_t)why;
	}
	take->segment = 0;
}

static void drop_all(struct port *to, struct batch *b, struct rx_take *take, uint64_t set,
		     enum verdict why)
{
	for (; set != 0; set &= set - 1) {
		unsigned i = (unsigned)__builtin_ctzll(set);

		drop(to, b, take, i, why,
		     take->segment > 0 ? b->pkt[i].off.segments - take->segment : 1);
	}
}

/* A packed ring tells by nothing but its entries how far the driver has filled it: a chain may reach
 * into what was not given back. Asked after it was read. */
static inline bool overruns(const struct queue *q, uint16_t pos, uint16_t slots)
{
	return q->vq.packed &&
	       !vq_packed_fits(&q->vq, atomic_load_explicit(&q->published, memory_order_acquire),
			       pos, slots);
}

/* One chain. */
static enum vq_fault read_buffer(const struct queue *q, uint16_t pos, uint16_t avail, uint32_t want,
				 struct seg *seg, unsigned room, struct vq_chain *chain)
{
	enum vq_fault fault = vq_read(&q->vq, pos, avail, VQ_WRITE, want, seg, room, chain);

	return fault == VQ_OK && overruns(q, pos, chain->slots) ? VQ_BAD_OVERRUN : fault;
}

/* Buffers for one packet of `need` bytes with its header, from ring position q->next on. On a drop,
 * nothing is taken: a packet of less than take->too_few_for bytes may still use them. */
static enum verdict take_buffers(struct queue *q, uint16_t avail, uint32_t need,
				 struct rx_take *take)
{
	unsigned most = take->descs + RX_PACKET_DESCS;
	unsigned nsegs = take->nsegs, nbufs = take->nbufs, end = nsegs + RX_PACKET_SEGS;
	uint16_t pos = q->next;
	uint32_t got = 0;

	for (;;) {
		struct vq_chain chain;

		take->fault = read_buffer(q, pos, avail, need - got, take->seg + nsegs, end - nsegs,
					  &chain);
		take->descs += chain.descs;
		if (take->fault == VQ_OK && take->descs > most)
			take->fault = VQ_BAD_RX_LONG;
		if (take->fault != VQ_OK)
			return VERDICT_DROP_BROKEN;
		take->too_few_for = got + 1;
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
		take->too_few_for = got + 1;
		if (!q->mergeable || nsegs == end)
			return VERDICT_DROP_BUFFER_SMALL;
	}
	q->next = pos;
	take->nsegs = nsegs;
	take->nbufs = nbufs;
	return VERDICT_DELIVERED;
}

/* No room for another packet in this reservation. */
static bool is_full(const struct rx_take *take)
{
	return take->nsegs + RX_PACKET_SEGS > RX_SEGS || take->npkts == RX_PACKETS ||
	       take->descs >= READ_DESCS;
}

/* Under the lock: buffers for packet i, or from take->segment on for its segments. true: done with
 * it. false: the reservation is full, or the queue at fault. */
static bool take_packet(struct port *to, struct queue *q, uint16_t avail, struct batch *b,
			unsigned i, struct rx_take *take)
{
	const struct packet *p = &b->pkt[i];
	bool cut = rx_segments(p, take->offloads);
	unsigned segments = cut ? p->off.segments : 1;

	for (; take->segment < segments; take->segment++) {
		struct rx_packet r = { .bytes = p->bytes,
				       .buf = (uint16_t)take->nbufs,
				       .seg = (uint16_t)take->nsegs,
				       .pkt = (uint8_t)i,
				       .segment = (uint16_t)take->segment,
				       .lent = lend_fits(p, take->offloads) };
		enum verdict verdict = take->too_few_why;
		uint32_t need;

		if (is_full(take))
			return false;
		if (cut)
			r.bytes = p->off.headers + gso_payload(&p->off, p->bytes, take->segment);
		need = r.lent ? lend_bytes(p) : VNET_HDR_BYTES + r.bytes;
		if (need < take->too_few_for)
			verdict = take_buffers(q, avail, need, take);
		if (verdict != VERDICT_DELIVERED) {
			take->too_few_why = verdict;
			drop(to, b, take, i, verdict,
			     take->segment > 0 ? segments - take->segment : 1);
			return take->fault == VQ_OK;
		}
		take->too_few_for = UINT32_MAX;
		r.nbufs = (uint16_t)(take->nbufs - r.buf);
		take->pkt[take->npkts++] = r;
		if (take->segment > 0)
			continue;
		take->unicast += b->to[to->id] >> i & 1;
		take->segmented += cut;
		take->segments += cut ? segments : 0;
	}
	take->segment = 0;
	return true;
}

/* Single buffers that come next, read ahead of the packets that go there: until these are copied, the
 * buffers are on their way into the cache. */
struct ahead {
	unsigned count, taken;
	uint16_t id[VS_BATCH];
};

/* Under the lock. In take->seg, where packets take them from one by one; what is left over is read again
 * when it is needed. */
static void read_ahead(struct queue *q, uint16_t avail, unsigned most, struct rx_take *take,
		       struct ahead *ahead)
{
	unsigned room = RX_SEGS - take->nsegs;

	ahead->taken = 0;
	ahead->count = vq_read_singles(&q->vq, q->next, avail, VQ_WRITE, take->seg + take->nsegs,
				       ahead->id, most < room ? most : room);
	if (ahead->count > 0)
		guess_next(q, ahead->id[ahead->count - 1]);
}

/* Under the lock: the quick way for a packet that goes as it is into one buffer, in one piece.
 * false: nothing was done. */
static inline bool take_single(struct queue *q, const struct packet *p, unsigned i, bool unicast,
			       struct rx_take *take, struct ahead *ahead)
{
	bool lent = lend_fits(p, take->offloads);
	uint32_t need = lent ? lend_bytes(p) : VNET_HDR_BYTES + p->bytes;

	if (ahead->taken == ahead->count || (p->off.needs & ~take->offloads) != 0 ||
	    is_full(take) || take->seg[take->nsegs].len < need || overruns(q, q->next, 1))
		return false;
	take->pkt[take->npkts++] = (struct rx_packet){
		p->bytes, (uint16_t)take->nbufs, 1, (uint16_t)take->nsegs++, 0, (uint8_t)i, lent
	};
	take->buf[take->nbufs++] = (struct rx_buf){ ahead->id[ahead->taken++], 1, need };
	take->descs++;
	take->unicast += unicast;
	take->too_few_for = UINT32_MAX;
	q->next = vq_advance(&q->vq, q->next, 1);
	return true;
}

/* Under the lock: packet i was taken last, if any was since there were `before` of them. */
static void lend_taken(struct vs_cpu *cpu, struct port *to, struct queue *q, unsigned i,
		       unsigned before)
{
	const struct rx_take *take = &cpu->rx;

	if (take->npkts > before && take->pkt[before].lent)
		lend_packet(cpu, to, q, i, take->buf[take->pkt[before].buf].head);
}

/* Under the lock. */
static void take_list(struct vs_cpu *cpu, struct port *to, struct queue *q, uint16_t avail,
		      uint64_t want)
{
	struct batch *b = &cpu->batch;
	struct rx_take *take = &cpu->rx;
	uint64_t unicast = b->to[to->id];
	struct ahead ahead;

	read_ahead(q, avail, set_size(want), take, &ahead);
	for (; want != 0; want &= want - 1) {
		unsigned i = (unsigned)__builtin_ctzll(want), before = take->npkts;
		bool single = take_single(q, &b->pkt[i], i, unicast >> i & 1, take, &ahead);
		bool more = single || take_packet(to, q, avail, b, i, take);

		lend_taken(cpu, to, q, i, before);
		if (single)
			continue;
		if (!more)
			break;
		read_ahead(q, avail, 1, take,
			   &ahead); /* where it ended: the next may be another kind */
	}
	if (take->fault == VQ_OK)
		take->left = want;
	else if (want != 0)
		drop_all(to, b, take, want & (want - 1), VERDICT_DROP_BROKEN);
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
	if (!q->watching && (uint16_t)(idx - q->disarmed_at) > DISARM_EVERY) {
		vq_disarm_kick(&q->vq, idx);
		q->disarmed_at = idx;
	}
	*avail = idx;
	return true;
}

/* All but `segment`, which says where to go on, and `spent`. */
static void clear_take(struct rx_take *take)
{
	take->left = 0;
	take->dropped = false;
	take->unicast_drops = 0;
	take->fault = VQ_OK;
	take->too_few_for = UINT32_MAX;
	take->spent += take->descs;
	take->npkts = take->nbufs = take->nsegs = take->descs = take->unicast = 0;
	take->segmented = take->segments = take->gso_whole = take->csum_software = 0;
}

static void reserve_locked(struct vs_cpu *cpu, struct port *to, struct queue *q, uint64_t want)
{
	struct batch *b = &cpu->batch;
	struct rx_take *take = &cpu->rx;
	uint32_t tail = atomic_load_explicit(&q->resv_tail, memory_order_acquire);
	uint16_t avail;

	if (!read_avail(q, &avail)) {
		take->fault = VQ_BAD_AVAIL_IDX;
		drop_all(to, b, take, want, VERDICT_DROP_BROKEN);
		return;
	}
	/* Very many are waiting for one slow CPU, or these buffers cost too much: as if the ring were
	 * empty. */
	if (q->resv_head - tail == RX_RESERVATIONS || take->spent >= RX_BATCH_DESCS) {
		drop_all(to, b, take, want, VERDICT_DROP_NO_BUFFER);
		return;
	}
	if (q->loans != NULL)
		lend_collect(cpu, to, q, avail);
	take->start = q->next;
	take_list(cpu, to, q, avail, want);
	take->end = q->next;
	if (q->loans != NULL)
		lend_watch(cpu, to, q);
	if (take->npkts > 0)
		take->resv = q->resv_head++;
}

void rx_reserve(struct vs_cpu *cpu, struct port *to, uint64_t want)
{
	struct batch *b = &cpu->batch;
	struct rx_take *take = &cpu->rx;
	struct queue *q = &to->queue[take->queue];
	enum queue_state state = queue_state(q);

	clear_take(take);
	if (take->segment == 0) /* else as begun: what is wanted may change meanwhile */
		take->offloads = atomic_load_explicit(&q->offloads, memory_order_relaxed);
	if (state != QUEUE_RUNNING || atomic_load_explicit(&to->unplugged, memory_order_relaxed)) {
		drop_all(to, b, take, want,
			 state == QUEUE_BROKEN ? VERDICT_DROP_BROKEN : VERDICT_DROP_LINK_DOWN);
		return;
	}
	spin_lock(&q->reserve);
	reserve_locked(cpu, to, q, want);
	spin_unlock(&q->reserve);
}

enum verdict rx_would_take(struct vs_cpu *cpu, struct port *to, unsigned queue, uint32_t need)
{
	struct queue *q = &to->queue[queue];
	enum queue_state state = queue_state(q);
	enum verdict verdict = VERDICT_DROP_BROKEN;
	uint16_t next, avail;

	if (state != QUEUE_RUNNING || atomic_load_explicit(&to->unplugged, memory_order_relaxed))
		return state == QUEUE_BROKEN ? VERDICT_DROP_BROKEN : VERDICT_DROP_LINK_DOWN;
	clear_take(&cpu->rx);
	spin_lock(&q->reserve);
	next = q->next;
	avail = q->vq.packed ? 0 : vq_avail_idx(&q->vq);
	if (q->vq.packed || (uint16_t)(avail - next) <= q->vq.size)
		verdict = take_buffers(q, avail, need, &cpu->rx);
	q->next = next;
	spin_unlock(&q->reserve);
	return verdict;
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
static bool publish_done(struct port *to, const struct batch *b, unsigned queue,
			 struct stat_slot *slot)
{
	struct queue *q = &to->queue[queue];
	uint32_t tail = atomic_load_explicit(&q->resv_tail, memory_order_relaxed);
	uint16_t before = atomic_load_explicit(&q->published, memory_order_relaxed);
	enum queue_state state = queue_state(q);
	uint16_t idx = before;
	unsigned packets = 0;
	struct reservation *r = &q->resv[tail % RX_RESERVATIONS];

	while (atomic_load_explicit(&r->done, memory_order_acquire)) {
		uint16_t start = idx;

		count_published(to, r, state, env_cpu());
		idx = r->end;
		packets += r->packets;
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
	return state == QUEUE_RUNNING &&
	       rx_interrupt_due(to, queue, before, packets, b->polling, slot);
}

static void count_offloads(struct stat_slot *slot, const struct rx_take *take)
{
	stat_add(slot, STAT_gso_whole, take->gso_whole);
	stat_add(slot, STAT_gso_segmented, take->segmented);
	stat_add(slot, STAT_gso_segments, take->segments);
	stat_add(slot, STAT_csum_software, take->csum_software);
}

void rx_complete(struct port *to, struct batch *b, const struct rx_take *take, struct vs_cpu *cpu)
{
	struct queue *q = &to->queue[take->queue];
	struct reservation *r = &q->resv[take->resv % RX_RESERVATIONS];
	struct stat_slot *slot = stats_slot(to, cpu->cpu);
	uint64_t bytes = 0, lent_bytes = 0;
	unsigned lent = 0;
	bool due;

	vq_prefetch_index(&q->vq); /* the driver looks at it all the time */
	for (unsigned n = 0; n < take->npkts; n++) {
		bytes += take->pkt[n].bytes;
		lent += take->pkt[n].lent;
		lent_bytes += take->pkt[n].lent ? take->pkt[n].bytes : 0;
	}
	stat_add(slot, STAT_copies, take->npkts - lent);
	stat_add(slot, STAT_copied_bytes, bytes - lent_bytes);
	if (lent > 0) {
		stat_add(slot, STAT_lent, lent);
		stat_add(slot, STAT_lent_bytes, lent_bytes);
	}
	if ((take->gso_whole | take->segmented | take->csum_software) != 0)
		count_offloads(slot, take);
	r->end = take->end;
	r->packets = (uint16_t)take->npkts;
	r->unicast = (uint16_t)take->unicast;
	r->bytes = bytes;
	r->from = b->from;
	atomic_store_explicit(&r->done, 1, memory_order_release);
	spin_lock(&q->publish);
	due = publish_done(to, b, take->queue, slot);
	spin_unlock(&q->publish);
	if (due)
		b->woke |= rx_interrupt(to, take->queue, slot);
}
