/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a sender leaves to the device (virtio 1.2, 5.1.6.2): a checksum, and the cutting of one
 * frame of up to 64 KiB into many (generic segmentation offload). A receiver that has the features
 * gets the frame whole and unsummed, with a header of ours that says so. For another one, the frame
 * is cut, and summed, while it is copied. Everything in the sender's header is checked against the
 * packet's own headers; hdr_len is a hint (5.1.6.2.2) that nobody looks at.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lasthop/verdict.h"
#include "vswitch/bytes.h"
#include "vswitch/frame.h"
#include "vswitch/switch.h"

/* A packet's head[]: the virtio-net header and the beginning of the frame. All headers of a frame
 * to be segmented must lie in it: VLAN tags, 60 bytes each of IPv4 and TCP, or 126 bytes of IPv6
 * extension headers. */
#define HEAD_ROOM 256u

/* A frame may become so many: 64 KiB at the least MSS that Linux ever uses. */
#define GSO_MAX_SEGMENTS 8192u

#define OFFLOAD_HOST_GSO (VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6 | VIRTIO_NET_F_HOST_USO)
#define OFFLOAD_GUEST_GSO                                                                          \
	(VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6 | VIRTIO_NET_F_GUEST_USO4 |             \
	 VIRTIO_NET_F_GUEST_USO6)
#define OFFLOAD_FEATURES                                                                           \
	(VIRTIO_NET_F_CSUM | VIRTIO_NET_F_GUEST_CSUM | OFFLOAD_HOST_GSO | OFFLOAD_GUEST_GSO)

/* The request, checked. Offsets count from the beginning of the frame. */
struct offload {
	uint64_t needs;	      /* features of a receiver that takes the packet as it is; 0: any */
	uint16_t csum_start;  /* 0: no checksum asked for; else what is summed begins here */
	uint16_t csum_offset; /* from there to the checksum field */
	uint16_t segments; /* it is worth; 1: nothing to cut. Only then the rest has a meaning: */
	uint16_t gso_size; /* payload of a segment, but the last */
	uint16_t l3;	   /* IP header */
	uint16_t headers;  /* bytes of all headers: the payload begins here */
	uint8_t gso_type;
	bool ipv6, udp;
};

/* Does this virtio-net header ask for anything? Flags that are not the driver's to set, or unknown,
 * are ignored (5.1.6.2.1). */
static inline bool offload_asked(const uint8_t head[VNET_HDR_BYTES])
{
	return (load16(head) & 0xff01) != 0; /* gso_type, and of the flags NEEDS_CSUM */
}

static inline bool offload_asks_gso(const uint8_t head[VNET_HDR_BYTES])
{
	return (load16(head) & 0xff00) != 0;
}

/* Without the features it builds on (5.1.3.1), a feature is as good as not negotiated. */
uint64_t offload_usable(uint64_t features);

/*
 * Checks a request. head: virtio-net header and the first `have` bytes of the frame of `bytes`: 14
 * at least, and for GSO all there are, or as many as fit into HEAD_ROOM. features: offload_usable()
 * of the sender's. VERDICT_DELIVERED: *out is filled.
 */
enum verdict offload_check(const uint8_t *head, uint32_t have, uint32_t bytes, uint64_t features,
			   uint32_t mtu, struct offload *out);

/* Writes the receiver's virtio-net header for a packet that it takes as it is. */
void offload_set_rx_header(uint8_t head[VNET_HDR_BYTES], const struct offload *off);

/* Payload bytes of segment n of a frame of `bytes`. */
static inline uint32_t gso_payload(const struct offload *off, uint32_t bytes, unsigned n)
{
	uint32_t left = bytes - off->headers - n * (uint32_t)off->gso_size;

	return left < off->gso_size ? left : off->gso_size;
}

/*
 * Writes into out[] the headers of segment n, made from those in head[], behind a virtio-net header
 * that asks the receiver for the checksum: for that, the checksum field has the pseudo header's
 * sum. payload: gso_payload(). out: VNET_HDR_BYTES + headers.
 */
void gso_segment_head(uint8_t *out, const uint8_t *head, const struct offload *off, uint32_t bytes,
		      unsigned n, uint32_t payload);

/* Puts the checksum in where gso_segment_head() left it to the receiver. sum: of the payload. */
void gso_segment_csum(uint8_t *out, const struct offload *off, uint16_t sum);
