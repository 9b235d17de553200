/* SPDX-License-Identifier: BSD-2-Clause */
/* Hypercalls: numbers, addresses and contents at random; those of the benchmark with contents that
 * are nearly right. HC_END is left out. */
#include "guest/abuse/abuse.h"
#include "guest/lib/cpu.h"
#include "guest/lib/pci.h"
#include "guest/lib/runtime.h"
#include "guest/lib/string.h"
#include "guest/lib/virtio_pci.h"
#include "lasthop/bench.h"
#include "lasthop/hypercall.h"

static uint64_t number(void)
{
	uint64_t n = one_in(2) ? HC_BENCH_BEGIN + random_below(8) : random_value();

	return n == HC_END ? HC_BENCH_BEGIN : n;
}

/* Our MAC address, so that a window opens. */
static void own_mac(uint8_t mac[6])
{
	struct virtio_device dev = { 0 };
	unsigned devfn;

	if (!pci_find(VIRTIO_VENDOR, VIRTIO_NET_DEVICE, 0, &devfn) || virtio_open(&dev, devfn))
		return;
	for (unsigned i = 0; i < 6; i++)
		mac[i] = region_read8(&dev.config, i);
}

static void bench(void)
{
	struct bench_begin *b = random_arena(4096, 8);
	struct bench_result *r = random_arena(4096, 8);

	memset(b, 0, sizeof(*b));
	own_mac(b->own_mac);
	memcpy(b->peer_mac, b->own_mac, 6);
	if (one_in(4))
		b->peer_mac[random_below(6)] ^= (uint8_t)random_u64();
	(void)hypercall(HC_BENCH_BEGIN, (uintptr_t)b, 0);
	for (unsigned i = 0; i < sizeof(*r); i++)
		((uint8_t *)r)[i] = (uint8_t)random_u64();
	memset(r->reserved, 0, sizeof(r->reserved));
	r->test = random_below(3) ? BENCH_STREAM : BENCH_RR;
	r->runs = 1 + (uint32_t)random_below(1001);
	r->run = 1 + (uint32_t)random_below(r->runs);
	r->frame_bytes = (uint32_t)random_below(10000);
	r->lost = r->reordered = r->corrupt =
		0; /* who reads the reports looks for faults of the switch */
	r->sent = r->packets;
	(void)hypercall(one_in(2) ? HC_BENCH_RESULT : number(), (uintptr_t)r, random_value());
}

void act_hcall(void)
{
	for (unsigned i = 0; i < 8; i++) {
		if (one_in(8))
			bench();
		else
			(void)hypercall(number(), random_value(), random_value());
	}
}
