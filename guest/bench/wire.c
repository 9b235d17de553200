/* SPDX-License-Identifier: BSD-2-Clause */
/* See wire.h. Free of devices: tested on the host. */
#include "guest/bench/wire.h"

#include "guest/bench/checksum.h"
#include "guest/lib/string.h"

/* Offsets in a frame */
enum {
	ETH_TO = 0,
	ETH_FROM = 6,
	ETH_TYPE = 12,
	IP = 14,
	IP_LENGTH = 16,
	IP_FRAGMENT = 20,
	IP_TTL = 22,
	IP_PROTOCOL = 23,
	IP_CHECKSUM = 24,
	IP_FROM = 26,
	IP_TO = 30,
	UDP = 34,
	UDP_TO = 36,
	UDP_LENGTH = 38,
	UDP_CHECKSUM = 40,
	ARP_OPERATION = 20,
	ARP_FROM_MAC = 22,
	ARP_FROM_IP = 28,
	ARP_TO_MAC = 32,
	ARP_TO_IP = 38,
	ARP_END = 42,
};

enum { TYPE_IPV4 = 0x0800, TYPE_ARP = 0x0806, PROTOCOL_UDP = 17, ARP_REQUEST = 1, ARP_REPLY = 2 };

uint8_t wire_pattern[WIRE_MAX_LARGE];

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static void put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, (uint16_t)(value >> 16));
	put16(at + 2, (uint16_t)value);
}

void wire_init(void)
{
	uint64_t x = 0x9e3779b97f4a7c15ull; /* xorshift64: Marsaglia, "Xorshift RNGs" */

	for (unsigned i = 0; i < sizeof(wire_pattern); i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		wire_pattern[i] = (uint8_t)(x >> 32);
	}
}

void wire_headers(uint8_t *frame, uint32_t bytes, const struct wire_end *from,
		  const struct wire_end *to, uint16_t port)
{
	uint16_t sum;

	memcpy(frame + ETH_TO, to->mac, 6);
	memcpy(frame + ETH_FROM, from->mac, 6);
	put16(frame + ETH_TYPE, TYPE_IPV4);
	put32(frame + IP, 0x45000000 | (bytes - IP)); /* version, header length; total length */
	put32(frame + IP + 4, 0x00004000);	      /* no id, don't fragment */
	put32(frame + IP_TTL, 0x40110000);	      /* TTL 64, UDP; checksum 0 */
	put32(frame + IP_FROM, from->ip);
	put32(frame + IP_TO, to->ip);
	sum = (uint16_t)~checksum_fold(checksum_add(0, frame + IP, UDP - IP));
	memcpy(frame + IP_CHECKSUM, &sum, 2);
	put16(frame + UDP, port);
	put16(frame + UDP_TO, port);
	put16(frame + UDP_LENGTH, (uint16_t)(bytes - UDP));
	put16(frame + UDP_CHECKSUM, 0);
}

/* RFC 768: addresses, protocol, UDP length. */
static uint64_t pseudo_header(const uint8_t *frame)
{
	uint8_t tail[4] = { 0, PROTOCOL_UDP, frame[UDP_LENGTH], frame[UDP_LENGTH + 1] };

	return checksum_add(checksum_add(0, frame + IP_FROM, 8), tail, sizeof(tail));
}

uint64_t wire_udp_sum(const uint8_t *frame, uint32_t bytes)
{
	return checksum_add(pseudo_header(frame), frame + UDP, bytes - UDP);
}

void wire_seal(uint8_t *frame, uint64_t sum)
{
	uint16_t folded = (uint16_t)~checksum_fold(sum);

	if (!folded)
		folded = 0xffff; /* 0 would mean "none" */
	__builtin_memcpy(frame + UDP_CHECKSUM, &folded, 2);
}

void wire_seal_partial(uint8_t *frame)
{
	uint16_t folded = checksum_fold(pseudo_header(frame));

	memcpy(frame + UDP_CHECKSUM, &folded, 2);
}

static bool ip_ok(const uint8_t *head, uint32_t bytes)
{
	return head[IP] == 0x45 && checksum_fold(checksum_add(0, head + IP, UDP - IP)) == 0xffff &&
	       get16(head + IP_LENGTH) == bytes - IP && !(get16(head + IP_FRAGMENT) & 0xbfff);
}

static bool udp_ok(const struct net_frame *frame)
{
	const uint8_t *head = frame->segment[0].data;
	uint64_t sum = pseudo_header(head);
	uint32_t at = UDP;

	if (head[IP_PROTOCOL] != PROTOCOL_UDP || get16(head + UDP_LENGTH) != frame->bytes - UDP ||
	    !get16(head + UDP_CHECKSUM))
		return false;
	if (frame->header->flags & NET_NEEDS_CSUM)
		return true; /* it never was on a wire */
	sum = checksum_add(sum, head + UDP, frame->segment[0].bytes - UDP);
	at = frame->segment[0].bytes;
	for (unsigned i = 1; i < frame->segments; i++) {
		sum = checksum_add_at(sum, at, frame->segment[i].data, frame->segment[i].bytes);
		at += frame->segment[i].bytes;
	}
	return checksum_fold(sum) == 0xffff;
}

enum wire_kind wire_check(const struct net_frame *frame, const struct wire_end *own)
{
	static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	const uint8_t *head = frame->segment[0].data;

	if (frame->segment[0].bytes < WIRE_HEADERS)
		return WIRE_FOREIGN;
	if (get16(head + ETH_TYPE) == TYPE_ARP &&
	    (!memcmp(head, own->mac, 6) || !memcmp(head, broadcast, 6)))
		return WIRE_ARP;
	if (memcmp(head, own->mac, 6) || get16(head + ETH_TYPE) != TYPE_IPV4)
		return WIRE_FOREIGN;
	if (!ip_ok(head, frame->bytes))
		return WIRE_DAMAGED;
	if (get32(head + IP_TO) != own->ip)
		return WIRE_FOREIGN;
	if (!udp_ok(frame))
		return WIRE_DAMAGED;
	switch (get16(head + UDP_TO)) {
	case PORT_CONTROL:
		return WIRE_CONTROL;
	case PORT_STREAM:
		return WIRE_STREAM;
	case PORT_RR:
		return WIRE_RR;
	default:
		return WIRE_FOREIGN;
	}
}

bool wire_copy(const struct net_frame *frame, uint32_t offset, void *to, uint32_t n)
{
	uint8_t *out = to;

	if (offset > frame->bytes || frame->bytes - offset < n)
		return false;
	for (unsigned i = 0; i < frame->segments && n; i++) {
		const struct net_segment *s = &frame->segment[i];
		uint32_t part;

		if (offset >= s->bytes) {
			offset -= s->bytes;
			continue;
		}
		part = s->bytes - offset < n ? s->bytes - offset : n;
		memcpy(out, s->data + offset, part);
		out += part;
		n -= part;
		offset = 0;
	}
	return true;
}

bool wire_pattern_ok(const struct net_frame *frame)
{
	uint32_t skip = WIRE_HEADERS + WIRE_STAMP, at = 0;

	for (unsigned i = 0; i < frame->segments; i++) {
		const struct net_segment *s = &frame->segment[i];

		if (skip >= s->bytes) {
			skip -= s->bytes;
			continue;
		}
		if (at + s->bytes - skip > sizeof(wire_pattern) ||
		    memcmp(s->data + skip, wire_pattern + at, s->bytes - skip))
			return false;
		at += s->bytes - skip;
		skip = 0;
	}
	return true;
}

void wire_sender(const struct net_frame *frame, enum wire_kind kind, struct wire_end *from)
{
	const uint8_t *head = frame->segment[0].data;

	memcpy(from->mac, head + (kind == WIRE_ARP ? ARP_FROM_MAC : ETH_FROM), 6);
	from->ip = get32(head + (kind == WIRE_ARP ? ARP_FROM_IP : IP_FROM));
}

void wire_arp(uint8_t *frame, bool request, const struct wire_end *from, const struct wire_end *to)
{
	memset(frame, 0, WIRE_ARP_FRAME);
	if (request)
		memset(frame + ETH_TO, 0xff, 6);
	else
		memcpy(frame + ETH_TO, to->mac, 6);
	memcpy(frame + ETH_FROM, from->mac, 6);
	put16(frame + ETH_TYPE, TYPE_ARP);
	put32(frame + IP, 0x00010800);	   /* Ethernet, IPv4 */
	put32(frame + IP + 4, 0x06040000); /* lengths; operation */
	put16(frame + ARP_OPERATION, request ? ARP_REQUEST : ARP_REPLY);
	memcpy(frame + ARP_FROM_MAC, from->mac, 6);
	put32(frame + ARP_FROM_IP, from->ip);
	if (!request)
		memcpy(frame + ARP_TO_MAC, to->mac, 6);
	put32(frame + ARP_TO_IP, to->ip);
}

bool wire_arp_asks(const struct net_frame *frame, const struct wire_end *own)
{
	const uint8_t *head = frame->segment[0].data;

	_Static_assert((int)ARP_END <= (int)WIRE_HEADERS, "wire_check() has seen to the length");
	return get16(head + ARP_OPERATION) == ARP_REQUEST && get32(head + ARP_TO_IP) == own->ip;
}

static void swap(uint8_t *a, uint8_t *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint8_t c = a[i];

		a[i] = b[i];
		b[i] = c;
	}
}

void wire_turn(uint8_t *frame)
{
	swap(frame + ETH_TO, frame + ETH_FROM, 6);
	swap(frame + IP_FROM, frame + IP_TO, 4);
	swap(frame + UDP, frame + UDP_TO, 2);
}
