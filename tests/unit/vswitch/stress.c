/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: whatever hostile guests write into their rings, and whatever policies change between, does the
 * switch stay within their memory, keep its counters balanced, and go on serving two honest guests without
 * a loss? One of them is a driver domain, to which the honest ones and the others lend packets: it gives back
 * what it likes, when it likes.
 * Seeded: the first argument repeats a run, the second is the number of steps.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lasthop/uplink.h"
#include "tests/unit/vswitch/driver.h"
#include "tests/unit/vswitch/packet.h"
#include "tests/unit/vswitch/policies.h"
#include "vswitch/gso.h"

#define HOSTILE 3u
#define UPLINK	2u  /* of them */
#define BEHIND	60u /* an address there */

static uint64_t rng_state;
static uint8_t frame[DRV_BUF], got[DRV_BUF];

static uint32_t rng(uint32_t below)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return (uint32_t)(rng_state >> 32) % below;
}

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	printf("FAIL vswitch/stress: %s\n", what);
	exit(1);
}

/* An address in or around the guest's memory, or anywhere. */
static uint64_t some_address(const struct guest *g)
{
	switch (rng(8)) {
	case 0:
		return (uint64_t)rng(UINT32_MAX) << 32 | rng(UINT32_MAX);
	case 1:
		return guest_gpa(g, g->ram) + g->ram_bytes - rng(64);
	case 2:
		return guest_gpa(g, g->tx.table) + rng(64) * 8;
	default:
		return guest_gpa(g, g->tx.buf) + rng(8 * DRV_BUF);
	}
}

static uint32_t some_length(void)
{
	static const uint32_t lengths[] = { 0,	1,  11,	  12,	13,	 14,
					    26, 64, 1514, 9030, 0x10000, UINT32_MAX };

	return rng(3) == 0 ? 16 * rng(70) : lengths[rng(12)];
}

static void write_desc(const struct guest *g, struct drv_desc *d, unsigned size)
{
	*d = (struct drv_desc){ some_address(g), some_length(), 0,
				(uint16_t)rng(rng(8) == 0 ? 65536 : size) };
	d->flags = (uint16_t)(rng(2) ? DESC_NEXT : 0);
	d->flags |= (uint16_t)(rng(2) ? DESC_WRITE : 0);
	d->flags |= (uint16_t)(rng(4) == 0 ? DESC_INDIRECT : 0);
	if (rng(64) == 0)
		d->flags = (uint16_t)rng(65536);
}

/* Makes a chain that may be good, of descriptors that are. */
static void write_good(const struct guest *g, struct drv_queue *q, unsigned first)
{
	unsigned n = 1 + rng(4);

	for (unsigned i = 0; i < n; i++)
		q->desc[(first + i) % q->size] = (struct drv_desc){
			guest_gpa(g, q->buf) + rng(64) * 64, i == 0 ? 26 + rng(1000) : rng(600),
			(uint16_t)((i + 1 < n ? DESC_NEXT : 0) | (q == &g->rx ? DESC_WRITE : 0)),
			(uint16_t)((first + i + 1) % q->size)
		};
}

static struct pkt_kind some_kind(uint32_t n)
{
	struct pkt_kind k = { .ipv6 = n & 1, .udp = n & 2, .vlan = n & 4 };

	if (n & 8)
		k.ip_options = k.ipv6 ? 24 : 12;
	return k;
}

/* Whom a hostile guest says it is: the honest pair as well. */
static unsigned some_source(void)
{
	return rng(4) ? 20 + rng(30) : 1 + rng(2);
}

/* A request for segmentation, right but for what is thrown at it. */
static void write_gso(uint8_t *buf)
{
	struct pkt_kind kind = some_kind(rng(16));
	unsigned lies = rng(4);

	pkt_header(buf, &kind, 1 + rng(1500));
	pkt_make(buf + DRV_HDR, &kind, rng(4) ? 1 + rng(6) : 0xff, some_source(), 300 + rng(4000),
		 rng(1000), (uint8_t)rng(256));
	for (; lies > 0; lies--)
		buf[rng(100)] = (uint8_t)rng(256);
}

/* The driver's next entry of a packed ring: of a chain that may be good, or anything. */
static void write_entry(const struct guest *g, struct drv_queue *q)
{
	struct drv_desc d, *entry = &q->ring[q->avail_idx & 0x7fff];
	unsigned next = (q->avail_idx & 0x7fff) + 1;
	uint16_t flags = q->avail_idx & 0x8000 ? 0x80 : 0x8000;

	if (rng(16) == 0)
		write_desc(g, &d, q->size);
	else
		d = (struct drv_desc){ guest_gpa(g, q->buf) + rng(64) * 64, 26 + rng(1000),
				       (uint16_t)((rng(4) == 0 ? DESC_NEXT : 0) |
						  (q == &g->rx ? DESC_WRITE : 0)),
				       0 };
	if (rng(64) == 0)
		flags = (uint16_t)rng(65536);
	*entry = (struct drv_desc){ d.addr, d.len, (uint16_t)rng(q->size), d.flags | flags };
	if (rng(200) == 0)
		q->avail_idx ^= 0x8000;
	else if (rng(200) == 0)
		q->avail_idx = (uint16_t)(rng(q->size) | rng(2) << 15);
	else
		q->avail_idx = next < q->size ? (uint16_t)(q->avail_idx + 1)
					      : (uint16_t)(~q->avail_idx & 0x8000);
}

static void write_packed(const struct guest *g, struct drv_queue *q)
{
	for (unsigned n = rng(12); n > 0; n--)
		write_entry(g, q);
	if (rng(4) == 0)
		write_desc(g, &q->table[rng(q->slots * DRV_TABLE)], DRV_TABLE);
	if (rng(100) == 0) /* all that ever was, once more */
		for (unsigned i = 0; i < q->size; i++)
			q->ring[i].next ^= 0x8080;
	*q->driver_event = rng(4) << 16 | rng(65536);
}

static void misbehave(struct guest *g)
{
	struct drv_queue *q = rng(2) ? &g->rx : &g->tx;

	if (q->packed)
		write_packed(g, q);
	for (unsigned n = q->packed ? 0 : rng(8); n > 0; n--) {
		if (rng(16) == 0)
			write_desc(g, &q->desc[rng(q->size)], q->size);
		else
			write_good(g, q, rng(q->size));
		if (rng(4) == 0)
			write_desc(g, &q->table[rng(q->slots * DRV_TABLE)], DRV_TABLE);
		q->avail[2 + (q->avail_idx++ & (q->size - 1))] =
			(uint16_t)rng(rng(64) == 0 ? 65536 : q->size);
	}
	/* headers and addresses: sometimes right */
	frame_make(frame, 64, rng(4) ? 1 + rng(6) : 0xff, some_source(), rng(1000));
	memset(q->buf + rng(64) * 64, 0, 12);
	memcpy(q->buf + rng(64) * 64 + 12, frame, 64);
	if (rng(4) == 0)
		write_gso(q->buf + rng(64) * 64);
	q->avail[1] = rng(200) == 0 ? (uint16_t)rng(65536) : q->avail_idx;
	q->avail[0] = (uint16_t)rng(2);
	q->avail[2 + q->size] = (uint16_t)rng(65536);
	port_kick(g->port, q->number, rng(100));
	if (rng(8) == 0)
		port_kick(g->port, 1, 64);
	if (rng(4) == 0 && atomic_load(&g->env.broken[0]) + atomic_load(&g->env.broken[1]) > 0) {
		g->env.broken[0] = g->env.broken[1] = 0;
		guest_reset(g);
	}
}

/* Nothing keeps a hostile guest from sending as somebody else, yet: so guest 2 speaks up
 * before each burst. To itself, which is dropped once it is learned. */
static void introduce(struct guest *g, unsigned number)
{
	frame_make(frame, 60, number, number, 0);
	port_inject(g->port, frame, 60);
}

/* The honest pair: guest 1 sends to guest 2, which must get all, in order. Every fifth packet is one
 * to be segmented, by the switch or nobody. */
static uint32_t sent, received, received_bytes;

static uint32_t gso_payload_of(uint32_t n)
{
	return 1 + n * 7 % 12000;
}

static bool send_gso(struct guest *a)
{
	struct pkt_kind kind = some_kind(sent);
	uint8_t hdr[DRV_HDR];
	uint32_t bytes = pkt_make(frame, &kind, 2, 1, gso_payload_of(sent), sent, PKT_ACK);

	pkt_header(hdr, &kind, 1000 + sent % 400);
	return drv_send(a, hdr, frame, bytes, sent % LAYOUT_COUNT);
}

static void print_hex(const char *name, const uint8_t *p, size_t bytes)
{
	printf("  %s", name);
	for (size_t i = 0; i < bytes; i++)
		printf("%s%02x", i % 4 ? "" : " ", p[i]);
	printf("\n");
}

/* Ends the test: what b got, of `bytes` with its header, is not the next piece of what a sent. */
static void wrong_packet(const struct guest *b, size_t bytes, const struct pkt_fault *fault)
{
	struct pkt_kind k = some_kind(received);

	printf("FAIL vswitch/stress: port %s: packet %u of %u, %s is %u (0x%x), should be %u "
	       "(0x%x)\n",
	       port_name(b->port), received, sent, fault->field, fault->is, fault->is,
	       fault->should, fault->should);
	if (received % 5 == 4)
		printf("  sent as GSO %s/%s%s, %u bytes of IP options, payload %u, gso_size %u; "
		       "of its payload came %u\n",
		       k.udp ? "UDP" : "TCP", k.ipv6 ? "IPv6" : "IPv4", k.vlan ? ", VLAN" : "",
		       k.ip_options, gso_payload_of(received), 1000 + received % 400,
		       received_bytes);
	printf("  frame of %zu bytes; receiver's features 0x%lx, of them offloads 0x%lx\n",
	       bytes - DRV_HDR, (unsigned long)b->rx.features,
	       (unsigned long)(b->rx.features & OFFLOAD_FEATURES));
	printf("  virtio-net header: flags %u, gso_type %u, hdr_len %u, gso_size %u, csum_start "
	       "%u, "
	       "csum_offset %u, num_buffers %u\n",
	       got[0], got[1], got[2] | got[3] << 8, got[4] | got[5] << 8, got[6] | got[7] << 8,
	       got[8] | got[9] << 8, got[10] | got[11] << 8);
	print_hex("begins", got + DRV_HDR, bytes - DRV_HDR < 96 ? bytes - DRV_HDR : 96);
	exit(1);
}

static void require_equal(const struct guest *b, size_t bytes, const char *field, uint32_t is,
			  uint32_t should)
{
	if (is != should)
		wrong_packet(b, bytes, &(struct pkt_fault){ field, is, should });
}

/* Of the frame in got[]. */
static void require_byte(const struct guest *b, size_t bytes, uint32_t at, uint8_t should)
{
	char field[32];

	if (got[DRV_HDR + at] == should)
		return;
	snprintf(field, sizeof(field), "byte %u", at);
	require_equal(b, bytes, field, got[DRV_HDR + at], should);
}

/* The receiver's header asks for nothing that the receiver does not have. */
static void check_header(const struct guest *b, size_t bytes)
{
	if (!(b->rx.features & VIRTIO_NET_F_GUEST_CSUM))
		require_equal(b, bytes, "header's flags", got[0], 0);
	if (!(b->rx.features & OFFLOAD_GUEST_GSO))
		require_equal(b, bytes, "header's gso_type", got[1], 0);
}

/* The next segment of the packet, or all of it. */
static void take_gso(const struct guest *b, size_t bytes)
{
	struct pkt_kind kind = some_kind(received);
	uint8_t *f = got + DRV_HDR;
	uint32_t headers = pkt_headers(&kind), all = (uint32_t)(bytes - DRV_HDR);
	struct pkt_fault fault;

	if (got[0] & PKT_NEEDS_CSUM)
		pkt_complete(f, all, pkt_l4(&kind), kind.udp ? 6 : 16);
	fault = pkt_fault(f, all, &kind);
	if (fault.field)
		wrong_packet(b, bytes, &fault);
	if (!kind.udp) /* as pkt_make() begins it */
		require_equal(b, bytes, "TCP sequence number", pkt_get32(f + pkt_l4(&kind) + 4),
			      (received << 16 | 0xff00) + received_bytes);
	for (uint32_t i = headers; i < all; i++)
		require_byte(b, bytes, i, pkt_byte(received, received_bytes++));
	if (received_bytes == gso_payload_of(received)) {
		received_bytes = 0;
		received++;
	}
}

static void take_plain(const struct guest *b, size_t bytes)
{
	uint32_t want = 60 + received % 1400;

	require_equal(b, bytes, "length", (uint32_t)(bytes - DRV_HDR), want);
	frame_make(frame, want, 2, 1, received);
	for (uint32_t i = 0; i < want && memcmp(got + DRV_HDR, frame, want) != 0; i++)
		require_byte(b, bytes, i, frame[i]);
	received++;
}

/* Of six descriptors each: however many are kept, some slots are left for others. */
static void send_to_uplink(struct guest *a, struct guest *uplink)
{
	introduce(uplink, BEHIND);
	for (unsigned n = rng(4); n > 0; n--) {
		frame_make(frame, 3000, BEHIND, 1, n);
		drv_send(a, NULL, frame, 3000, LAYOUT_ODD);
	}
}

static void send_honest(struct guest *a, struct guest *b, struct guest *uplink)
{
	introduce(b, 2);
	send_to_uplink(a, uplink);
	for (unsigned n = 1 + rng(20); n > 0; n--) {
		frame_make(frame, 60 + sent % 1400, 2, 1, sent);
		if (sent % 5 == 4
			    ? !send_gso(a)
			    : !drv_send(a, NULL, frame, 60 + sent % 1400, sent % LAYOUT_COUNT))
			break;
		sent++;
	}
	if (drv_publish(&a->tx))
		port_kick(a->port, 1, 1024);
	drv_reap(a);
}

/* What came until now is from the others, who may have forged all of it. */
static void discard(struct guest *g)
{
	while (drv_receive(g, got, sizeof(got)) > 0)
		;
	drv_publish(&g->rx);
}

/* The guest sleeps, waits for a CPU, or runs; in the end it has run. */
static void live(struct guest *g, enum peer_state state)
{
	g->env.peer = state;
	if (state == PEER_RUNNING)
		port_arrive(g->port);
}

/* A receiver that was interrupted while it slept waits for a CPU. */
static void wake(struct port *port, unsigned queue)
{
	struct env_port *e = port_owner(port);

	(void)queue;
	if (e->peer == PEER_BLOCKED)
		e->peer = PEER_RUNNABLE;
}

/* Nobody but a has sent since b was last looked at: so what came is known by when, not by what
 * stands in it, which the others can write as well. */
static void receive_honest(struct guest *b)
{
	size_t bytes;

	while ((bytes = drv_receive(b, got, sizeof(got))) > 0) {
		check(received < sent, "a packet came that nobody sent");
		check_header(b, bytes);
		if (received % 5 == 4)
			take_gso(b, bytes);
		else
			take_plain(b, bytes);
	}
	drv_publish(&b->rx);
	check(received == sent, "the honest receiver lost a packet");
}

/* As much as was announced, until nothing is: what is held back is served when its receiver arrives. */
static void serve_rest(struct guest *a)
{
	while (atomic_load(&a->env.more_work[1]) > 0) {
		atomic_store(&a->env.more_work[1], 0);
		port_service(a->port, 1, 64);
	}
}

static uint64_t some_offloads(void)
{
	static const uint64_t some[] = { 0, VIRTIO_NET_F_GUEST_CSUM,
					 VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4 |
						 VIRTIO_NET_F_GUEST_USO6,
					 OFFLOAD_FEATURES };

	return some[rng(4)];
}

static struct guest *create(struct vswitch *sw, const char *name, uint64_t features, bool uplink)
{
	return guest_create(sw, &(struct guest_config){ .name = name,
							.size = 512,
							.rx_bytes = 2048,
							.features = features,
							.uplink = uplink });
}

/* With nobody else on the switch, it starts once more: nothing is lent any longer. */
static void check_loans(struct guest *a, struct guest *uplink)
{
	uint64_t lent = port_counter(uplink->port, STAT_lent);

	printf("%lu packets lent, for %lu pages\n", (unsigned long)lent,
	       (unsigned long)port_counter(uplink->port, STAT_lent_mapped));
	check(lent > 100, "hardly any packet was lent");
	guest_reset(uplink);
	check(atomic_load(&uplink->env.shared) == 0, "pages are still shared");
	port_service(a->port, 1, 64);
	drv_reap(a);
	check(a->tx.free_count == a->tx.slots, "an honest sender lacks buffers");
}

static void run(unsigned steps)
{
	static const uint64_t all =
		VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC | VIRTIO_NET_F_MRG_RXBUF;
	struct vswitch *sw = switch_create("stress");
	struct guest *a = create(sw, "a", all | OFFLOAD_FEATURES, false), *h[HOSTILE];
	struct guest *b = create(sw, "b", all | VIRTIO_F_RING_PACKED | some_offloads(), false);
	uint64_t stopped = 0;

	b->env.on_interrupt = wake;
	for (unsigned i = 0; i < HOSTILE; i++)
		h[i] = create(sw, "h",
			      (rng(2) ? all : all & ~VIRTIO_NET_F_MRG_RXBUF) |
				      (i % 2 ? VIRTIO_F_RING_PACKED : 0) |
				      (rng(4) ? OFFLOAD_FEATURES : some_offloads()) |
				      (i == UPLINK ? UPLINK_F_REUSE : 0),
			      i == UPLINK);
	h[UPLINK]->env.shares_left = UINT32_MAX;
	for (unsigned i = 0; i < steps; i++) {
		env_this_cpu = rng(3);
		if (rng(16) == 0)
			policy_set_some(rng(UINT32_MAX));
		live(h[rng(HOSTILE)], (enum peer_state)rng(PEER_OFF + 1));
		misbehave(h[rng(HOSTILE)]);
		discard(b);
		if (rng(4) == 0) {
			live(b, (enum peer_state)rng(PEER_OFF));
			send_honest(a, b, h[UPLINK]);
			live(h[UPLINK], PEER_RUNNING);
			live(b, PEER_RUNNING);
			serve_rest(a);
			receive_honest(b);
		}
		discard(a);
		env_clock_us += 1000;
	}
	check(switch_counters_balance(sw), "counters do not balance");
	check(port_counter(a->port, STAT_queue_stopped) == 0, "an honest queue was stopped");
	check_loans(a, h[UPLINK]);
	for (unsigned i = 0; i < HOSTILE; i++) {
		stopped += port_counter(h[i]->port, STAT_queue_stopped);
		guest_destroy(h[i]);
	}
	check(stopped > steps / 1000, "hardly any queue was stopped: the stress is too mild");
	printf("PASS vswitch/stress: %u steps, %u honest packets, %lu queues stopped\n", steps,
	       sent, (unsigned long)stopped);
	guest_destroy(a);
	guest_destroy(b);
	switch_destroy(sw);
}

int main(int argc, char **argv)
{
	unsigned long seed = argc > 1 ? strtoul(argv[1], NULL, 0) : 1;

	rng_state = seed * 0x9e3779b97f4a7c15ull + 1;
	run(argc > 2 ? (unsigned)strtoul(argv[2], NULL, 0) : 200000);
	return 0;
}
