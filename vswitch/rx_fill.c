/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The copy into reserved receive buffers. A packet that the receiver takes as it is goes there as
 * it is, 64 KiB or not, its checksum made or not: between VMs nothing is lost on the way that it
 * would find. For a receiver without the offload, the checksum is made while copying, and a GSO
 * frame cut: still one copy of the payload, with new headers before each piece of it.
 */
#include "vswitch/lend.h"

#include "vswitch/copy.h"
#include "vswitch/csum.h"

/* Payload of the frame that is being cut, up to where it is copied. */
struct cutter {
	struct cursor payload;
	unsigned pkt, segment; /* the next one */
};

/* Most packets: nothing offloaded, one piece to one piece. false: it is not so. */
static inline bool fill_simple(const struct packet *p, const struct rx_packet *r,
			       const struct seg *dst)
{
	uint32_t rest = p->bytes - ETH_HDR_BYTES;
	uint8_t *to = dst->ptr;

	if (p->off.needs != 0 || r->nbufs != 1 || dst->len < VNET_HDR_BYTES + p->bytes ||
	    p->head_bytes != HEAD_BYTES || (rest > 0 && p->seg->len < rest))
		return false;
	frame_clear_rx_header(to);
	frame_set_num_buffers(to, 1);
	/* in two words that overlap */
	store64(to + VNET_HDR_BYTES, load64(p->head + VNET_HDR_BYTES));
	store64(to + HEAD_BYTES - 8, load64(p->head + HEAD_BYTES - 8));
	if (rest > 0)
		copy_block(to + HEAD_BYTES, p->seg->ptr, rest);
	return true;
}

static void fill_whole(struct packet *p, const struct rx_packet *r, const struct seg *dst)
{
	frame_clear_rx_header(p->head);
	if (p->off.needs != 0)
		offload_set_rx_header(p->head, &p->off);
	frame_set_num_buffers(p->head, r->nbufs);
	copy_packet(dst, p->head, p->head_bytes, p->seg, VNET_HDR_BYTES + p->bytes);
}

/* The headers, and where the rest of it is: lasthop/uplink.h. */
static void fill_lent(struct packet *p, const struct rx_packet *r, struct rx_take *take,
		      struct uplink_piece *piece)
{
	const struct seg rest = { (uint8_t *)piece, p->pieces * (uint32_t)sizeof(*piece) };

	frame_clear_rx_header(p->head);
	if (p->off.needs != 0)
		offload_set_rx_header(p->head, &p->off);
	p->head[0] |= UPLINK_LENT;
	store16(p->head + 2, HEAD_ROOM - VNET_HDR_BYTES); /* hdr_len */
	frame_set_num_buffers(p->head, r->nbufs);
	copy_packet(take->seg + r->seg, p->head, HEAD_ROOM, &rest, lend_bytes(p));
	take->gso_whole += (p->off.needs & OFFLOAD_GUEST_GSO) != 0;
}

/* 5.1.6.2.1: from csum_start on, all is summed; its complement goes to csum_offset from there. */
static void fill_summed(struct packet *p, const struct rx_packet *r, const struct seg *dst)
{
	struct cursor to = cursor_at(dst), field;
	struct cursor from = { p->head, p->head_bytes, p->seg };
	uint8_t sum[2];
	struct cursor result = { sum, sizeof(sum), NULL };

	frame_clear_rx_header(p->head);
	frame_set_num_buffers(p->head, r->nbufs);
	copy_run(&to, &from, VNET_HDR_BYTES + p->off.csum_start);
	field = to;
	store16(sum, csum_finish(copy_run_sum(&to, &from, p->bytes - p->off.csum_start)));
	cursor_skip(&field, p->off.csum_offset);
	copy_run(&field, &result, sizeof(sum));
}

static void cutter_go(struct cutter *cut, struct packet *p, const struct rx_packet *r)
{
	uint32_t headers = VNET_HDR_BYTES + p->off.headers;

	if (cut->pkt == r->pkt && cut->segment == r->segment)
		return;
	cut->payload = (struct cursor){ p->head + headers, p->head_bytes - headers, p->seg };
	cursor_skip(&cut->payload, r->segment * (uint32_t)p->off.gso_size);
	cut->pkt = r->pkt;
	cut->segment = r->segment;
}

/* false: the checksum was left to the receiver. */
static bool fill_segment(struct packet *p, const struct rx_packet *r, const struct seg *dst,
			 struct cutter *cut, bool guest_csum)
{
	uint32_t payload = r->bytes - p->off.headers;
	uint8_t head[HEAD_ROOM];
	struct cursor headers = { head, VNET_HDR_BYTES + p->off.headers, NULL };
	struct cursor start = cursor_at(dst), to = start;

	cutter_go(cut, p, r);
	gso_segment_head(head, p->head, &p->off, p->bytes, r->segment, payload);
	cursor_skip(&to, headers.left);
	if (guest_csum)
		copy_run(&to, &cut->payload, payload);
	else
		gso_segment_csum(head, &p->off, copy_run_sum(&to, &cut->payload, payload));
	frame_set_num_buffers(head, r->nbufs);
	copy_run(&start, &headers, headers.left);
	cut->segment++;
	return !guest_csum;
}

static inline void fill(struct packet *p, const struct rx_packet *r, struct rx_take *take,
			struct cutter *cut)
{
	const struct seg *dst = take->seg + r->seg;

	if (fill_simple(p, r, dst))
		return;
	if ((p->off.needs & ~take->offloads) == 0) {
		fill_whole(p, r, dst);
		take->gso_whole += (p->off.needs & OFFLOAD_GUEST_GSO) != 0;
	} else if (!rx_segments(p, take->offloads)) {
		fill_summed(p, r, dst);
		take->csum_software++;
	} else {
		take->csum_software += fill_segment(
			p, r, dst, cut, (take->offloads & VIRTIO_NET_F_GUEST_CSUM) != 0);
	}
}

void rx_fill(struct port *to, struct vs_cpu *cpu)
{
	struct batch *b = &cpu->batch;
	struct rx_take *take = &cpu->rx;
	const struct queue *q = &to->queue[take->queue];
	struct cutter cut = { .pkt = VS_BATCH };
	uint16_t pos = take->start;

	for (unsigned n = 0; n < take->npkts; n++) {
		const struct rx_packet *r = &take->pkt[n];

		if (r->lent)
			fill_lent(&b->pkt[r->pkt], r, take, cpu->piece[r->pkt]);
		else
			fill(&b->pkt[r->pkt], r, take, &cut);
		for (unsigned i = r->buf; i < (unsigned)r->buf + r->nbufs; i++) {
			vq_put_used(&q->vq, pos, take->buf[i].head, take->buf[i].bytes, VQ_WRITE,
				    i == 0);
			pos = vq_advance(&q->vq, pos, take->buf[i].slots);
		}
	}
}
