/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two queues of a virtio-console, behind its transport. Input: choices (bit 0: packed rings,
 * bit 1: event index, bit 2: indirect descriptors), how many times the driver kicks and somebody
 * types, then the guest's memory, the rings at its beginning, which is served as it is. The device
 * reads and writes nothing outside of that memory (ASan), each turn ends, and what a turn shows is
 * bounded; a reset undoes all.
 */
#include "tests/unit/dev/transport.h"

#include "hv/dev/virtio_console.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* Guest memory: two extents, so that their border is met, on the heap for ASan; a queue's rings from
 * STRIDE times its number on. */
enum { HALF = 2048, STRIDE = 0x400, DRIVER = 0x100, DEVICE = 0x200, SIZE = 16 };
enum { TURN = 8 * 2048 }; /* bytes that one may show */

static struct virtio_console *console;
static uint8_t *half[2];

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void make_device(void)
{
	fake_reset(1);
	console = calloc(1, sizeof(*console));
	require(transport_init() == 0);
	require(virtio_console_init(console, &fake_vm, &pcie) == 0);
	fake_vm.mem.count = 2;
	for (unsigned i = 0; i < 2; i++) {
		half[i] = calloc(1, HALF);
		fake_vm.mem.extent[i] =
			(struct gmem_extent){ .gpa = i * HALF, .bytes = HALF, .ptr = half[i] };
	}
}

static void start(uint64_t features)
{
	negotiate(features);
	for (unsigned q = 0; q < 2; q++)
		set_queue(q, SIZE, STRIDE * q, STRIDE * q + DRIVER, STRIDE * q + DEVICE);
	reg(STATUS, 1, true, DRIVER_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	uint64_t features = VIRTIO_F_VERSION_1;

	if (!console)
		make_device();
	if (bytes < 2)
		return 0;
	features |= data[0] & 1 ? VIRTIO_F_RING_PACKED : 0;
	features |= data[0] & 2 ? VIRTIO_F_EVENT_IDX : 0;
	features |= data[0] & 4 ? VIRTIO_F_INDIRECT_DESC : 0;
	for (unsigned i = 0; i < 2; i++) {
		size_t from = 2 + i * HALF, n = bytes > from ? bytes - from : 0;

		memset(half[i], 0, HALF);
		memcpy(half[i], data + (n ? from : 0), n < HALF ? n : HALF);
	}
	fake_console_total = 0;
	start(features);
	require(fake_console_total <= TURN);
	for (unsigned n = 0; n < data[1] % 16u; n++) {
		uint64_t before = fake_console_total;
		uint64_t status;

		kick(n & 1);
		require(fake_console_total - before <= TURN);
		virtio_console_receive(console, (char)n);
		switch_work_run();
		status = reg(STATUS, 1, false, 0);
		require(status == DRIVER_OK || status == (DRIVER_OK | VIRTIO_NEEDS_RESET));
	}
	reg(STATUS, 1, true, 0);
	while (switch_work_run())
		;
	require(!virtio_console_listens(console));
	require(!virtio_console_receive(console, 'x'));
	return 0;
}
