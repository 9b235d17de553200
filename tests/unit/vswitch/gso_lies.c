/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: is each lie in a request for an offload found, by the verdict that names it, and nothing
 * read beyond what there is? And is a request taken only from who negotiated it?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/vswitch/driver.h"
#include "tests/unit/vswitch/packet.h"
#include "vswitch/switch_impl.h"

#define RINGS (VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC)

static uint8_t frame[DRV_BUF], got[DRV_BUF], header[PKT_HDR];

static uint64_t count(const struct guest *g, enum stat_id id)
{
	return port_counter(g->port, id);
}

static struct guest *guest(struct vswitch *sw, uint64_t features, uint32_t rx_bytes,
			   unsigned number)
{
	const struct guest_config c = {
		.name = "g", .mtu = 1500, .rx_bytes = rx_bytes, .features = features
	};
	struct guest *g = guest_create(sw, &c);

	frame_make(frame, 60, number, number, 0);
	port_inject(g->port, frame, 60);
	return g;
}

static struct pkt_kind kind_of(unsigned n)
{
	struct pkt_kind k = { .ipv6 = n & 1, .udp = n & 2, .vlan = n & 4 };

	if (n & 8)
		k.ip_options = k.ipv6 ? 24 : 12;
	if ((n & 8) && !k.udp)
		k.tcp_options = 12;
	return k;
}
#define KINDS 16u

/* A good request with one thing wrong. at: byte of header and frame. */
static const struct lie {
	const char *what;
	unsigned kind; /* kind_of() */
	bool gso;
	unsigned at, value;
	enum verdict want;
} lies[] = {
	{ "nothing", 0, true, 0, 1, VERDICT_DELIVERED },
	{ "hdr_len is a hint: zero", 0, true, 2, 0, VERDICT_DELIVERED },
	{ "hdr_len is a hint: huge", 0, true, 3, 0xff, VERDICT_DELIVERED },
	{ "num_buffers", 0, true, 10, 0xff, VERDICT_DELIVERED },
	{ "DATA_VALID is not the driver's", 0, true, 0, 3, VERDICT_DELIVERED },
	{ "unknown flags", 0, true, 0, 0xf9, VERDICT_DELIVERED },
	{ "GSO without NEEDS_CSUM", 0, true, 0, 0, VERDICT_DROP_BAD_GSO },
	{ "UFO", 0, true, 1, 3, VERDICT_DROP_BAD_HEADER },
	{ "ECN", 0, true, 1, 0x81, VERDICT_DROP_BAD_HEADER },
	{ "unknown type", 0, true, 1, 0x7f, VERDICT_DROP_BAD_HEADER },
	{ "IPv4 as TCPV6", 0, true, 1, PKT_TCPV6, VERDICT_DROP_BAD_GSO },
	{ "TCP as UDP", 0, true, 1, PKT_UDP_L4, VERDICT_DROP_BAD_GSO },
	{ "IPv6 as TCPV4", 1, true, 1, PKT_TCPV4, VERDICT_DROP_BAD_GSO },
	{ "UDP as TCPV4", 2, true, 1, PKT_TCPV4, VERDICT_DROP_BAD_GSO },
	{ "gso_size zero", 0, true, 4, 0, VERDICT_DROP_BAD_GSO },
	{ "gso_size one", 0, true, 4, 1, VERDICT_DELIVERED },
	{ "gso_size beyond the MTU", 0, true, 5, 8, VERDICT_DROP_LONG },
	{ "csum_start into the Ethernet header", 0, false, 6, 0, VERDICT_DROP_BAD_CSUM },
	{ "csum_start into the IP header", 0, false, 6, 33, VERDICT_DROP_BAD_CSUM },
	{ "csum_start elsewhere", 0, false, 6, 40, VERDICT_DELIVERED },
	{ "csum_start beyond the frame", 0, false, 7, 0x80, VERDICT_DROP_BAD_CSUM },
	{ "csum_offset beyond the frame", 0, false, 9, 0xff, VERDICT_DROP_BAD_CSUM },
	{ "csum_start of GSO", 0, true, 6, 38, VERDICT_DROP_BAD_GSO },
	{ "csum_start of GSO beyond the frame", 0, true, 7, 0xff, VERDICT_DROP_BAD_GSO },
	{ "csum_offset of GSO", 0, true, 8, 6, VERDICT_DROP_BAD_GSO },
	{ "Ethernet type", 0, true, 24, 0x88, VERDICT_DROP_BAD_GSO },
	{ "no IP behind the VLAN tag", 4, true, 28, 0x81, VERDICT_DROP_BAD_GSO },
	{ "IP version", 0, true, 26, 0x65, VERDICT_DROP_BAD_GSO },
	{ "IP header length too small", 0, true, 26, 0x44, VERDICT_DROP_BAD_GSO },
	{ "IP header length too large", 0, true, 26, 0x4f, VERDICT_DROP_BAD_GSO },
	{ "IP total length", 0, true, 29, 0, VERDICT_DROP_BAD_GSO },
	{ "more fragments", 0, true, 32, 0x20, VERDICT_DROP_BAD_GSO },
	{ "fragment offset", 0, true, 33, 1, VERDICT_DROP_BAD_GSO },
	{ "IP protocol", 0, true, 35, 1, VERDICT_DROP_BAD_GSO },
	{ "TCP header too short", 0, true, 12 + 34 + 12, 0x40, VERDICT_DROP_BAD_GSO },
	{ "IPv6 version", 1, true, 26, 0x45, VERDICT_DROP_BAD_GSO },
	{ "IPv6 payload length", 1, true, 31, 0, VERDICT_DROP_BAD_GSO },
	{ "IPv6 fragment header", 9, true, 32, 44, VERDICT_DROP_BAD_GSO },
	{ "IPv6 no next header", 1, true, 32, 59, VERDICT_DROP_BAD_GSO },
	{ "IPv6 extension beyond the frame", 9, true, 12 + 54 + 1, 0xff, VERDICT_DROP_BAD_GSO },
	{ "IPv6 extension longer than it is", 9, true, 12 + 54 + 1, 1, VERDICT_DROP_BAD_GSO },
	{ "UDP length", 2, true, 12 + 34 + 5, 0, VERDICT_DROP_BAD_GSO },
	{ "source is a group", 0, true, 18, 0x53, VERDICT_DROP_BAD_SOURCE },
};

static void lies_are_found(void **state)
{
	struct vswitch *sw = switch_create("lan");
	struct guest *a = guest(sw, RINGS | OFFLOAD_FEATURES, 2048, 1);
	struct guest *b = guest(sw, RINGS, 4096, 2);

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		const struct lie *lie = &lies[i];
		struct pkt_kind kind = kind_of(lie->kind);
		uint32_t bytes = pkt_make(frame, &kind, 2, 1, lie->gso ? 2900 : 1000, 5, 0);
		uint8_t verdict;

		pkt_header(header, &kind, lie->gso ? 100 : 0);
		if (lie->at < PKT_HDR)
			header[lie->at] = (uint8_t)lie->value;
		else
			frame[lie->at - PKT_HDR] = (uint8_t)lie->value;
		if (lie->at == 4 &&
		    lie->value == 1) /* many segments: for the ring, a shorter one */
			bytes = pkt_make(frame, &kind, 2, 1, 50, 5, 0);
		assert_true(drv_send(a, header, frame, bytes, (enum layout)(i % LAYOUT_COUNT)));
		drv_publish(&a->tx);
		assert_int_equal(port_service(a->port, 1, 64), 1);
		verdict = atomic_load(&sw->cpu[0])->batch.pkt[0].verdict;
		if (verdict != lie->want)
			print_error("%s: verdict %u\n", lie->what, verdict);
		assert_int_equal(verdict, lie->want);
		drv_reap(a);
		while (drv_receive(b, got, sizeof(got)) > 0)
			;
		drv_publish(&b->rx);
	}
	assert_true(count(a, STAT_tx_drop_bad_gso) > 20);
	assert_true(count(a, STAT_tx_drop_bad_csum) > 3);
	assert_true(switch_counters_balance(sw));
	guest_destroy(a);
	guest_destroy(b);
	switch_destroy(sw);
}

/* A frame that ends anywhere within what its headers promise. */
static void cut_short(void **state)
{
	(void)state;
	for (unsigned n = 0; n < KINDS; n++) {
		struct pkt_kind kind = kind_of(n);
		uint32_t bytes = pkt_make(frame + PKT_HDR, &kind, 2, 1, 200, 5, 0);

		pkt_header(frame, &kind, 100);
		for (uint32_t have = ETH_HDR_BYTES; have <= bytes; have++) {
			uint8_t *exact = malloc(PKT_HDR + have); /* of this length, for ASan */
			struct offload off;

			memcpy(exact, frame, PKT_HDR + have);
			assert_int_equal(
				offload_check(exact, have, have, OFFLOAD_FEATURES, 1500, &off),
				have == bytes ? VERDICT_DELIVERED : VERDICT_DROP_BAD_GSO);
			free(exact);
		}
	}
}

/* Each feature of the sender allows what it names. */
static void negotiated(void **state)
{
	static const struct {
		uint64_t features;
		unsigned allowed; /* bit n: kind n, of TCPv4, TCPv6, UDPv4, UDPv6; bit 4: csum */
	} cases[] = {
		{ 0, 0 },
		{ VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_USO, 0 },
		{ VIRTIO_NET_F_CSUM, 16 },
		{ VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_TSO4, 17 },
		{ VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_TSO6, 18 },
		{ VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_USO, 28 },
		{ VIRTIO_NET_F_GUEST_CSUM | OFFLOAD_GUEST_GSO, 0 },
	};
	struct offload off;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t usable = offload_usable(cases[i].features);

		for (unsigned n = 0; n < 5; n++) {
			struct pkt_kind kind = kind_of(n % 4);
			uint32_t bytes = pkt_make(frame + PKT_HDR, &kind, 2, 1, 200, 5, 0);

			pkt_header(frame, &kind, n < 4 ? 100 : 0);
			assert_int_equal(offload_check(frame, bytes, bytes, usable, 1500, &off),
					 cases[i].allowed >> n & 1 ? VERDICT_DELIVERED
								   : VERDICT_DROP_BAD_HEADER);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lies_are_found),
		cmocka_unit_test(cut_short),
		cmocka_unit_test(negotiated),
	};

	return cmocka_run_group_tests_name("vswitch/gso_lies", tests, NULL, NULL);
}
