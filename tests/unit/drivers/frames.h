/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP frames for the tests of drivers, and the Internet checksum. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "drivers/nic.h"

enum { TCP_BYTES = 32, L3 = 14 };

static inline uint32_t sum16(const uint8_t *at, uint32_t bytes, uint32_t sum)
{
	for (uint32_t i = 0; i < bytes; i++)
		sum += i % 2 ? at[i] : (uint32_t)at[i] << 8;
	return sum;
}

static inline uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static inline void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static inline uint32_t get16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

static inline uint32_t tcp_at(bool ipv4)
{
	return L3 + (ipv4 ? 20 : 40);
}

/* The sum of the pseudo header of a frame with `bytes` of TCP */
static inline uint32_t pseudo_sum(const uint8_t *frame, bool ipv4, uint32_t bytes)
{
	return ipv4 ? sum16(frame + L3 + 12, 8, 6 + bytes) : sum16(frame + L3 + 8, 32, 6 + bytes);
}

/* A frame with this much payload, as a sender leaves it to its NIC: the checksum is that of the pseudo
 * header. Returns its length. */
static inline uint32_t tcp_frame(uint8_t *frame, bool ipv4, uint32_t payload)
{
	uint32_t tcp = tcp_at(ipv4), bytes = tcp + TCP_BYTES + payload;

	memset(frame, 0x11, tcp + TCP_BYTES);
	put16(frame + 12, ipv4 ? 0x0800 : 0x86dd);
	frame[L3] = ipv4 ? 0x45 : 0x60;
	if (ipv4) {
		put16(frame + L3 + 2, bytes - L3);
		frame[L3 + 9] = 6;
		put16(frame + L3 + 10, 0);
		put16(frame + L3 + 10, (uint16_t)~fold(sum16(frame + L3, 20, 0)));
	} else {
		put16(frame + L3 + 4, bytes - tcp);
		frame[L3 + 6] = 6;
	}
	frame[tcp + 12] = TCP_BYTES / 4 << 4;
	put16(frame + tcp + 16, fold(pseudo_sum(frame, ipv4, bytes - tcp)));
	for (uint32_t i = 0; i < payload; i++)
		frame[tcp + TCP_BYTES + i] = (uint8_t)(i * 7 + i / 251);
	return bytes;
}

/* As the switch describes it */
static inline struct net_header tcp_header(bool ipv4, uint16_t segment)
{
	return (struct net_header){
		.flags = NET_NEEDS_CSUM,
		.gso_type = !segment ? NET_GSO_NONE
			    : ipv4   ? NET_GSO_TCPV4
				     : NET_GSO_TCPV6,
		.hdr_len = (uint16_t)(tcp_at(ipv4) + TCP_BYTES),
		.gso_size = segment,
		.csum_start = (uint16_t)tcp_at(ipv4),
		.csum_offset = 16,
	};
}
