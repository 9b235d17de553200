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

#define VNET_HDR_BYTES 12u
#define ETH_HDR_BYTES  14u
#define HEAD_BYTES     (VNET_HDR_BYTES + ETH_HDR_BYTES)
#define ETH_SLACK      18u /* Ethernet header and one VLAN tag, on top of the MTU */

/* A MAC address as a number, first byte most significant. */
static inline uint64_t mac_load(const uint8_t *p)
{
	return (uint64_t)p[0] << 40 | (uint64_t)p[1] << 32 | (uint64_t)p[2] << 24 |
	       (uint64_t)p[3] << 16 | (uint64_t)p[4] << 8 | p[5];
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

/* By length alone, before anything is read. chain_bytes: header and frame; mtu as in port_config.
 * VERDICT_DELIVERED: go on. */
enum verdict frame_check_length(uint64_t chain_bytes, uint32_t mtu);

/* By content of the two headers. VERDICT_DELIVERED: go on. */
enum verdict frame_check_head(const uint8_t head[HEAD_BYTES]);

/* Turns the sender's virtio-net header into the receiver's: nothing offloaded. */
void frame_set_rx_header(uint8_t head[HEAD_BYTES], uint16_t num_buffers);
