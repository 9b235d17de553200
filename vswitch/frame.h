/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the switch reads of a packet: the virtio-net header (virtio 1.2, 5.1.6) and the Ethernet
 * header, in a copy of its own (struct packet's head), so that what was checked is what is
 * delivered, whatever the sender writes meanwhile.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lasthop/verdict.h"
#include "vswitch/bytes.h"

#define VNET_HDR_BYTES 12u
#define ETH_HDR_BYTES  14u
#define HEAD_BYTES     (VNET_HDR_BYTES + ETH_HDR_BYTES)
#define ETH_SLACK      18u /* Ethernet header and one VLAN tag, on top of the MTU */

/* A MAC address as a number, first byte most significant. */
static inline uint64_t mac_load(const uint8_t *p)
{
	return (uint64_t)load_be32(p) << 16 | load_be16(p + 4);
}

/* Multicast or broadcast: the first byte's lowest bit. */
static inline bool mac_is_group(uint64_t mac)
{
	return (mac >> 40 & 1) != 0;
}

static inline uint64_t frame_dst(const uint8_t *head)
{
	return mac_load(head + VNET_HDR_BYTES);
}

static inline uint64_t frame_src(const uint8_t *head)
{
	return mac_load(head + VNET_HDR_BYTES + 6);
}

/* By length alone, before anything is read. chain_bytes: header and frame; most: of a frame, Ethernet
 * header included. VERDICT_DELIVERED: go on. */
static inline enum verdict frame_check_length(uint64_t chain_bytes, uint32_t most)
{
	if (chain_bytes < HEAD_BYTES)
		return chain_bytes < VNET_HDR_BYTES ? VERDICT_DROP_BAD_HEADER : VERDICT_DROP_SHORT;
	if (chain_bytes - VNET_HDR_BYTES > most)
		return VERDICT_DROP_LONG;
	return VERDICT_DELIVERED;
}

/* By content of the Ethernet header. VERDICT_DELIVERED: go on. */
static inline enum verdict frame_check_head(const uint8_t head[HEAD_BYTES])
{
	uint64_t src = frame_src(head);

	return src == 0 || mac_is_group(src) ? VERDICT_DROP_BAD_SOURCE : VERDICT_DELIVERED;
}

/* The receiver's virtio-net header in the place of the sender's: nothing offloaded. */
static inline void frame_clear_rx_header(uint8_t head[VNET_HDR_BYTES])
{
	store64(head, 0);
	store32(head + 8, 0);
}

/* In how many of the driver's buffers the packet lies. */
static inline void frame_set_num_buffers(uint8_t head[VNET_HDR_BYTES], uint16_t n)
{
	store16(head + 10, n);
}
