/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A request for an offload from the fuzzer: what is accepted must lie within the frame, and the
 * segments made of it must cover its payload once, each within the MTU, with right lengths and
 * checksums. Input: MTU (2 bytes), features (1: bit n allows the nth), mode (1). Mode 16 and above: a
 * number of bytes beyond what is read (2), then virtio-net header and frame as they are. Below: a
 * good request of one of 16 kinds, payload (2) and gso_size (2), then what is wrong with it: pairs of
 * a place and its byte.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/vswitch/packet.h"
#include "vswitch/csum.h"
#include "vswitch/gso.h"

#define PAYLOAD 0x5a /* each byte of it, in segments */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void require(bool ok)
{
	if (!ok)
		abort();
}

static uint64_t features_of(uint8_t bits)
{
	static const uint64_t list[] = { VIRTIO_NET_F_CSUM, VIRTIO_NET_F_HOST_TSO4,
					 VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_HOST_USO };
	uint64_t features = 0;

	for (unsigned i = 0; i < 4; i++)
		if (bits >> i & 1)
			features |= list[i];
	return offload_usable(features);
}

/* Sum of a payload of n bytes PAYLOAD, in the byte order of memory. */
static uint16_t payload_sum(uint32_t n)
{
	static uint8_t payload[65536];

	memset(payload, PAYLOAD, n);
	return csum_bytes(payload, n);
}

static void check_lengths(const uint8_t *f, const struct offload *off, uint32_t bytes)
{
	const uint8_t *ip = f + off->l3, *l4 = f + off->csum_start;

	if (off->ipv6)
		require(pkt_get16(ip + 4) == bytes - off->l3 - 40);
	else
		require(pkt_get16(ip + 2) == bytes - off->l3 &&
			pkt_sum(0, ip, off->csum_start - off->l3) == 0xffff);
	if (off->udp)
		require(pkt_get16(l4 + 4) == bytes - off->csum_start);
}

/* The frame's checksum field has a pseudo header's sum, whatever that is; a segment's checksum must
 * be right for that sum with its own length in the place of the frame's. */
static void check_csum(const uint8_t *f, const struct offload *off, uint32_t bytes,
		       const uint8_t *frame, uint32_t frame_bytes, uint32_t payload)
{
	uint32_t length = bytes - off->csum_start;
	uint32_t sum = pkt_get16(frame + off->csum_start + off->csum_offset);

	sum += (uint16_t) ~(frame_bytes - off->csum_start);
	sum = pkt_sum(sum + length, f + off->csum_start, off->headers - off->csum_start);
	for (uint32_t i = 0; i < payload; i++)
		sum += (off->headers - off->csum_start + i) % 2 ? PAYLOAD : PAYLOAD << 8;
	require(pkt_sum(sum, NULL, 0) == 0xffff);
	require(pkt_get16(f + off->csum_start + off->csum_offset) != 0 || !off->udp);
}

static void segment(const uint8_t *head, const struct offload *off, uint32_t bytes, unsigned n,
		    uint32_t mtu)
{
	uint32_t payload = gso_payload(off, bytes, n);
	uint8_t *out = malloc(VNET_HDR_BYTES + off->headers); /* exactly: for ASan */

	require(payload > 0 && payload <= off->gso_size);
	require(off->headers - off->l3 + payload <= mtu);
	gso_segment_head(out, head, off, bytes, n, payload);
	require(memcmp(out + VNET_HDR_BYTES, head + VNET_HDR_BYTES, off->l3) == 0);
	check_lengths(out + VNET_HDR_BYTES, off, off->headers + payload);
	gso_segment_csum(out, off, payload_sum(payload));
	check_csum(out + VNET_HDR_BYTES, off, off->headers + payload, head + VNET_HDR_BYTES, bytes,
		   payload);
	free(out);
}

static void accepted(const uint8_t *head, uint32_t have, const struct offload *off, uint32_t bytes,
		     uint32_t mtu)
{
	uint32_t covered = 0;

	require((off->needs & VIRTIO_NET_F_GUEST_CSUM) != 0);
	require(off->csum_start >= 34 && (uint32_t)off->csum_start + off->csum_offset + 2 <= bytes);
	if (off->segments == 1) {
		require(bytes <= mtu + ETH_SLACK);
		return;
	}
	require(off->segments > 1 && off->segments <= GSO_MAX_SEGMENTS);
	require(off->headers <= have && off->csum_start + off->csum_offset + 2u <= off->headers);
	for (unsigned n = 0; n < off->segments; n++) {
		covered += gso_payload(off, bytes, n);
		if (n < 3 || n + 1u == off->segments)
			segment(head, off, bytes, n, mtu);
	}
	require(covered == bytes - off->headers);
}

/* The request from the fuzzer in head[HEAD_ROOM]: bytes read of the frame, 0 for none. */
static uint32_t raw(uint8_t *head, const uint8_t *data, size_t size, uint32_t *bytes)
{
	if (size < 2 + HEAD_BYTES || size > 2 + HEAD_ROOM)
		return 0;
	memcpy(head, data + 2, size - 2);
	*bytes = (uint32_t)size - 2 - VNET_HDR_BYTES;
	if (size < 2 + HEAD_ROOM)
		return *bytes;
	*bytes += pkt_get16(data); /* what is not read lies behind all that fits in */
	return HEAD_ROOM - VNET_HDR_BYTES;
}

static uint32_t made(uint8_t *head, unsigned mode, const uint8_t *data, size_t size,
		     uint32_t *bytes)
{
	static uint8_t frame[65536 + 256];
	struct pkt_kind kind = { .ipv6 = mode & 1, .udp = mode & 2, .vlan = mode & 4 };
	uint32_t have;

	if (size < 4)
		return 0;
	if (mode & 8)
		kind.ip_options = kind.ipv6 ? 24 : 12;
	*bytes = pkt_make(frame, &kind, 2, 1, pkt_get16(data), 1, 0xff);
	have = *bytes < HEAD_ROOM - VNET_HDR_BYTES ? *bytes : HEAD_ROOM - VNET_HDR_BYTES;
	pkt_header(head, &kind, pkt_get16(data + 2));
	memcpy(head + VNET_HDR_BYTES, frame, have);
	for (size_t i = 4; i + 1 < size; i += 2)
		if (data[i] < VNET_HDR_BYTES + have)
			head[data[i]] = data[i + 1];
	return have;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t room[HEAD_ROOM], *head;
	uint32_t mtu, have, bytes = 0;
	struct offload off;

	if (size < 4)
		return 0;
	mtu = pkt_get16(data);
	have = data[3] < 16 ? made(room, data[3], data + 4, size - 4, &bytes)
			    : raw(room, data + 4, size - 4, &bytes);
	if (have == 0 || bytes > VS_MAX_FRAME)
		return 0;
	head = malloc(VNET_HDR_BYTES + have); /* exactly: for ASan */
	memcpy(head, room, VNET_HDR_BYTES + have);
	if (offload_asked(head) &&
	    offload_check(head, have, bytes, features_of(data[2]), mtu, &off) == VERDICT_DELIVERED)
		accepted(head, have, &off, bytes, mtu);
	free(head);
	return 0;
}
