/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TCP and UDP packets for the tests of the offloads, as a driver makes them and as a receiver that
 * trusts nobody takes them. Written with none of the data plane's code: bytes are summed one by one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { PKT_HDR = 12, PKT_NEEDS_CSUM = 1, PKT_TCPV4 = 1, PKT_TCPV6 = 4, PKT_UDP_L4 = 5 };
enum { PKT_FIN = 1, PKT_PSH = 8, PKT_ACK = 16, PKT_CWR = 128 };

struct pkt_kind {
	bool ipv6, udp, vlan;
	unsigned ip_options;  /* bytes: IPv4 options (4..40), or IPv6 extension headers (8..) */
	unsigned tcp_options; /* bytes */
};

static inline uint16_t pkt_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline void pkt_put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline uint32_t pkt_get32(const uint8_t *p)
{
	return (uint32_t)pkt_get16(p) << 16 | pkt_get16(p + 2);
}

static inline uint32_t pkt_sum(uint32_t sum, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static inline unsigned pkt_l3(const struct pkt_kind *k)
{
	return 14 + (k->vlan ? 4u : 0);
}

static inline unsigned pkt_l4(const struct pkt_kind *k)
{
	return pkt_l3(k) + (k->ipv6 ? 40u : 20u) + k->ip_options;
}

static inline unsigned pkt_headers(const struct pkt_kind *k)
{
	return pkt_l4(k) + (k->udp ? 8u : 20u + k->tcp_options);
}

static inline unsigned pkt_csum_at(const struct pkt_kind *k)
{
	return pkt_l4(k) + (k->udp ? 6u : 16u);
}

static inline uint8_t pkt_byte(uint32_t seed, uint32_t i)
{
	return (uint8_t)((seed * 40503u + i * 2654435761u) >> 13);
}

/* Sum of the pseudo header. */
static inline uint32_t pkt_pseudo(const uint8_t *ip, bool ipv6, unsigned proto, uint32_t l4_bytes)
{
	uint8_t tail[8] = {
		0, 0, (uint8_t)(l4_bytes >> 8), (uint8_t)l4_bytes, 0, 0, 0, (uint8_t)proto
	};

	return pkt_sum(pkt_sum(0, ip + (ipv6 ? 8 : 12), ipv6 ? 32 : 8), tail, 8);
}

static inline void pkt_ip(uint8_t *ip, const struct pkt_kind *k, unsigned l4_bytes, uint32_t seed)
{
	unsigned proto = k->udp ? 17 : 6;

	if (k->ipv6) {
		memset(ip, 0, 40 + k->ip_options);
		ip[0] = 0x60;
		pkt_put16(ip + 4, k->ip_options + l4_bytes);
		ip[6] = k->ip_options ? 0 : (uint8_t)proto;
		ip[7] = 64;
		for (unsigned i = 8; i < 40; i++)
			ip[i] = pkt_byte(seed, i + 1000);
		if (k->ip_options) {
			/* one hop-by-hop header, or that and destination options */
			unsigned first = k->ip_options > 8 ? 8 : k->ip_options;

			ip[40] = first < k->ip_options ? 60 : (uint8_t)proto;
			if (first < k->ip_options) {
				ip[48] = (uint8_t)proto;
				ip[49] = (uint8_t)((k->ip_options - 8) / 8 - 1);
			}
		}
		return;
	}
	memset(ip, 1, 20 + k->ip_options); /* options: no operation */
	ip[0] = (uint8_t)(0x45 + k->ip_options / 4);
	ip[1] = 0;
	pkt_put16(ip + 2, 20 + k->ip_options + l4_bytes);
	pkt_put16(ip + 4, seed & 0xffff);
	pkt_put16(ip + 6, 0x4000);
	ip[8] = 64;
	ip[9] = (uint8_t)proto;
	for (unsigned i = 12; i < 20; i++)
		ip[i] = pkt_byte(seed, i + 1000);
	pkt_put16(ip + 10, 0);
	pkt_put16(ip + 10, ~pkt_sum(0, ip, 20 + k->ip_options) & 0xffff);
}

/* A frame with `payload` bytes and, in its checksum field, the pseudo header's sum. dst, src: last
 * byte of the addresses 52:54:0:0:0:n, as frame_make(); 0xff: broadcast. Its length. */
static inline uint32_t pkt_make(uint8_t *f, const struct pkt_kind *k, unsigned dst, unsigned src,
				uint32_t payload, uint32_t seed, uint8_t flags)
{
	unsigned l3 = pkt_l3(k), l4 = pkt_l4(k), headers = pkt_headers(k);
	uint32_t l4_bytes = headers - l4 + payload;

	memcpy(f, "\x52\x54\0\0\0\0\x52\x54\0\0\0\0", 12);
	f[5] = (uint8_t)dst;
	if (dst == 0xff)
		memset(f, 0xff, 6);
	f[11] = (uint8_t)src;
	if (k->vlan) {
		pkt_put16(f + 12, 0x8100);
		pkt_put16(f + 14, 0x2007);
	}
	pkt_put16(f + l3 - 2, k->ipv6 ? 0x86dd : 0x0800);
	pkt_ip(f + l3, k, l4_bytes, seed);
	memset(f + l4, 1, headers - l4);
	pkt_put16(f + l4, 4000 + seed % 1000);
	pkt_put16(f + l4 + 2, 5000);
	if (k->udp) {
		pkt_put16(f + l4 + 4, l4_bytes);
	} else {
		pkt_put16(f + l4 + 4, seed & 0xffff);
		pkt_put16(f + l4 + 6, 0xff00);
		f[l4 + 12] = (uint8_t)((20 + k->tcp_options) / 4 << 4);
		f[l4 + 13] = flags;
	}
	for (uint32_t i = 0; i < payload; i++)
		f[headers + i] = pkt_byte(seed, i);
	pkt_put16(f + pkt_csum_at(k), pkt_pseudo(f + l3, k->ipv6, k->udp ? 17 : 6, l4_bytes));
	return headers + payload;
}

/* A virtio-net header that asks for the checksum, and with gso_size for segments. */
static inline void pkt_header(uint8_t h[PKT_HDR], const struct pkt_kind *k, unsigned gso_size)
{
	memset(h, 0, PKT_HDR);
	h[0] = PKT_NEEDS_CSUM;
	if (gso_size)
		h[1] = k->udp ? PKT_UDP_L4 : k->ipv6 ? PKT_TCPV6 : PKT_TCPV4;
	h[2] = (uint8_t)pkt_headers(k); /* hdr_len */
	h[4] = (uint8_t)gso_size;
	h[5] = (uint8_t)(gso_size >> 8);
	h[6] = (uint8_t)pkt_l4(k);
	h[8] = k->udp ? 6 : 16;
}

/* Puts the checksum in, as virtio-net's header asks for it: from `start` to the end. */
static inline void pkt_complete(uint8_t *f, uint32_t bytes, unsigned start, unsigned offset)
{
	uint32_t sum = ~pkt_sum(0, f + start, bytes - start) & 0xffff;

	pkt_put16(f + start + offset, sum ? sum : 0xffff);
}

/* What is wrong with a frame: which field, what it is and what it should be. */
struct pkt_fault {
	const char *field; /* NULL: all is right */
	uint32_t is, should;
};

static inline struct pkt_fault pkt_wrong_length(const uint8_t *f, uint32_t bytes,
						const struct pkt_kind *k)
{
	unsigned l3 = pkt_l3(k), l4 = pkt_l4(k);
	uint32_t ip_is = pkt_get16(f + l3 + (k->ipv6 ? 4 : 2));
	uint32_t ip_should = bytes - l3 - (k->ipv6 ? 40 : 0), l4_should = bytes - l4;

	if (ip_is != ip_should)
		return (struct pkt_fault){ "IP length", ip_is, ip_should };
	if (k->udp && pkt_get16(f + l4 + 4) != l4_should)
		return (struct pkt_fault){ "UDP length", pkt_get16(f + l4 + 4), l4_should };
	return (struct pkt_fault){ NULL, 0, 0 };
}

/* What the 16 bits at `field` must be, one's complement, for all to add up to 0xffff. */
static inline struct pkt_fault pkt_wrong_sum(const char *name, const uint8_t *field, uint32_t sum)
{
	uint32_t is = pkt_get16(field);

	if (sum == 0xffff)
		return (struct pkt_fault){ NULL, 0, 0 };
	return (struct pkt_fault){ name, is, ~pkt_sum(sum + (0xffff - is), NULL, 0) & 0xffff };
}

/* The first length or checksum of a frame of this kind that is not right. */
static inline struct pkt_fault pkt_fault(const uint8_t *f, uint32_t bytes, const struct pkt_kind *k)
{
	unsigned l3 = pkt_l3(k), l4 = pkt_l4(k);
	const uint8_t *field = f + pkt_csum_at(k);
	struct pkt_fault fault;
	uint32_t sum;

	if (bytes < pkt_headers(k))
		return (struct pkt_fault){ "bytes in all", bytes, pkt_headers(k) };
	fault = pkt_wrong_length(f, bytes, k);
	if (!fault.field && !k->ipv6)
		fault = pkt_wrong_sum("IP checksum", f + l3 + 10,
				      pkt_sum(0, f + l3, 20 + k->ip_options));
	if (fault.field)
		return fault;
	sum = pkt_pseudo(f + l3, k->ipv6, k->udp ? 17 : 6, bytes - l4);
	fault = pkt_wrong_sum("TCP or UDP checksum", field, pkt_sum(sum, f + l4, bytes - l4));
	if (!fault.field && k->udp && pkt_get16(field) == 0)
		fault = (struct pkt_fault){ "UDP checksum", 0, 0xffff };
	return fault;
}

static inline bool pkt_is_sound(const uint8_t *f, uint32_t bytes, const struct pkt_kind *k)
{
	return pkt_fault(f, bytes, k).field == NULL;
}
