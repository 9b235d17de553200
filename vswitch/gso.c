/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checking of offload requests, and the headers of segments: TCP (RFC 9293) and UDP over IPv4 (RFC
 * 791) and IPv6 (RFC 8200). The headers are read from the switch's own copy. The pseudo header's
 * sum is not made anew but corrected by the length, so that what the sender knows about it (an IPv6
 * routing header's last address) holds.
 */
#include "vswitch/gso.h"

#include "vswitch/csum.h"

/* struct virtio_net_hdr, 5.1.6 */
enum {
	HDR_FLAGS = 0,
	HDR_GSO_TYPE = 1,
	HDR_HDR_LEN = 2,
	HDR_GSO_SIZE = 4,
	HDR_CSUM_START = 6,
	HDR_CSUM_OFFSET = 8,
};
enum { F_NEEDS_CSUM = 1 };
enum { GSO_NONE = 0, GSO_TCPV4 = 1, GSO_TCPV6 = 4, GSO_UDP_L4 = 5 };

enum { ETHERTYPE_AT = 12, ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_IPV6 = 0x86dd };
enum { ETHERTYPE_VLAN = 0x8100, ETHERTYPE_QINQ = 0x88a8, VLAN_TAG_BYTES = 4, VLAN_TAGS = 2 };

enum { IPV4_BYTES = 20, IPV4_LENGTH = 2, IPV4_ID = 4, IPV4_FRAGMENT = 6, IPV4_PROTO = 9 };
enum { IPV4_CSUM = 10, IPV4_FRAGMENT_MASK = 0x3fff /* more fragments, offset */ };
enum { IPV6_BYTES = 40, IPV6_LENGTH = 4, IPV6_NEXT = 6 };
enum { PROTO_TCP = 6, PROTO_UDP = 17 };
enum { IPV6_HOP_BY_HOP = 0, IPV6_ROUTING = 43, IPV6_DEST_OPTIONS = 60 };

enum { TCP_BYTES = 20, TCP_SEQ = 4, TCP_OFFSET = 12, TCP_FLAGS = 13, TCP_CSUM = 16 };
enum { TCP_FIN = 0x01, TCP_PSH = 0x08, TCP_CWR = 0x80 };
enum { UDP_BYTES = 8, UDP_LENGTH = 4, UDP_CSUM = 6 };

/* Nothing that is summed begins before the end of the smallest IP header: a checksum field can thus
 * never be laid over what was checked. */
#define MIN_CSUM_START (ETH_HDR_BYTES + IPV4_BYTES)

/* Where a frame's headers are. */
struct headers {
	uint32_t l3, l4, end;
	uint8_t proto;
	bool ipv6;
};

uint64_t offload_usable(uint64_t features)
{
	if (!(features & VIRTIO_NET_F_CSUM))
		features &= ~OFFLOAD_HOST_GSO;
	if (!(features & VIRTIO_NET_F_GUEST_CSUM))
		features &= ~OFFLOAD_GUEST_GSO;
	return features & OFFLOAD_FEATURES;
}

static bool find_ipv4(const uint8_t *frame, uint32_t have, uint32_t bytes, struct headers *h)
{
	const uint8_t *ip = frame + h->l3;
	uint32_t ihl;

	if (have - h->l3 < IPV4_BYTES || ip[0] >> 4 != 4)
		return false;
	ihl = (ip[0] & 15u) * 4;
	if (ihl < IPV4_BYTES || ihl > have - h->l3)
		return false;
	if (load_be16(ip + IPV4_LENGTH) != bytes - h->l3 ||
	    (load_be16(ip + IPV4_FRAGMENT) & IPV4_FRAGMENT_MASK) != 0)
		return false;
	h->l4 = h->l3 + ihl;
	h->proto = ip[IPV4_PROTO];
	h->ipv6 = false;
	return true;
}

/* RFC 8200, 4: the extension headers that may come before TCP and UDP. A fragment header is none of
 * them. */
static bool find_ipv6(const uint8_t *frame, uint32_t have, uint32_t bytes, struct headers *h)
{
	const uint8_t *ip = frame + h->l3;

	if (have - h->l3 < IPV6_BYTES || ip[0] >> 4 != 6 ||
	    load_be16(ip + IPV6_LENGTH) != bytes - h->l3 - IPV6_BYTES)
		return false;
	h->l4 = h->l3 + IPV6_BYTES;
	h->proto = ip[IPV6_NEXT];
	h->ipv6 = true;
	while (h->proto == IPV6_HOP_BY_HOP || h->proto == IPV6_ROUTING ||
	       h->proto == IPV6_DEST_OPTIONS) {
		if (have - h->l4 < 8)
			return false;
		h->proto = frame[h->l4];
		h->l4 += (frame[h->l4 + 1] + 1u) * 8;
		if (h->l4 > have)
			return false;
	}
	return true;
}

static bool find_l4_end(const uint8_t *frame, uint32_t have, uint32_t bytes, struct headers *h)
{
	const uint8_t *l4 = frame + h->l4;
	uint32_t length;

	if (h->proto == PROTO_UDP) {
		h->end = h->l4 + UDP_BYTES;
		return h->end <= have && load_be16(l4 + UDP_LENGTH) == bytes - h->l4;
	}
	if (h->proto != PROTO_TCP || have - h->l4 < TCP_BYTES)
		return false;
	length = (uint32_t)(l4[TCP_OFFSET] >> 4) * 4;
	h->end = h->l4 + length;
	return length >= TCP_BYTES && h->end <= have;
}

/* Finds the headers of a TCP or UDP frame, of which the first `have` bytes are here, ETH_HDR_BYTES
 * at least. false: it is none, or its headers contradict its length. */
static bool find_headers(const uint8_t *frame, uint32_t have, uint32_t bytes, struct headers *h)
{
	uint32_t at = ETHERTYPE_AT;
	uint16_t type = load_be16(frame + at);

	for (unsigned n = 0; n < VLAN_TAGS && (type == ETHERTYPE_VLAN || type == ETHERTYPE_QINQ);
	     n++) {
		at += VLAN_TAG_BYTES;
		if (at + 2 > have)
			return false;
		type = load_be16(frame + at);
	}
	h->l3 = at + 2;
	if (type == ETHERTYPE_IPV4 ? !find_ipv4(frame, have, bytes, h)
				   : type != ETHERTYPE_IPV6 || !find_ipv6(frame, have, bytes, h))
		return false;
	return find_l4_end(frame, have, bytes, h);
}

/* The receiver's feature for frames of this type with these headers; 0: they do not fit. */
static uint64_t guest_feature(uint8_t gso_type, const struct headers *h)
{
	if (gso_type == GSO_UDP_L4 && h->proto == PROTO_UDP)
		return h->ipv6 ? VIRTIO_NET_F_GUEST_USO6 : VIRTIO_NET_F_GUEST_USO4;
	if (gso_type == GSO_TCPV4 && h->proto == PROTO_TCP && !h->ipv6)
		return VIRTIO_NET_F_GUEST_TSO4;
	if (gso_type == GSO_TCPV6 && h->proto == PROTO_TCP && h->ipv6)
		return VIRTIO_NET_F_GUEST_TSO6;
	return 0;
}

/* The sender's feature. No UFO, no ECN: then the driver cuts such frames itself. */
static uint64_t host_feature(uint8_t gso_type)
{
	switch (gso_type) {
	case GSO_TCPV4:
		return VIRTIO_NET_F_HOST_TSO4;
	case GSO_TCPV6:
		return VIRTIO_NET_F_HOST_TSO6;
	case GSO_UDP_L4:
		return VIRTIO_NET_F_HOST_USO;
	default:
		return 0;
	}
}

/* Only the checksum. */
static enum verdict check_csum(const uint8_t *head, uint32_t bytes, uint32_t mtu,
			       struct offload *out)
{
	uint16_t start = load16(head + HDR_CSUM_START), offset = load16(head + HDR_CSUM_OFFSET);

	if (bytes > (uint64_t)mtu + ETH_SLACK)
		return VERDICT_DROP_LONG;
	if (start < MIN_CSUM_START || (uint32_t)start + offset + 2 > bytes)
		return VERDICT_DROP_BAD_CSUM;
	out->needs = VIRTIO_NET_F_GUEST_CSUM;
	out->gso_type = GSO_NONE;
	out->csum_start = start;
	out->csum_offset = offset;
	out->segments = 1;
	return VERDICT_DELIVERED;
}

static enum verdict check_gso(const uint8_t *head, uint32_t have, uint32_t bytes, uint32_t mtu,
			      struct offload *out)
{
	uint16_t size = load16(head + HDR_GSO_SIZE);
	uint32_t segments;
	struct headers h;

	if (size == 0 || !find_headers(head + VNET_HDR_BYTES, have, bytes, &h))
		return VERDICT_DROP_BAD_GSO;
	out->needs = guest_feature(head[HDR_GSO_TYPE], &h);
	out->udp = h.proto == PROTO_UDP;
	if (out->needs == 0 || load16(head + HDR_CSUM_START) != h.l4 ||
	    load16(head + HDR_CSUM_OFFSET) != (out->udp ? UDP_CSUM : TCP_CSUM))
		return VERDICT_DROP_BAD_GSO;
	segments = (bytes - h.end + size - 1) / size;
	if (segments <= 1)
		return check_csum(head, bytes, mtu, out);
	if (h.end - h.l3 + size > mtu)
		return VERDICT_DROP_LONG;
	if (segments > GSO_MAX_SEGMENTS)
		return VERDICT_DROP_BAD_GSO;
	out->needs |= VIRTIO_NET_F_GUEST_CSUM;
	out->gso_type = head[HDR_GSO_TYPE];
	out->csum_start = (uint16_t)h.l4;
	out->csum_offset = out->udp ? UDP_CSUM : TCP_CSUM;
	out->segments = (uint16_t)segments;
	out->gso_size = size;
	out->l3 = (uint16_t)h.l3;
	out->headers = (uint16_t)h.end;
	out->ipv6 = h.ipv6;
	return VERDICT_DELIVERED;
}

enum verdict offload_check(const uint8_t *head, uint32_t have, uint32_t bytes, uint64_t features,
			   uint32_t mtu, struct offload *out)
{
	uint8_t type = head[HDR_GSO_TYPE];

	if (!(features & VIRTIO_NET_F_CSUM))
		return VERDICT_DROP_BAD_HEADER;
	if (type == GSO_NONE)
		return check_csum(head, bytes, mtu, out);
	if (!(features & host_feature(type)))
		return VERDICT_DROP_BAD_HEADER;
	if (!(head[HDR_FLAGS] & F_NEEDS_CSUM)) /* 5.1.6.2.1 */
		return VERDICT_DROP_BAD_GSO;
	return check_gso(head, have, bytes, mtu, out);
}

void offload_set_rx_header(uint8_t head[VNET_HDR_BYTES], const struct offload *off)
{
	head[HDR_FLAGS] = F_NEEDS_CSUM;
	store16(head + HDR_CSUM_START, off->csum_start);
	store16(head + HDR_CSUM_OFFSET, off->csum_offset);
	if (off->gso_type == GSO_NONE)
		return;
	head[HDR_GSO_TYPE] = off->gso_type;
	store16(head + HDR_HDR_LEN, off->headers);
	store16(head + HDR_GSO_SIZE, off->gso_size);
}

static void segment_ipv4(uint8_t *ip, uint32_t ip_bytes, uint32_t ihl, unsigned n)
{
	store_be16(ip + IPV4_LENGTH, (uint16_t)ip_bytes);
	store_be16(ip + IPV4_ID, (uint16_t)(load_be16(ip + IPV4_ID) + n));
	store16(ip + IPV4_CSUM, 0);
	store16(ip + IPV4_CSUM, (uint16_t)~csum_bytes(ip, ihl));
}

/* RFC 9293, 3.1: what ends the data ends it in the last segment, what comes first comes once. */
static void segment_tcp(uint8_t *tcp, const struct offload *off, unsigned n)
{
	uint8_t drop = n + 1u < off->segments ? TCP_FIN | TCP_PSH : 0;

	if (n > 0)
		drop |= TCP_CWR; /* RFC 3168, 6.1.2 */
	tcp[TCP_FLAGS] &= (uint8_t)~drop;
	store_be32(tcp + TCP_SEQ, load_be32(tcp + TCP_SEQ) + n * (uint32_t)off->gso_size);
}

void gso_segment_head(uint8_t *out, const uint8_t *head, const struct offload *off, uint32_t bytes,
		      unsigned n, uint32_t payload)
{
	uint8_t *ip = out + VNET_HDR_BYTES + off->l3;
	uint8_t *l4 = out + VNET_HDR_BYTES + off->csum_start;
	uint32_t l4_bytes = off->headers - off->csum_start + payload;
	uint32_t ip_bytes = off->headers - off->l3 + payload;
	uint8_t *field = l4 + off->csum_offset;
	uint64_t pseudo;

	for (uint32_t i = 0; i < off->headers; i++)
		out[VNET_HDR_BYTES + i] = head[VNET_HDR_BYTES + i];
	if (off->ipv6)
		store_be16(ip + IPV6_LENGTH, (uint16_t)(ip_bytes - IPV6_BYTES));
	else
		segment_ipv4(ip, ip_bytes, (uint32_t)(l4 - ip), n);
	if (off->udp)
		store_be16(l4 + UDP_LENGTH, (uint16_t)l4_bytes);
	else
		segment_tcp(l4, off, n);
	/* the pseudo header has the length of all of the frame: - that, + this one's */
	pseudo = (uint64_t)load16(field) + csum_be16((uint16_t) ~(bytes - off->csum_start)) +
		 csum_be16((uint16_t)l4_bytes);
	store16(field, csum_fold(pseudo));
	store64(out, 0);
	store32(out + 8, 0);
	out[HDR_FLAGS] = F_NEEDS_CSUM;
	store16(out + HDR_CSUM_START, off->csum_start);
	store16(out + HDR_CSUM_OFFSET, off->csum_offset);
}

void gso_segment_csum(uint8_t *out, const struct offload *off, uint16_t sum)
{
	uint8_t *l4 = out + VNET_HDR_BYTES + off->csum_start;
	uint64_t all = (uint64_t)csum_bytes(l4, off->headers - off->csum_start) + sum;

	store16(l4 + off->csum_offset, csum_finish(csum_fold(all)));
	store64(out, 0); /* nothing is left to do */
}
