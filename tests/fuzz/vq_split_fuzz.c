/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's whole memory from the fuzzer: rings, chains, indirect tables. First one chain is
 * read by itself, and every piece must lie in that memory; then a port with both queues there
 * is served next to a sound one, and the counters must balance. Layout of the input: 8 bytes
 * of choices, then RAM.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/vswitch/driver.h"
#include "vswitch/vq.h"

/* Small, and from address 0 on, so that addresses the fuzzer makes up are often good. */
#define RAM_BYTES 2048u
#define RAM_GPA	  0u

#ifndef FUZZ_PACKED /* vq_packed_fuzz.c is this file with packed rings */
#define FUZZ_PACKED 0
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static uint8_t *ram[2]; /* two extents, half each, so that borders are met; on the heap for ASan */
static struct gmem mem;

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void make_ram(const uint8_t *data, size_t bytes)
{
	mem.count = 2;
	for (unsigned i = 0; i < 2; i++) {
		size_t from = i * RAM_BYTES / 2;
		size_t n = bytes > from ? bytes - from : 0;

		ram[i] = aligned_alloc(64, RAM_BYTES / 2);
		memset(ram[i], 0, RAM_BYTES / 2);
		if (n > 0)
			memcpy(ram[i], data + from, n < RAM_BYTES / 2 ? n : RAM_BYTES / 2);
		mem.extent[i] = (struct gmem_extent){ RAM_GPA + from, RAM_BYTES / 2, ram[i] };
	}
}

/* Queue 0 in the lower extent, 1 in the upper: table, available and used ring from its start on. */
static struct queue_setup queue_at(unsigned extent, const uint8_t *choice)
{
	uint64_t base = RAM_GPA + extent * RAM_BYTES / 2;

	return (struct queue_setup){
		.size = FUZZ_PACKED ? 1u + choice[0] % 16 : 1u << choice[0] % 5,
		.desc = base,
		.driver = base + 256,
		.device = base + 304,
		.features = VIRTIO_F_VERSION_1 | (choice[1] & 1 ? VIRTIO_F_EVENT_IDX : 0) |
			    (choice[1] & 2 ? VIRTIO_F_INDIRECT_DESC : 0) |
			    (choice[1] & 4 ? VIRTIO_NET_F_MRG_RXBUF : 0) |
			    (FUZZ_PACKED ? VIRTIO_F_RING_PACKED : 0),
	};
}

static bool in_ram(const struct seg *seg)
{
	for (unsigned i = 0; i < 2; i++)
		if (seg->ptr >= ram[i] && seg->ptr + seg->len <= ram[i] + RAM_BYTES / 2)
			return true;
	return false;
}

static void read_one(const struct queue_setup *setup, const uint8_t *choice)
{
	static struct seg seg[VQ_MAX_CHAIN];
	unsigned room = choice[2] % 2 ? VQ_MAX_CHAIN : choice[2] / 2u;
	uint16_t head = (uint16_t)(choice[3] | choice[4] << 8);
	enum vq_dir dir = choice[5] & 4 ? VQ_BOTH : choice[5] & 1 ? VQ_WRITE : VQ_READ;
	uint64_t want = choice[5] & 2 ? UINT64_MAX : choice[6] * 64u, sum = 0;
	struct vq_chain chain;
	struct vq vq;
	const char *why;

	require(vq_init(&vq, setup, &mem, &why) == 0);
	if (vq.packed && (head & ~VQ_WRAP) >= vq.size)
		head &= VQ_WRAP; /* positions are ours */
	if ((vq.packed ? vq_packed_read(&vq, head, dir, want, seg, room, &chain)
		       : vq_read_chain(&vq, head, dir, want, seg, room, &chain)) != VQ_OK)
		require(!chain.whole);
	require(chain.slots <= vq.size);
	require(chain.nsegs <= room && chain.descs <= VQ_MAX_CHAIN + 1);
	for (unsigned i = 0; i < chain.nsegs; i++) {
		require(seg[i].len > 0 && in_ram(&seg[i]));
		sum += seg[i].len;
	}
	require(sum == chain.bytes);
}

static void serve(const struct queue_setup *rx, const struct queue_setup *tx)
{
	struct vswitch *sw = switch_create("fuzz");
	struct guest *sound = guest_create(sw, &(struct guest_config){ .name = "b", .size = 32 });
	struct env_port env = { .peer = PEER_RUNNING };
	const struct port_config pc = {
		.name = "a", .mtu = 1500, .queue_pairs = 1, .mem = &mem, .owner = &env
	};
	struct port *port = port_create(sw, &pc);
	uint8_t frame[256];
	const char *why;

	require(port_start_queue(port, 0, rx, &why) == 0);
	require(port_start_queue(port, 1, tx, &why) == 0);
	for (unsigned i = 0; i < 4; i++) {
		port_kick(port, 1, 100);
		frame_make(frame, sizeof(frame), 0xff, 1, i);
		port_inject(sound->port, frame, sizeof(frame));
	}
	require(switch_counters_balance(sw));
	port_destroy(port);
	guest_destroy(sound);
	switch_destroy(sw);
	require(env_allocs == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct queue_setup rx, tx;

	if (bytes < 8)
		return 0;
	make_ram(data + 8, bytes - 8);
	rx = queue_at(0, data);
	tx = queue_at(1, data);
	read_one(data[7] & 1 ? &rx : &tx, data);
	serve(&rx, &tx);
	free(ram[0]);
	free(ram[1]);
	return 0;
}
