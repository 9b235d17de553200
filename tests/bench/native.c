/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The data plane alone, on the build machine: one thread plays sender, switch and receiver in turn,
 * 64 packets at a time, and only the switch's part is timed. Finds what costs; says nothing about
 * virtual machines. Prints ns and TSC cycles a packet, the best of several runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

#include "tests/unit/vswitch/driver.h"
#include "tests/unit/vswitch/packet.h"
#include "vswitch/gso.h"

#define RUNS	7u
#define BATCHES 4000u
#define BATCH	64u

static uint8_t frame[DRV_BUF_GSO], got[DRV_BUF_GSO];

static double now_ns(void)
{
	struct timespec t;

	timespec_get(&t, TIME_UTC);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

struct figures {
	double ns, cycles;
};

/* All of a batch: large frames take more than one turn of the queue. */
static void serve(struct guest *g)
{
	unsigned taken = 0;

	for (unsigned turns = 0; taken < BATCH && turns < BATCH; turns++)
		taken += port_service(g->port, 1, BATCH);
	if (taken != BATCH)
		abort();
}

static struct figures run(struct guest *a, struct guest *b, uint32_t bytes, enum layout layout)
{
	const unsigned packets = BATCHES * BATCH;
	struct figures sum = { 0, 0 };

	frame_make(frame, bytes, 2, 1, 0);
	for (unsigned batch = 0; batch < BATCHES; batch++) {
		unsigned long long cycles;
		double ns;

		for (unsigned i = 0; i < BATCH; i++)
			drv_send(a, NULL, frame, bytes, layout);
		drv_publish(&a->tx);
		ns = now_ns();
		cycles = __rdtsc();
		serve(a);
		sum.cycles += (double)(__rdtsc() - cycles);
		sum.ns += now_ns() - ns;
		drv_reap(a);
		while (drv_receive(b, got, sizeof(got)) > 0)
			;
		drv_publish(&b->rx);
	}
	if (port_counter_drops(b->port, true) != 0)
		abort();
	return (struct figures){ sum.ns / packets, sum.cycles / packets };
}

static void measure(const char *what, uint64_t features, uint32_t rx_bytes, enum layout layout)
{
	static const uint32_t sizes[] = { 64, 256, 1514, 9014 };
	struct vswitch *sw = switch_create("bench");
	const struct guest_config config = {
		.name = "g", .size = 1024, .per_slot = 2, .rx_bytes = rx_bytes, .features = features
	};
	struct guest *a = guest_create(sw, &config), *b = guest_create(sw, &config);

	frame_make(frame, 64, 2, 2, 0);
	port_inject(b->port, frame, 64);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct figures best = { 1e12, 1e12 };

		for (unsigned n = 0; n < RUNS; n++) {
			struct figures f = run(a, b, sizes[i], layout);

			if (f.ns < best.ns)
				best = f;
		}
		printf("%-28s %6u %9.1f %9.0f %9.2f %9.2f\n", what, sizes[i], best.ns, best.cycles,
		       1e3 / best.ns, sizes[i] * 8 / best.ns);
	}
	guest_destroy(a);
	guest_destroy(b);
	switch_destroy(sw);
}

/* Frames of 64 KiB that are to be segmented: as a whole, cut, and cut and summed. */
static void measure_gso(const char *what, uint64_t features)
{
	static const struct pkt_kind tcp;
	struct vswitch *sw = switch_create("bench");
	const struct guest_config config = { .name = "g",
					     .mtu = 1500,
					     .size = 1024,
					     .per_slot = 2,
					     .rx_bytes = 1536,
					     .features = features | VIRTIO_NET_F_MRG_RXBUF |
							 VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_TSO4,
					     .slot_bytes = DRV_BUF_GSO };
	struct guest *a = guest_create(sw, &config), *b = guest_create(sw, &config);
	uint8_t header[PKT_HDR];
	uint32_t bytes;
	double best = 1e12, cycles = 0;

	frame_make(frame, 64, 2, 2, 0);
	port_inject(b->port, frame, 64);
	bytes = pkt_make(frame, &tcp, 2, 1, 44 * 1460, 0, 0);
	pkt_header(header, &tcp, 1460);
	for (unsigned n = 0; n < RUNS * 100; n++) {
		unsigned long long start;
		double ns;

		drv_send(a, header, frame, bytes, LAYOUT_ONE);
		drv_publish(&a->tx);
		ns = now_ns();
		start = __rdtsc();
		port_service(a->port, 1, 64);
		if (now_ns() - ns < best) {
			best = now_ns() - ns;
			cycles = (double)(__rdtsc() - start);
		}
		drv_reap(a);
		while (drv_receive(b, got, sizeof(got)) > 0)
			;
		drv_publish(&b->rx);
	}
	printf("%-28s %6u %9.1f %9.0f %9.2f %9.2f\n", what, bytes, best, cycles, 1e3 / best,
	       bytes * 8 / best);
	guest_destroy(a);
	guest_destroy(b);
	switch_destroy(sw);
}

int main(void)
{
	const uint64_t all = VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC | VIRTIO_NET_F_MRG_RXBUF;

	printf("%-28s %6s %9s %9s %9s %9s\n", "path", "bytes", "ns/pkt", "cycles", "Mpps",
	       "Gbit/s");
	measure("one buffer", all & ~VIRTIO_NET_F_MRG_RXBUF, 9100, LAYOUT_ONE);
	measure("header apart", all & ~VIRTIO_NET_F_MRG_RXBUF, 9100, LAYOUT_TWO);
	measure("indirect, merged 1536", all, 1536, LAYOUT_INDIRECT);
	measure("packed, one buffer", (all & ~VIRTIO_NET_F_MRG_RXBUF) | VIRTIO_F_RING_PACKED, 9100,
		LAYOUT_ONE);
	measure("packed, indirect, merged", all | VIRTIO_F_RING_PACKED, 1536, LAYOUT_INDIRECT);
	measure_gso("TSO, passed whole", VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4);
	measure_gso("TSO, segmented", VIRTIO_NET_F_GUEST_CSUM);
	measure_gso("TSO, segmented and summed", 0);
	return 0;
}
