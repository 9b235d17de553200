/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks of virtio-net and Ethernet header. No offload is negotiated in this version, so the sender
 * must leave `flags` and `gso_type` zero (virtio 1.2, 5.1.6.2); the header's other fields mean
 * nothing then.
 */
#include "vswitch/frame.h"

#include <string.h>

/* struct virtio_net_hdr, 5.1.6: offsets of what is used here */
enum { HDR_FLAGS = 0, HDR_GSO_TYPE = 1, HDR_NUM_BUFFERS = 10 };

enum verdict frame_check_length(uint64_t chain_bytes, uint32_t mtu)
{
	if (chain_bytes < VNET_HDR_BYTES)
		return VERDICT_DROP_BAD_HEADER;
	if (chain_bytes < HEAD_BYTES)
		return VERDICT_DROP_SHORT;
	if (chain_bytes > (uint64_t)VNET_HDR_BYTES + ETH_SLACK + mtu)
		return VERDICT_DROP_LONG;
	return VERDICT_DELIVERED;
}

enum verdict frame_check_head(const uint8_t head[HEAD_BYTES])
{
	uint64_t src = frame_src(head);

	if (head[HDR_FLAGS] != 0 || head[HDR_GSO_TYPE] != 0)
		return VERDICT_DROP_BAD_HEADER;
	if (src == 0 || mac_is_group(src))
		return VERDICT_DROP_BAD_SOURCE;
	return VERDICT_DELIVERED;
}

void frame_set_rx_header(uint8_t head[HEAD_BYTES], uint16_t num_buffers)
{
	memset(head, 0, VNET_HDR_BYTES);
	head[HDR_NUM_BUFFERS] = (uint8_t)num_buffers;
	head[HDR_NUM_BUFFERS + 1] = (uint8_t)(num_buffers >> 8);
}
