/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a receiver does with a packet before buffers are taken: does it want it at all (filter.h),
 * and on which of its queues? Automatic receive steering (virtio 1.2, 5.1.6.5.6): a flow comes in by
 * the queue pair it goes out by, which a small table remembers by the flow's hash, the same in both
 * directions; one not seen yet, by its hash alone. All of it reads the sender's memory once and for
 * this purpose only: a sender that changes it meanwhile chooses another queue, no more.
 */
#include "vswitch/switch_impl.h"

#include "vswitch/bytes.h"
#include "vswitch/copy.h"
#include "vswitch/policy.h"

/* From the frame's first byte */
enum { TYPE_AT = 12, TYPE_IPV4 = 0x0800, TYPE_IPV6 = 0x86dd, TYPE_VLAN = 0x8100 };
enum { IPV4_MIN = 20, IPV4_FRAGMENT = 0x3fff, IPV6_BYTES = 40, PROTO_TCP = 6, PROTO_UDP = 17 };
/* As much as is looked at: tag, largest IPv4 header, or that of IPv6, ports */
#define PEEK_BYTES (4u + 60u + 4u)

/* The frame's bytes after the Ethernet header: how many of `want` there are. */
static unsigned peek(const struct packet *p, uint8_t *out, unsigned want)
{
	struct cursor from = { (uint8_t *)(uintptr_t)p->head + HEAD_BYTES, /* only read */
			       p->head_bytes - HEAD_BYTES, p->seg };
	struct cursor to = { out, want, NULL };

	if (want > p->bytes - ETH_HDR_BYTES)
		want = p->bytes - ETH_HDR_BYTES;
	copy_run(&to, &from, want);
	__asm__ volatile("" : : : "memory"); /* read once */
	return want;
}

static unsigned frame_type(const struct packet *p)
{
	return load_be16(p->head + VNET_HDR_BYTES + TYPE_AT);
}

static unsigned vlan_of(const struct packet *p)
{
	uint8_t tag[2];

	if (frame_type(p) != TYPE_VLAN || peek(p, tag, 2) < 2)
		return FILTER_UNTAGGED;
	return load_be16(tag) & (FILTER_VLANS - 1);
}

static uint32_t mix(uint64_t a)
{
	a *= 0x9e3779b97f4a7c15ull;
	return (uint32_t)(a >> 32);
}

/* Two words, in either order. */
static uint64_t pair(uint64_t a, uint64_t b)
{
	return (a ^ b) * 0xd1342543de82ef95ull + (a + b);
}

static bool has_ports(unsigned protocol)
{
	return protocol == PROTO_TCP || protocol == PROTO_UDP;
}

static uint64_t ipv4_hash(const uint8_t *ip, unsigned bytes)
{
	unsigned header = (ip[0] & 15u) * 4;
	uint64_t h;

	if (bytes < IPV4_MIN)
		return 0;
	h = pair(load_be32(ip + 12), load_be32(ip + 16)) + ip[9];
	/* only a packet's first fragment has ports: none has, then */
	if (header < IPV4_MIN || bytes < header + 4 || !has_ports(ip[9]) ||
	    load_be16(ip + 6) & IPV4_FRAGMENT)
		return h;
	return h + pair(load_be16(ip + header), load_be16(ip + header + 2));
}

static uint64_t ipv6_hash(const uint8_t *ip, unsigned bytes)
{
	uint64_t h;

	if (bytes < IPV6_BYTES)
		return 0;
	h = pair(load_be64(ip + 8) + load_be64(ip + 16) * 3,
		 load_be64(ip + 24) + load_be64(ip + 32) * 3) +
	    ip[6];
	if (bytes < IPV6_BYTES + 4 || !has_ports(ip[6]))
		return h;
	return h + pair(load_be16(ip + IPV6_BYTES), load_be16(ip + IPV6_BYTES + 2));
}

uint32_t steer_hash(const struct packet *p)
{
	uint8_t bytes[PEEK_BYTES] = { 0 };
	unsigned count = peek(p, bytes, sizeof(bytes)), type = frame_type(p), at = 0;

	if (type == TYPE_VLAN && count >= 4) {
		type = load_be16(bytes + 2);
		at = 4;
	}
	if (type == TYPE_IPV4)
		return mix(ipv4_hash(bytes + at, count - at));
	if (type == TYPE_IPV6)
		return mix(ipv6_hash(bytes + at, count - at));
	return mix(pair(frame_dst(p->head), frame_src(p->head)));
}

void steer_learn(struct port *port, const struct packet *p, unsigned pair_index)
{
	_Atomic uint8_t *known = &port->flow[steer_hash(p) % STEER_FLOWS];

	/* one byte, often the same: written only when it is another */
	if (atomic_load_explicit(known, memory_order_relaxed) != pair_index + 1)
		atomic_store_explicit(known, (uint8_t)(pair_index + 1), memory_order_relaxed);
}

unsigned steer_pair(const struct port *to, const struct packet *p, unsigned pairs)
{
	uint32_t hash = steer_hash(p);
	unsigned known = atomic_load_explicit(&to->flow[hash % STEER_FLOWS], memory_order_relaxed);

	if (known != 0 && known <= pairs && policy_get(POLICY_steering))
		return known - 1;
	return (hash >> 8) % pairs;
}

bool steer_wants(const struct filter *f, const struct packet *p)
{
	return filter_wants(f, frame_dst(p->head), f->vlans ? vlan_of(p) : FILTER_UNTAGGED);
}
