/* SPDX-License-Identifier: BSD-2-Clause */
/* See link.h. */
#include "guest/bench/link.h"

#include "guest/bench/checksum.h"
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/string.h"
#include "guest/lib/vq.h"

enum { STAMP_AT = WIRE_HEADERS, SEQUENCE_AT = WIRE_HEADERS + 8 };

enum { LARGE_BYTES = (WIRE_MAX_LARGE + 63) / 64 * 64, LARGE_SEGMENT = 1472 };

static uint32_t slot_session[VQ_MAX]; /* whose frame lies in the slot; 0: of no run */

/* At most LINK_LARGE slots are used at a time, and those used last first: so these are the same ones
 * all through a run, which begins with all slots free. */
static uint8_t large[LINK_LARGE][LARGE_BYTES] __attribute__((aligned(64)));
static uint8_t large_of[VQ_MAX]; /* the slot's, in a run of large frames */
static unsigned large_used;	 /* any so far? */

static const struct net_header large_header = {
	.flags = NET_NEEDS_CSUM,
	.gso_type = NET_GSO_UDP_L4,
	.hdr_len = WIRE_HEADERS,
	.gso_size = LARGE_SEGMENT,
	.csum_start = WIRE_CSUM_START,
	.csum_offset = WIRE_CSUM_OFFSET,
};

static bool is_large(const struct link_run *run)
{
	return run->frame_bytes > WIRE_MAX_FRAME;
}

/* A slot for a frame of no run. */
static int free_slot(void)
{
	int slot;

	net_tx_reclaim();
	slot = net_tx_slot();
	if (slot >= 0) {
		slot_session[slot] = 0;
		if (large_used)
			net_tx_own((unsigned)slot);
	}
	return slot;
}

static void send(int slot, uint32_t bytes)
{
	net_tx_push((unsigned)slot, bytes);
	net_tx_flush();
}

static void send_arp(const struct link *link, bool request, const struct wire_end *to)
{
	int slot = free_slot();

	if (slot < 0)
		return; /* whoever asks will ask again */
	wire_arp(net_tx_buffer((unsigned)slot), request, &link->own, to);
	send(slot, WIRE_ARP_FRAME);
}

static void take_arp(struct link *link, const struct net_frame *frame)
{
	struct wire_end from;

	wire_sender(frame, WIRE_ARP, &from);
	if (from.ip == link->peer.ip && !link->peer_known) {
		link->peer = from;
		link->peer_known = true;
	}
	if (wire_arp_asks(frame, &link->own))
		send_arp(link, false, &from);
}

enum wire_kind link_receive(struct link *link, struct net_frame *frame)
{
	while (net_receive(frame)) {
		enum wire_kind kind = wire_check(frame, &link->own);

		if (kind == WIRE_ARP)
			take_arp(link, frame);
		else if (kind != WIRE_FOREIGN)
			return kind;
		net_release(frame);
	}
	net_refill();
	return WIRE_NONE;
}

bool link_resolve(struct link *link)
{
	uint64_t end = rdtsc() + clock_ms(PEER_TIMEOUT_MS);
	struct net_frame frame;

	while (!link->peer_known && rdtsc() < end) {
		uint64_t retry = rdtsc() + clock_ms(RETRY_MS);

		send_arp(link, true, &link->peer);
		while (!link->peer_known && rdtsc() < retry) {
			if (link_receive(link, &frame) != WIRE_NONE)
				net_release(&frame);
			else if (!link->peer_known)
				net_sleep(retry);
		}
	}
	return link->peer_known;
}

bool link_send(struct link *link, const struct control *message)
{
	const uint32_t bytes = WIRE_HEADERS + sizeof(*message);
	int slot = free_slot();
	uint8_t *frame;

	if (slot < 0)
		return false;
	frame = net_tx_buffer((unsigned)slot);
	wire_headers(frame, bytes, &link->own, &link->peer, PORT_CONTROL);
	memcpy(frame + WIRE_HEADERS, message, sizeof(*message));
	wire_seal(frame, wire_udp_sum(frame, bytes));
	send(slot, bytes);
	return true;
}

/* True if the answer to the message has come. */
static bool answered(struct link *link, const struct control *message, struct control *answer)
{
	struct net_frame frame;
	enum wire_kind kind;
	bool yes = false;

	while (!yes && (kind = link_receive(link, &frame)) != WIRE_NONE) {
		yes = kind == WIRE_CONTROL &&
		      wire_copy(&frame, WIRE_HEADERS, answer, sizeof(*answer)) &&
		      answer->magic == WIRE_MAGIC && answer->session == message->session &&
		      answer->type == (message->type | CONTROL_ACK);
		net_release(&frame);
	}
	return yes;
}

bool link_call(struct link *link, const struct control *message, struct control *answer,
	       uint64_t timeout_ms)
{
	uint64_t end = rdtsc() + clock_ms(timeout_ms);

	do {
		uint64_t retry = rdtsc() + clock_ms(RETRY_MS);

		if (!link_send(link, message))
			net_tx_sleep(retry);
		do {
			if (answered(link, message, answer))
				return true;
			net_sleep(retry);
		} while (rdtsc() < retry);
	} while (rdtsc() < end && !net_trouble());
	return false;
}

void link_echo(const struct net_frame *frame)
{
	int slot = free_slot();
	uint8_t *to;

	if (slot < 0 || frame->bytes > WIRE_MAX_FRAME)
		return; /* the client will time out and count it */
	to = net_tx_buffer((unsigned)slot);
	(void)wire_copy(frame, 0, to, frame->bytes);
	wire_turn(to);
	send(slot, frame->bytes);
}

static uint8_t *frame_of(const struct link_run *run, unsigned slot)
{
	return is_large(run) ? large[large_of[slot]] : net_tx_buffer(slot);
}

static void fill(struct link *link, const struct link_run *run, unsigned slot)
{
	struct wire_stamp stamp = { .magic = WIRE_MAGIC, .session = run->session };
	uint8_t *frame;

	if (is_large(run))
		large_of[slot] = large_used++ % LINK_LARGE;
	else if (large_used)
		net_tx_own(slot);
	frame = frame_of(run, slot);
	wire_headers(frame, run->frame_bytes, &link->own, &link->peer, run->port);
	memcpy(frame + STAMP_AT, &stamp, sizeof(stamp));
	memcpy(frame + STAMP_AT + WIRE_STAMP, wire_pattern,
	       run->frame_bytes - STAMP_AT - WIRE_STAMP);
	if (is_large(run))
		wire_seal_partial(frame);
	slot_session[slot] = run->session;
}

bool link_prepare(struct link *link, struct link_run *run, uint32_t session, uint32_t frame_bytes,
		  uint16_t port)
{
	const unsigned slots = net_info()->tx_slots;
	uint64_t end = rdtsc() + clock_ms(PEER_TIMEOUT_MS);

	*run = (struct link_run){ .session = session, .frame_bytes = frame_bytes, .port = port };
	for (net_tx_reclaim(); net_tx_free() < slots; net_tx_reclaim()) {
		if (rdtsc() > end)
			return false;
		net_tx_sleep(rdtsc() + clock_ms(RETRY_MS));
	}
	for (unsigned i = 0; i < slots && !is_large(run); i++)
		fill(link, run, i);
	if (!is_large(run))
		run->sum = wire_udp_sum(net_tx_buffer(0), frame_bytes);
	return true;
}

bool link_room(const struct link_run *run)
{
	unsigned used = net_info()->tx_slots - net_tx_free();

	return net_tx_free() && !(is_large(run) && used >= LINK_LARGE);
}

bool link_push(struct link *link, const struct link_run *run, uint64_t sequence)
{
	uint8_t *frame;
	int slot;

	if (!link_room(run))
		return false;
	slot = net_tx_slot();
	if (slot_session[slot] != run->session)
		fill(link, run, (unsigned)slot);
	frame = frame_of(run, (unsigned)slot);
	__builtin_memcpy(frame + SEQUENCE_AT, &sequence, sizeof(sequence));
	if (is_large(run)) {
		net_tx_push_from((unsigned)slot, &large_header, frame, run->frame_bytes);
		return true;
	}
	wire_seal(frame, checksum_plus(run->sum, sequence));
	net_tx_push((unsigned)slot, run->frame_bytes);
	return true;
}
