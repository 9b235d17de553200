/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets of one port are read, checked and sorted by destination, then delivered destination by
 * destination (the batch algorithm of VALE and mSwitch, with sets in 64-bit words in the place of
 * lists: bit order keeps the packets' order, also between flooded packets and others).
 */
#include "vswitch/lend.h"

#include "vswitch/copy.h"
#include "vswitch/policy.h"
#include "vswitch/tap.h"

#define DEST_FLOOD (-1)

struct batch *batch_open(struct vs_cpu *cpu, struct port *from)
{
	struct batch *b = &cpu->batch;

	b->from = from;
	b->queue = NO_QUEUE;
	b->count = b->expected = 0;
	b->lends = b->lend_descs = 0;
	b->unplugged = atomic_load_explicit(&from->unplugged, memory_order_relaxed);
	b->last_src = 0; /* no valid source is all zero */
	b->last_addresses = b->last_read =
		(struct addresses){ 0, UINT64_MAX }; /* nor four bytes that */
	b->offloads = 0;
	b->last_dest = from->id;
	b->tx_bytes = b->beside = 0;
	b->segments = 0;
	b->polling = false;
	b->woke = false;
	b->refused = 0;
	b->dropped = false;
	b->flood = 0;
	b->dests = 0;
	return b;
}

bool batch_has_address(const struct port *from, uint64_t src)
{
	const bool own = mac_load(from->mac) == src;

	for (unsigned id = 0; id < VS_MAX_PORTS; id++) {
		const struct port *port =
			atomic_load_explicit(&from->sw->port[id], memory_order_seq_cst);

		if (port == NULL || port == from)
			continue;
		if (mac_load(port->mac) == src)
			return true;
		if (!own && atomic_load_explicit(&port->guest_mac, memory_order_seq_cst) == src)
			return true;
	}
	return false;
}

/*
 * Does a port here have this address, which comes in by an uplink? The world has sent back what that port
 * had sent: two uplinks lead to the same network, or one into a loop; or the driver domain lies. The address
 * stays where it is. What else an uplink says of addresses is believed: what a VM has besides (a container, a
 * router's virtual address) may have moved to another machine.
 */
static bool is_reflected(const struct vs_cpu *cpu, const struct batch *b, uint64_t src)
{
	if (fdb_lookup(b->from->sw->fdb, src, cpu->now_s) == (int)b->from->id)
		return false; /* the rule: no port here had it when it was learned, nor has one got it since */
	return batch_has_address(b->from, src);
}

static void learn(struct vs_cpu *cpu, struct batch *b, uint64_t src)
{
	struct stat_slot *slot;

	if (src == b->last_src)
		return;
	b->last_src = src;
	switch (fdb_learn(b->from->sw->fdb, src, b->from->id, cpu->now_s)) {
	case FDB_KNOWN:
		return;
	case FDB_LEARNED:
		slot = stats_slot(b->from, cpu->cpu);
		stat_add(slot, STAT_learned, 1);
		return;
	case FDB_FULL:
		slot = stats_slot(b->from, cpu->cpu);
		stat_add(slot, STAT_fdb_full, 1);
		return;
	}
}

/* The one port behind which dst is, or DEST_FLOOD. Its pointer is good until the batch ends. */
static int look_up(struct vs_cpu *cpu, struct batch *b, uint64_t dst)
{
	struct vswitch *sw = b->from->sw;
	int id;

	if (mac_is_group(dst))
		return DEST_FLOOD;
	id = fdb_lookup(sw->fdb, dst, cpu->now_s);
	if (id < 0)
		return DEST_FLOOD;
	struct port *port = atomic_load_explicit(&sw->port[id], memory_order_seq_cst);

	if (port == NULL)
		return DEST_FLOOD; /* just being destroyed; an earlier packet keeps its pointer */
	b->dest[id] = port;
	return id;
}

/* In the pieces in which gather_head() stores them: a load across two stores would wait for both. */
static inline struct addresses addresses_of(const struct packet *p)
{
	return (struct addresses){ load64(p->head + VNET_HDR_BYTES),
				   load32(p->head + VNET_HDR_BYTES + 8) };
}

static inline bool same_addresses(const struct addresses *a, const struct addresses *b)
{
	return a->first8 == b->first8 && a->last4 == b->last4;
}

/* Counts a dropped packet of the batch. */
static void count_drops(struct batch *b, enum verdict verdict, uint32_t packets)
{
	if (!b->dropped)
		for (unsigned i = 0; i < VERDICT_COUNT; i++)
			b->drops[i] = 0;
	b->dropped = true;
	b->drops[verdict] += packets;
}

static enum verdict classify(struct vs_cpu *cpu, struct batch *b, const struct packet *p,
			     uint64_t bit)
{
	enum verdict verdict = frame_check_head(p->head);
	int dest;

	if (verdict != VERDICT_DELIVERED)
		return verdict;
	if (b->from->uplink && is_reflected(cpu, b, frame_src(p->head)))
		return VERDICT_DROP_REFLECTED;
	learn(cpu, b, frame_src(p->head));
	dest = look_up(cpu, b, frame_dst(p->head));
	if (dest == DEST_FLOOD) {
		b->flood |= bit;
		return VERDICT_FLOODED;
	}
	if ((unsigned)dest == b->from->id)
		return VERDICT_DROP_SAME_PORT;
	if (b->from->uplink && b->dest[dest]->uplink)
		return VERDICT_DROP_TRANSIT;
	b->to[dest] |= bit;
	b->dests |= 1ull << dest;
	b->last_addresses = addresses_of(p);
	b->last_dest = (unsigned)dest;
	return VERDICT_DELIVERED;
}

/* The sender asks for an offload: of a GSO frame, all headers must be read. */
static enum verdict read_offload(struct batch *b, struct packet *p)
{
	enum verdict verdict;

	if (offload_asks_gso(p->head)) {
		uint32_t more = p->bytes - ETH_HDR_BYTES;

		if (more > HEAD_ROOM - HEAD_BYTES)
			more = HEAD_ROOM - HEAD_BYTES;
		p->seg += copy_gather(p->head + HEAD_BYTES, more, p->seg);
		p->head_bytes += more;
	}
	verdict = offload_check(p->head, p->head_bytes - VNET_HDR_BYTES, p->bytes, b->offloads,
				b->from->mtu, &p->off);
	if (verdict == VERDICT_DELIVERED)
		b->segments += p->off.segments;
	return verdict;
}

/* copy_gather() of HEAD_BYTES, quick when they are in one piece. */
static inline unsigned gather_head(uint8_t head[HEAD_BYTES], struct seg *seg)
{
	const uint8_t *from = seg->ptr;

	if (seg->len < HEAD_BYTES)
		return copy_gather(head, HEAD_BYTES, seg);
	store64(head, load64(from));
	store32(head + 8, load32(from + 8));
	store64(head + 12, load64(from + 12));
	store32(head + 20, load32(from + 20));
	store16(head + 24, load16(from + 24));
	__asm__ volatile("" : : : "memory"); /* as in copy_gather() */
	seg->ptr += HEAD_BYTES;
	seg->len -= HEAD_BYTES;
	return seg->len == 0;
}

/* Reads a packet's headers and checks it. */
static inline enum verdict read_packet(struct batch *b, struct packet *p, struct seg *seg,
				       uint64_t chain_bytes)
{
	uint32_t longest = b->from->mtu + ETH_SLACK; /* MTUs are 16 bits wide */
	bool gso = (b->offloads & OFFLOAD_HOST_GSO) != 0;
	enum verdict verdict = frame_check_length(
		chain_bytes, gso && longest < VS_MAX_FRAME ? VS_MAX_FRAME : longest);

	if (verdict != VERDICT_DELIVERED) {
		p->seg = seg;
		p->head_bytes = 0;
		return verdict;
	}
	p->seg = seg + gather_head(p->head, seg);
	p->head_bytes = HEAD_BYTES;
	p->off.needs = 0;
	if (offload_asked(p->head))
		return read_offload(b, p);
	return p->bytes > longest ? VERDICT_DROP_LONG : VERDICT_DELIVERED;
}

/* Another flow than the packet before: its places in the FDB are needed soon. Those of a packet that is alone are
 * looked up at once: nothing is gained. */
static inline void prefetch_flow(struct batch *b, const struct packet *p)
{
	struct addresses read = addresses_of(p);

	if (b->expected <= 1 || same_addresses(&read, &b->last_read))
		return;
	b->last_read = read;
	fdb_prefetch(b->from->sw->fdb, frame_src(p->head));
	fdb_prefetch(b->from->sw->fdb, frame_dst(p->head));
}

/* Of a frame that is too long in any case, no more than that: a chain may name GiBs that nobody will copy. */
static inline uint32_t frame_bytes(uint64_t chain_bytes)
{
	if (chain_bytes <= VNET_HDR_BYTES)
		return 0;
	chain_bytes -= VNET_HDR_BYTES;
	return chain_bytes > VS_MAX_FRAME ? VS_MAX_FRAME + 1 : (uint32_t)chain_bytes;
}

void batch_add(struct vs_cpu *cpu, struct seg *seg, uint64_t chain_bytes, uint16_t chain)
{
	struct batch *b = &cpu->batch;
	struct packet *p = &b->pkt[b->count++];
	enum verdict verdict;

	p->bytes = frame_bytes(chain_bytes);
	b->tx_bytes += p->bytes;
	p->chain = chain;
	p->pieces = 0;
	p->lent = false;
	verdict = read_packet(b, p, seg, chain_bytes);
	if (b->unplugged)
		verdict = VERDICT_DROP_UNPLUGGED;
	if (verdict == VERDICT_DELIVERED)
		prefetch_flow(b, p);
	p->verdict = (uint8_t)verdict;
}

void batch_sort(struct vs_cpu *cpu)
{
	struct batch *b = &cpu->batch;

	for (unsigned i = 0; i < b->count; i++) {
		struct packet *p = &b->pkt[i];
		enum verdict verdict = (enum verdict)p->verdict;
		struct addresses read = addresses_of(p);

		if (verdict == VERDICT_DELIVERED) {
			/* most packets of a batch are of one flow: as the one before */
			if (same_addresses(&read, &b->last_addresses)) {
				b->to[b->last_dest] |= 1ull << i;
				continue;
			}
			verdict = classify(cpu, b, p, 1ull << i);
			p->verdict = (uint8_t)verdict;
		}
		if (verdict != VERDICT_DELIVERED && verdict != VERDICT_FLOODED)
			count_drops(b, verdict, 1);
	}
}

void batch_cut(struct batch *b, unsigned count)
{
	const uint64_t keep = ~(~0ull << count);

	for (unsigned i = count; i < b->count; i++) {
		enum verdict verdict = (enum verdict)b->pkt[i].verdict;

		b->tx_bytes -= b->pkt[i].bytes;
		if (verdict != VERDICT_DELIVERED && verdict != VERDICT_FLOODED)
			b->drops[verdict]--;
	}
	b->flood &= keep;
	for (uint64_t dests = b->dests; dests != 0; dests &= dests - 1)
		b->to[__builtin_ctzll(dests)] &= keep;
	b->count = count;
}

/* A receiver that sleeps gets one packet first, and wakes up while the others are copied; these then
 * in small groups, so that it always finds some and does not sleep again meanwhile. */
#define WAKING_GROUP 8u

static bool is_asleep(const struct port *to, unsigned queue)
{
	return policy_get(POLICY_immediate_notification) &&
	       env_peer_state(to, queue) == PEER_BLOCKED;
}

/* Takes the first `most` packets out of the set; VS_BATCH: all. */
static uint64_t take_first(uint64_t *set, unsigned most)
{
	uint64_t rest = most < VS_BATCH ? *set : 0, first;

	for (; rest != 0 && most > 0; most--)
		rest &= rest - 1;
	first = *set & ~rest;
	*set = rest;
	return first;
}

/* Delivers the set of packets to one receive queue of a port. */
static void forward_to_queue(struct vs_cpu *cpu, struct batch *b, struct port *to, unsigned queue,
			     uint64_t set)
{
	struct stat_slot *slot = stats_slot(to, cpu->cpu);
	struct capture *capture = capture_of(to);
	struct rx_take *take = &cpu->rx;
	bool asleep = (set & (set - 1)) != 0 && is_asleep(to, queue);
	uint64_t all = set, now = take_first(&set, asleep ? 1 : VS_BATCH);
	unsigned unicast_drops = 0, made = 0, sent = set_size(all);

	lend_begin(cpu, to, queue, all & b->to[to->id]);
	take->segment = 0;
	take->queue = queue;
	take->spent = take->descs = 0;
	while (now != 0) {
		rx_reserve(cpu, to, now);
		if (take->fault != VQ_OK)
			queue_break(to, queue, take->fault, cpu->cpu);
		made += take->npkts;
		b->beside += more_descs_cost(take->descs, take->npkts);
		if (take->npkts > 0) {
			rx_fill(to, cpu);
			if (capture != NULL)
				capture_filled(capture, b, take);
			rx_complete(to, b, take, cpu);
		}
		if (take->dropped) {
			stat_add_drops(slot, take->drops, true);
			if (capture != NULL)
				capture_refused(capture, b, take);
		}
		unicast_drops += take->unicast_drops;
		now = take->left;
		if (now == 0)
			now = take_first(&set, WAKING_GROUP);
	}
	lend_end(cpu, to, all);
	if (made > sent) /* segments */
		b->beside += (uint64_t)(made - sent) * PACKET_COST;
	if (unicast_drops != 0)
		stat_add(stats_slot(b->from, cpu->cpu), STAT_tx_drop_receiver, unicast_drops);
}

/* The packets that the port's guest wants; the others are counted as dropped. */
static uint64_t filter_set(struct vs_cpu *cpu, struct batch *b, struct port *to,
			   const struct filter *filter, uint64_t set)
{
	struct capture *capture = capture_of(to);
	unsigned drops = 0, unicast_drops = 0;
	uint64_t wanted = 0, all = set;

	for (; set != 0; set &= set - 1) {
		unsigned i = (unsigned)__builtin_ctzll(set);

		if (steer_wants(filter, &b->pkt[i])) {
			wanted |= 1ull << i;
			continue;
		}
		drops++;
		if (b->to[to->id] >> i & 1) {
			unicast_drops++;
			b->pkt[i].verdict = VERDICT_DROP_FILTERED;
		}
	}
	if (drops != 0)
		stat_add(stats_slot(to, cpu->cpu), STAT_rx_drop_filtered, drops);
	if (drops != 0 && capture != NULL)
		capture_filtered(capture, b, all & ~wanted);
	if (unicast_drops != 0)
		stat_add(stats_slot(b->from, cpu->cpu), STAT_tx_drop_receiver, unicast_drops);
	return wanted;
}

/* Delivers the set of packets to one port. */
static void forward_to(struct vs_cpu *cpu, struct batch *b, struct port *to, uint64_t set)
{
	const struct filter *filter = atomic_load_explicit(&to->filter, memory_order_seq_cst);
	unsigned pairs = atomic_load_explicit(&to->pairs, memory_order_relaxed);
	uint64_t queue_set[VS_MAX_QUEUE_PAIRS] = { 0 };

	if (filter != NULL)
		set = filter_set(cpu, b, to, filter, set);
	if (pairs == 1) {
		forward_to_queue(cpu, b, to, 0, set);
		return;
	}
	for (; set != 0; set &= set - 1) {
		unsigned i = (unsigned)__builtin_ctzll(set);

		queue_set[steer_pair(to, &b->pkt[i], pairs)] |= 1ull << i;
	}
	for (unsigned i = 0; i < pairs; i++)
		forward_to_queue(cpu, b, to, 2 * i, queue_set[i]);
}

/* The ports that flooded packets go to: all but the sender's, and from an uplink no other uplink: the
 * world's frames are for this machine only. Their pointers into b->dest[]. */
static uint64_t other_ports(struct batch *b)
{
	struct vswitch *sw = b->from->sw;
	uint64_t others = 0;

	for (unsigned id = 0; id < VS_MAX_PORTS; id++) {
		struct port *port = atomic_load_explicit(&sw->port[id], memory_order_seq_cst);

		if (port == NULL || id == b->from->id || (port->uplink && b->from->uplink))
			continue;
		b->dest[id] = port;
		others |= 1ull << id;
	}
	return others;
}

/* Flooded packets are paid for once, as any. */
static uint64_t flood_cost(const struct batch *b, unsigned copies)
{
	uint64_t once = 0;

	for (uint64_t set = b->flood; set != 0; set &= set - 1)
		once += b->pkt[__builtin_ctzll(set)].bytes + PACKET_COST;
	return once * (copies - 1);
}

/* Flooded packets become packets of each destination; without one, they are dropped. */
static void spread_flood(struct batch *b, struct stat_slot *slot)
{
	uint64_t others = other_ports(b);
	unsigned packets = set_size(b->flood);

	if (others != 0) {
		b->dests |= others;
		b->beside += flood_cost(b, set_size(others));
		stat_add(slot, STAT_tx_flooded, packets);
		stat_add(slot, STAT_tx_flood_copies, (uint64_t)packets * set_size(others));
		return;
	}
	for (; b->flood != 0; b->flood &= b->flood - 1)
		b->pkt[__builtin_ctzll(b->flood)].verdict = VERDICT_DROP_NO_PORT;
	count_drops(b, VERDICT_DROP_NO_PORT, packets);
}

void batch_forward(struct vs_cpu *cpu)
{
	struct batch *b = &cpu->batch;
	struct stat_slot *slot = stats_slot(b->from, cpu->cpu);
	struct capture *capture = capture_of(b->from);

	if (b->flood != 0)
		spread_flood(b, slot);
	for (uint64_t dests = b->dests; dests != 0; dests &= dests - 1) {
		unsigned id = (unsigned)__builtin_ctzll(dests);

		forward_to(cpu, b, b->dest[id], b->to[id] | b->flood);
		b->to[id] = 0;
	}
	stat_add(slot, STAT_tx_packets, b->count);
	stat_add(slot, STAT_tx_bytes, b->tx_bytes);
	if (b->dropped)
		stat_add_drops(slot, b->drops, false);
	if (capture != NULL)
		capture_batch(capture, b);
}
