/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Uplinks, which lead from a driver domain to the switch. They are virtio-net devices with this PCI
 * subsystem device ID: by it a driver domain tells them from NICs. Uplinks and NICs belong together
 * by their order on the bus.
 *
 * Buffer reuse: with UPLINK_F_REUSE accepted, and a split receive queue, the switch may fill a receive
 * buffer with a frame that is lent, which the flag UPLINK_LENT in its virtio-net header says. Then there
 * follow, in that buffer:
 *     hdr_len bytes (of the header), the frame's beginning with all protocol headers;
 *     from uplink_pieces_at(hdr_len) on, up to the used length, struct uplink_piece: the rest of it,
 *     where the domain's devices can read it. No CPU of the domain can.
 * The frame is the domain's until it offers that buffer again, by the same descriptor; then the sender
 * has its memory back. num_buffers is 1, if a buffer has room for UPLINK_LENT_BYTES.
 */
#pragma once

#include <stdint.h>

#define UPLINK_PCI_SUBSYSTEM 0x4c48u /* "LH" */

/* Of the bits that are a device type's own (virtio 1.2, 2.2), one that virtio-net does not use. */
#define UPLINK_F_REUSE	  (1ull << 58)
#define UPLINK_LENT	  0x80u /* struct virtio_net_hdr, flags */
#define UPLINK_PIECES	  17u	/* at most: as many as Linux cuts a packet into */
#define UPLINK_LENT_BYTES 528u	/* at most */

struct uplink_piece {
	uint64_t address; /* for devices: never 0 */
	uint32_t bytes;
	uint32_t zero;
};
_Static_assert(sizeof(struct uplink_piece) == 16, "in receive buffers");

/* From the beginning of the virtio-net header, of 12 bytes. */
static inline uint32_t uplink_pieces_at(uint32_t hdr_len)
{
	return (12 + hdr_len + 7) & ~7u;
}
