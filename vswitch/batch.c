/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets of one port are read, checked and sorted by destination, then delivered destination by
 * destination (the batch algorithm of VALE and mSwitch, with sets in 64-bit words in the place of
 * lists: bit order keeps the packets' order, also between flooded packets and others).
 */
#include "vswitch/switch_impl.h"

#include "vswitch/copy.h"

#define DEST_FLOOD (-1)

struct batch *batch_open(struct vs_cpu *cpu, struct port *from)
{
	struct batch *b = &cpu->batch;

	b->from = from;
	b->count = 0;
	b->last_src = 0;	  /* no valid source or destination is all zero ... */
	b->last_dst = 1ull << 40; /* ... and groups are not looked up */
	b->last_dest = DEST_FLOOD;
	b->tx_bytes = 0;
	for (unsigned i = 0; i < VERDICT_COUNT; i++)
		b->drops[i] = 0;
	b->flood = 0;
	b->dests = 0;
	return b;
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
	struct port *port;
	int id;

	if (mac_is_group(dst))
		return DEST_FLOOD;
	if (dst == b->last_dst)
		return b->last_dest;
	id = fdb_lookup(sw->fdb, dst, cpu->now_s);
	if (id >= 0) {
		port = atomic_load_explicit(&sw->port[id], memory_order_seq_cst);
		b->dest[id] = port;
		if (port == NULL) /* just being destroyed */
			id = DEST_FLOOD;
	}
	b->last_dst = dst;
	b->last_dest = id;
	return id;
}

static enum verdict classify(struct vs_cpu *cpu, struct batch *b, const struct packet *p)
{
	enum verdict verdict = frame_check_head(p->head);
	uint64_t bit = 1ull << b->count;
	int dest;

	if (verdict != VERDICT_DELIVERED)
		return verdict;
	learn(cpu, b, frame_src(p->head));
	dest = look_up(cpu, b, frame_dst(p->head));
	if (dest == DEST_FLOOD) {
		b->flood |= bit;
		return VERDICT_FLOODED;
	}
	if ((unsigned)dest == b->from->id)
		return VERDICT_DROP_SAME_PORT;
	b->to[dest] |= bit;
	b->dests |= 1ull << dest;
	return VERDICT_DELIVERED;
}

void batch_add(struct vs_cpu *cpu, struct seg *seg, uint64_t chain_bytes, uint16_t chain)
{
	struct batch *b = &cpu->batch;
	struct packet *p = &b->pkt[b->count];
	enum verdict verdict = frame_check_length(chain_bytes, b->from->mtu);

	if (chain_bytes > VNET_HDR_BYTES)
		b->tx_bytes += chain_bytes - VNET_HDR_BYTES;
	p->chain = chain;
	if (verdict == VERDICT_DELIVERED) {
		p->bytes = (uint32_t)chain_bytes - VNET_HDR_BYTES;
		p->seg = seg + copy_gather(p->head, HEAD_BYTES, seg);
		verdict = classify(cpu, b, p);
	}
	p->verdict = (uint8_t)verdict;
	if (verdict != VERDICT_DELIVERED && verdict != VERDICT_FLOODED)
		b->drops[verdict]++;
	b->count++;
}

/* Delivers the set of packets to one port. */
static void forward_to(struct vs_cpu *cpu, struct batch *b, struct port *to, uint64_t set)
{
	struct stat_slot *slot = stats_slot(to, cpu->cpu);
	struct rx_take *take = &cpu->rx;
	unsigned unicast_drops = 0;

	while (set != 0) {
		rx_reserve(to, b, set, take);
		if (take->fault != VQ_OK)
			queue_break(to, 0, take->fault, cpu->cpu);
		if (take->npkts > 0) {
			rx_fill(to, b, take);
			rx_complete(to, b, take, cpu);
		}
		for (unsigned v = 0; v < VERDICT_COUNT; v++)
			if (take->drops[v] != 0)
				stat_add(slot, stat_of_rx_drop((enum verdict)v), take->drops[v]);
		unicast_drops += take->unicast_drops;
		set = take->left;
	}
	if (unicast_drops != 0)
		stat_add(stats_slot(b->from, cpu->cpu), STAT_tx_drop_receiver, unicast_drops);
}

/* The ports that flooded packets go to: all but the sender's; their pointers into b->dest[]. */
static uint64_t other_ports(struct batch *b)
{
	struct vswitch *sw = b->from->sw;
	uint64_t others = 0;

	for (unsigned id = 0; id < VS_MAX_PORTS; id++) {
		struct port *port = atomic_load_explicit(&sw->port[id], memory_order_seq_cst);

		if (port == NULL || id == b->from->id)
			continue;
		b->dest[id] = port;
		others |= 1ull << id;
	}
	return others;
}

static unsigned count_bits(uint64_t set)
{
	unsigned n = 0;

	for (; set != 0; set &= set - 1)
		n++;
	return n;
}

/* Flooded packets become packets of each destination; without one, they are dropped. */
static void spread_flood(struct batch *b, struct stat_slot *slot)
{
	uint64_t others = other_ports(b);
	unsigned packets = count_bits(b->flood);

	if (others != 0) {
		b->dests |= others;
		stat_add(slot, STAT_tx_flooded, packets);
		stat_add(slot, STAT_tx_flood_copies, (uint64_t)packets * count_bits(others));
		return;
	}
	for (; b->flood != 0; b->flood &= b->flood - 1)
		b->pkt[__builtin_ctzll(b->flood)].verdict = VERDICT_DROP_NO_PORT;
	b->drops[VERDICT_DROP_NO_PORT] += packets;
}

void batch_forward(struct vs_cpu *cpu)
{
	struct batch *b = &cpu->batch;
	struct stat_slot *slot = stats_slot(b->from, cpu->cpu);

	if (b->flood != 0)
		spread_flood(b, slot);
	for (uint64_t dests = b->dests; dests != 0; dests &= dests - 1) {
		unsigned id = (unsigned)__builtin_ctzll(dests);

		forward_to(cpu, b, b->dest[id], b->to[id] | b->flood);
		b->to[id] = 0;
	}
	stat_add(slot, STAT_tx_packets, b->count);
	stat_add(slot, STAT_tx_bytes, b->tx_bytes);
	for (unsigned v = 0; v < VERDICT_COUNT; v++)
		if (b->drops[v] != 0)
			stat_add(slot, stat_of_tx_drop((enum verdict)v), b->drops[v]);
}

enum verdict port_inject(struct port *port, const void *frame, size_t bytes)
{
	static const uint8_t no_offload[VNET_HDR_BYTES];
	struct vs_cpu *cpu = batch_begin(port->sw);
	struct stat_slot *slot = stats_slot(port, env_cpu());
	enum verdict verdict;

	if (cpu == NULL) { /* no memory: nothing can be sent from here */
		stat_add(slot, STAT_tx_packets, 1);
		stat_add(slot, STAT_tx_drop_no_port, 1);
		return VERDICT_DROP_NO_PORT;
	}
	/* both are only read; a frame beyond 32 bits is dropped by its length before that */
	cpu->tx_seg[0] = (struct seg){ (uint8_t *)(uintptr_t)no_offload, VNET_HDR_BYTES };
	cpu->tx_seg[1] = (struct seg){ (uint8_t *)(uintptr_t)frame, (uint32_t)bytes };
	batch_open(cpu, port);
	batch_add(cpu, cpu->tx_seg, (uint64_t)bytes + VNET_HDR_BYTES, 0);
	batch_forward(cpu);
	verdict = (enum verdict)cpu->batch.pkt[0].verdict;
	batch_end(cpu);
	return verdict;
}
