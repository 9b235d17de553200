/* SPDX-License-Identifier: BSD-2-Clause */
/* See offload.h. Tested on the host. Frames come from guests: nothing in them is believed. */
#include "drivers/offload.h"

enum { ETHER_TYPE_AT = 12, ETHER_HEADER = 14, VLAN_BYTES = 4, VLAN_TAGS = 2 };
enum { TYPE_IPV4 = 0x0800, TYPE_IPV6 = 0x86dd, TYPE_VLAN = 0x8100, TYPE_SERVICE_VLAN = 0x88a8 };
enum { IPV4_LENGTH = 2, IPV4_PROTOCOL = 9, IPV4_CHECKSUM = 10, IPV4_ADDRESSES = 12, IPV4_MIN = 20 };
enum { IPV6_LENGTH = 4, IPV6_ADDRESSES = 8, IPV6_HEADER = 40 };
enum { TCP_OFFSET = 12, TCP_CHECKSUM = 16, TCP_MIN = 20, PROTOCOL_TCP = 6 };

static uint16_t load_be16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void store_be16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* Where the network header begins, behind VLAN tags; *type is what it is. 0: not within `bytes`. */
static uint16_t network_header(const uint8_t *frame, uint32_t bytes, uint16_t *type)
{
	uint16_t at = ETHER_HEADER;

	for (unsigned tags = 0; tags <= VLAN_TAGS && at <= bytes; tags++, at += VLAN_BYTES) {
		*type = load_be16(frame + at - 2);
		if (*type != TYPE_VLAN && *type != TYPE_SERVICE_VLAN)
			return at;
	}
	return 0;
}

static bool ip_fits(const struct offload *o, const uint8_t *frame, uint16_t type)
{
	const uint8_t *ip = frame + o->l3;

	if (!o->ipv4) /* extension headers may be in between */
		return type == TYPE_IPV6 && o->l3 + IPV6_HEADER <= o->l4 && ip[0] >> 4 == 6;
	return type == TYPE_IPV4 && o->l3 + IPV4_MIN <= o->l4 && ip[0] >> 4 == 4 &&
	       o->l3 + 4u * (ip[0] & 15) == o->l4 && ip[IPV4_PROTOCOL] == PROTOCOL_TCP;
}

static bool parse_tso(const struct nic_frame *frame, struct offload *o)
{
	const uint8_t *data = frame->segment[0].data;
	uint32_t bytes = frame->segment[0].bytes;
	uint16_t type = 0;

	o->l3 = network_header(data, bytes, &type);
	if (!o->l3 || o->csum_at != o->l4 + TCP_CHECKSUM || o->l4 + TCP_MIN > bytes ||
	    !ip_fits(o, data, type))
		return false;
	o->headers = o->l4 + 4u * (data[o->l4 + TCP_OFFSET] >> 4);
	o->segment = frame->header.gso_size;
	if (o->headers < o->l4 + TCP_MIN || o->headers > bytes || frame->bytes <= o->headers)
		return false;
	o->payload = frame->bytes - o->headers;
	return o->segment != 0;
}

bool offload_parse(const struct nic_frame *frame, unsigned agreed, struct offload *o)
{
	const struct net_header *h = &frame->header;
	unsigned needs = NIC_CSUM;

	*o = (struct offload){ .csum = h->flags & NET_NEEDS_CSUM };
	if (h->gso_type == NET_GSO_TCPV4 || h->gso_type == NET_GSO_TCPV6) {
		o->tso = true;
		o->ipv4 = h->gso_type == NET_GSO_TCPV4;
		needs |= o->ipv4 ? NIC_TSO4 : NIC_TSO6;
	} else if (h->gso_type != NET_GSO_NONE) {
		return false;
	}
	if (!o->csum)
		return !o->tso;
	if ((agreed & needs) != needs || h->csum_start < ETHER_HEADER ||
	    (uint32_t)h->csum_start + h->csum_offset + 2 > frame->bytes)
		return false;
	o->l4 = h->csum_start;
	o->csum_at = (uint32_t)h->csum_start + h->csum_offset;
	return !o->tso || parse_tso(frame, o);
}

static uint32_t add16(const uint8_t *at, unsigned bytes, uint32_t sum)
{
	for (unsigned i = 0; i < bytes; i += 2)
		sum += load_be16(at + i);
	return sum;
}

void offload_clear_lengths(struct nic_frame *frame, const struct offload *o)
{
	uint8_t *ip = frame->segment[0].data + o->l3, *tcp = frame->segment[0].data + o->l4;
	uint32_t sum = PROTOCOL_TCP;

	if (o->ipv4) {
		sum = add16(ip + IPV4_ADDRESSES, 8, sum);
		store_be16(ip + IPV4_LENGTH, 0);
		store_be16(ip + IPV4_CHECKSUM, 0);
	} else {
		sum = add16(ip + IPV6_ADDRESSES, 32, sum);
		store_be16(ip + IPV6_LENGTH, 0);
	}
	sum = (sum & 0xffff) + (sum >> 16);
	store_be16(tcp + TCP_CHECKSUM, (sum & 0xffff) + (sum >> 16));
}
