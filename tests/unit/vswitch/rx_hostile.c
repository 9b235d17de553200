/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: how many descriptors can a hostile receiver make a sender's batch read, under the lock
 * of the receive queue and in all? The ring is written by hand; packets come from the hypervisor.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/vswitch/driver.h"
#include "vswitch/switch_impl.h"

#define RAM	 0x100000u
#define SIZE	 2048u
#define AVAIL	 (RAM + SIZE * 16)
#define USED	 (AVAIL + 0x2000)
#define TABLES	 (USED + 0x8000)
#define TABLE	 (VQ_MAX_CHAIN * 16) /* bytes of one, for each buffer */
#define BUF	 (TABLES + SIZE * TABLE)
#define RAM_SIZE (BUF + 0x10000 - RAM)
#define FRAME	 400u
#define PACKETS	 64u

static _Alignas(64) uint8_t ram[RAM_SIZE];
static const struct gmem mem = { 1, { { RAM, RAM_SIZE, ram } } };
static uint8_t frame[PACKETS][FRAME + VNET_HDR_BYTES];

struct lan {
	struct vswitch *sw;
	struct port *from, *to;
	struct env_port env;
};

/* What the reservations for a batch have read. */
struct reads {
	unsigned packets, reservations, most, sum;
};

static struct drv_desc *at(uint64_t gpa)
{
	return (struct drv_desc *)(void *)(ram + (gpa - RAM));
}

static int setup(void **state)
{
	static struct lan lan;
	const struct port_config from = { .name = "from", .mtu = 1500, .queue_pairs = 1 };
	const struct port_config to = {
		.name = "to", .mtu = 1500, .queue_pairs = 1, .mem = &mem, .owner = &lan.env
	};

	memset(ram, 0, sizeof(ram));
	memset(&lan.env, 0, sizeof(lan.env));
	lan.sw = switch_create("lan");
	lan.from = port_create(lan.sw, &from);
	lan.to = port_create(lan.sw, &to);
	frame_make(frame[0] + VNET_HDR_BYTES, 64, 2, 2, 0);
	port_inject(lan.to, frame[0] + VNET_HDR_BYTES, 64); /* makes address 2 known */
	*state = &lan;
	return 0;
}

static int teardown(void **state)
{
	struct lan *lan = *state;

	port_destroy(lan->from);
	port_destroy(lan->to);
	switch_destroy(lan->sw);
	return env_allocs != 0;
}

static void start(struct lan *lan, uint64_t features)
{
	const struct queue_setup queue = { SIZE, RAM, AVAIL, USED,
					   features | VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC };
	const char *why = NULL;

	assert_int_equal(port_start_queue(lan->to, 0, &queue, &why), 0);
}

/* All buffers of a split ring: indirect tables of `pieces` pieces. */
static void offer_tables(unsigned pieces, uint32_t bytes)
{
	uint16_t *avail = (uint16_t *)(void *)at(AVAIL);

	for (unsigned i = 0; i < SIZE; i++) {
		uint64_t table = TABLES + (uint64_t)i * TABLE;

		*at(RAM + i * 16) = (struct drv_desc){ table, pieces * 16, DESC_INDIRECT, 0 };
		for (unsigned n = 0; n < pieces; n++)
			*at(table + n * 16) = (struct drv_desc){
				BUF + n * bytes, bytes,
				(uint16_t)(DESC_WRITE | (n + 1 < pieces ? DESC_NEXT : 0)),
				(uint16_t)(n + 1)
			};
		avail[2 + i] = (uint16_t)i;
	}
	avail[1] = SIZE;
}

/* Entries of a packed ring, from `first` on: one chain. */
static void offer_chain(unsigned first, unsigned entries, uint32_t bytes)
{
	for (unsigned i = 0; i < entries; i++)
		*at(RAM + (first + i) * 16) = (struct drv_desc){
			BUF, bytes, 0,
			(uint16_t)(DESC_WRITE | 0x80 | (i + 1 < entries ? DESC_NEXT : 0))
		};
}

/* A batch of `packets` from one port to the other. */
static struct reads forward(struct lan *lan, unsigned packets)
{
	struct vs_cpu *cpu = batch_begin(lan->sw);
	struct rx_take *take = &cpu->rx;
	struct reads reads = { .packets = 0 };
	uint64_t left;

	batch_open(cpu, lan->from);
	for (unsigned i = 0; i < packets; i++) {
		frame_make(frame[i] + VNET_HDR_BYTES, FRAME, 2, 1, i);
		cpu->tx_seg[i] = (struct seg){ frame[i], VNET_HDR_BYTES + FRAME };
		batch_add(cpu, &cpu->tx_seg[i], VNET_HDR_BYTES + FRAME, 0);
	}
	batch_sort(cpu);
	left = cpu->batch.to[lan->to->id];
	take->queue = take->segment = 0;
	take->spent = take->descs = 0;
	while (left != 0) {
		rx_reserve(cpu, lan->to, left);
		reads.reservations++;
		reads.packets += take->npkts;
		reads.sum += take->descs;
		if (take->descs > reads.most)
			reads.most = take->descs;
		if (take->fault != VQ_OK)
			queue_break(lan->to, 0, take->fault, 0);
		if (take->npkts > 0) {
			rx_fill(lan->to, cpu);
			rx_complete(lan->to, &cpu->batch, take, cpu);
		}
		left = take->left;
	}
	cpu->batch.to[lan->to->id] = 0;
	batch_end(cpu);
	return reads;
}

/* Tables of nothing: the first empty piece is one too many. */
static void empty_pieces(void **state)
{
	struct lan *lan = *state;
	struct reads reads;

	offer_tables(VQ_MAX_CHAIN - 2, 0);
	start(lan, VIRTIO_NET_F_MRG_RXBUF);
	reads = forward(lan, PACKETS);
	assert_int_equal(reads.packets, 0);
	assert_int_equal(reads.sum, 2);
	assert_int_equal(lan->env.broken[0], 1);
	assert_string_equal(lan->env.why, vq_fault_text(VQ_BAD_RX_EMPTY));
}

/* A byte a piece: no room for a packet, which is looked for once, though all want it. */
static void tiny_pieces(void **state)
{
	struct lan *lan = *state;
	struct reads reads;

	offer_tables(100, 1);
	start(lan, VIRTIO_NET_F_MRG_RXBUF);
	reads = forward(lan, PACKETS);
	assert_int_equal(reads.packets, 0);
	assert_in_range(reads.sum, 1, 2 * RX_PACKET_SEGS);
	assert_int_equal(lan->env.broken[0], 0);
}

/* The smallest buffers that the rules allow, each in a table: each reservation ends in time, and the
 * batch has a limit as well. */
static void small_buffers(void **state)
{
	struct lan *lan = *state;
	struct reads reads;

	offer_tables(6, 2);
	start(lan, VIRTIO_NET_F_MRG_RXBUF);
	reads = forward(lan, PACKETS);
	assert_int_equal(lan->env.broken[0], 0);
	assert_in_range(reads.packets, 10, PACKETS - 1);
	assert_in_range(reads.most, 1, READ_DESCS + RX_PACKET_DESCS);
	assert_in_range(reads.sum, RX_BATCH_DESCS, RX_BATCH_DESCS + READ_DESCS + RX_PACKET_DESCS);
	assert_true(reads.reservations > 1);
}

/* A packed ring's chains are read to their ends, wanted or not. */
static void long_chains(void **state)
{
	struct lan *lan = *state;
	struct reads reads;

	offer_chain(0, 200, 1);
	offer_chain(200, 1000, 100);
	start(lan, VIRTIO_NET_F_MRG_RXBUF | VIRTIO_F_RING_PACKED);
	reads = forward(lan, PACKETS);
	assert_int_equal(reads.packets, 0);
	assert_in_range(reads.sum, RX_PACKET_DESCS + 1, RX_PACKET_DESCS + VQ_MAX_CHAIN);
	assert_int_equal(lan->env.broken[0], 1);
	assert_string_equal(lan->env.why, vq_fault_text(VQ_BAD_RX_LONG));
}

/* ... and what an honest driver makes of a large frame's buffer is none of it. */
static void honest_chains(void **state)
{
	struct lan *lan = *state;
	struct reads reads;

	for (unsigned i = 0; i < PACKETS; i++)
		offer_chain(i * 19, 19, 300);
	start(lan, VIRTIO_F_RING_PACKED);
	reads = forward(lan, PACKETS);
	assert_int_equal(reads.packets, PACKETS);
	assert_int_equal(reads.sum, PACKETS * 19);
	assert_int_equal(lan->env.broken[0], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(empty_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(tiny_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(small_buffers, setup, teardown),
		cmocka_unit_test_setup_teardown(long_chains, setup, teardown),
		cmocka_unit_test_setup_teardown(honest_chains, setup, teardown),
	};

	return cmocka_run_group_tests_name("vswitch/rx_hostile", tests, NULL, NULL);
}
