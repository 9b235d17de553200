/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Do the rings of Intel's NICs move every frame, whole and once, over many rounds, with every buffer
 * accounted for, and do their descriptors say what is to be done? The device is in intel_device.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "drivers/intel/intel.h"

/* The device may answer while a buffer is put into the ring. */
static void ring_written(void);
#define nic_dma(nic, at) (ring_written(), nic_dma(nic, at))
#include "drivers/intel/rings.c"
#include "drivers/offload.c"
#undef nic_dma
#include "tests/unit/drivers/intel_device.h"

enum { MTU = 9000 };

static struct intel dev;
static struct nic_buffer receive_buffers[INTEL_RX_RING], send_buffers[NIC_BUFFERS];

uint32_t region_read32(const struct pci_region *r, uint32_t offset)
{
	(void)r;
	return regs[offset / 4];
}

void region_write32(const struct pci_region *r, uint32_t offset, uint32_t value)
{
	(void)r;
	regs[offset / 4] = value;
}

static unsigned
	at_once; /* how often every descriptor was done as soon as it was there; 0: it is not */

static void ring_written(void)
{
	if (!at_once)
		return;
	if (at_once++ > 10 * INTEL_RX_RING)
		fail_msg("it would be looked at for ever");
	for (unsigned i = 0; i < INTEL_RX_RING; i++)
		dev.rx_ring[i].result = RX_DD | RX_EOP;
}

static int start(void **state)
{
	(void)state;
	memset(&dev, 0, sizeof(dev));
	memset(regs, 0, sizeof(regs));
	dev.nic.dma_offset = DMA_OFFSET;
	dev.nic.buffers = receive_buffers;
	dev.nic.mtu = MTU;
	dev.nic.can_send = NIC_CSUM | NIC_TSO4 | NIC_TSO6;
	wire_count = at_once = 0;
	intel_rx_start(&dev);
	intel_tx_start(&dev);
	intel_refill(&dev.nic);
	return 0;
}

static void fill(uint8_t *bytes, uint32_t count, unsigned seed)
{
	for (uint32_t i = 0; i < count; i++)
		bytes[i] = (uint8_t)(seed + i * 13 + i / 256);
}

static void release(const struct nic_frame *frame)
{
	for (unsigned i = 0; i < frame->segments; i++)
		intel_release(&dev.nic, frame->segment[i].buffer);
}

static void assert_frame(const struct nic_frame *frame, const uint8_t *bytes, uint32_t count)
{
	uint32_t at = 0;

	assert_non_null(frame);
	assert_int_equal(frame->bytes, count);
	for (unsigned i = 0; i < frame->segments; i++) {
		const struct nic_segment *s = &frame->segment[i];

		assert_ptr_equal(s->data, receive_buffers[s->buffer].byte + INTEL_RX_AT);
		assert_memory_equal(s->data, bytes + at, s->bytes);
		at += s->bytes;
	}
	assert_int_equal(at, count);
}

/* Every buffer is in the ring once: none lost, none twice. */
static void assert_all_back(void)
{
	bool seen[INTEL_RX_RING] = { false };

	assert_int_equal((unsigned)(dev.rx_tail - dev.rx_next) % INTEL_RX_RING, INTEL_RX_RING - 1);
	for (unsigned i = dev.rx_next; i != dev.rx_tail; i = (i + 1) % INTEL_RX_RING) {
		assert_true(dev.rx_buffer[i] < dev.nic.rx_buffers && !seen[dev.rx_buffer[i]]);
		seen[dev.rx_buffer[i]] = true;
	}
}

static void receives_every_frame(void **state)
{
	static uint8_t bytes[MTU + NIC_FRAME_EXTRA];

	(void)state;
	srand(2);
	for (unsigned i = 0; i < 3000; i++) {
		uint32_t count = 14 + (uint32_t)rand() % (MTU + NIC_FRAME_EXTRA - 13);
		struct nic_frame *frame;

		fill(bytes, count, i);
		assert_true(device_receive(bytes, count, 0));
		assert_true(intel_has_work(&dev, false));
		frame = intel_receive(&dev.nic);
		assert_frame(frame, bytes, count);
		release(frame);
		assert_null(intel_receive(&dev.nic));
		intel_refill(&dev.nic);
	}
	assert_int_equal(dev.nic.stats.rx_frames, 3000);
	assert_all_back();
}

static void waits_for_the_rest(void **state)
{
	static uint8_t bytes[5000];

	(void)state;
	fill(bytes, sizeof(bytes), 1);
	device_descriptor(bytes, INTEL_RX_BYTES, 0);
	assert_null(intel_receive(&dev.nic));
	device_descriptor(bytes + INTEL_RX_BYTES, INTEL_RX_BYTES, 0);
	assert_null(intel_receive(&dev.nic));
	assert_false(intel_has_work(&dev, false));
	device_descriptor(bytes + 2 * INTEL_RX_BYTES, 5000 - 2 * INTEL_RX_BYTES, RX_EOP);
	assert_frame(intel_receive(&dev.nic), bytes, sizeof(bytes));
}

static void tells_checked_sums(void **state)
{
	static const struct {
		uint64_t bits;
		uint8_t flags;
	} table[] = {
		{ RX_TCPCS | RX_IPCS, NET_DATA_VALID },
		{ RX_TCPCS, NET_DATA_VALID },
		{ RX_IPCS, 0 },
		{ RX_TCPCS | RX_IPCS | RX_TCPE, 0 },
		{ RX_TCPCS | RX_IPCS | RX_IPE, 0 },
		{ RX_TCPCS | RX_IPCS | RX_IXSM, 0 },
		{ 0, 0 },
	};
	static uint8_t bytes[100];

	(void)state;
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct nic_frame *frame;

		assert_true(device_receive(bytes, sizeof(bytes), table[i].bits));
		frame = intel_receive(&dev.nic);
		assert_non_null(frame);
		assert_int_equal(frame->header.flags, table[i].flags);
		assert_int_equal(frame->header.gso_type, NET_GSO_NONE);
	}
}

/* The caller has other things to do, too. */
static void a_receiver_that_is_never_empty(void **state)
{
	(void)state;
	at_once = 1;
	ring_written();
	assert_null(intel_receive(&dev.nic));
	assert_int_equal(dev.nic.stats.rx_errors, INTEL_RX_RING);
}

/* What the device must not say, or says of a bad frame: dropped and counted, and the next one is good. */
static void drops_bad_frames(void **state)
{
	static const struct {
		unsigned descriptors;
		uint32_t bytes;
		uint64_t bits;
	} table[] = {
		{ 1, 100, RX_CE },
		{ 1, 100, RX_SE },
		{ 1, 100, RX_SEQ },
		{ 1, 100, RX_CXE },
		{ 1, 100, RX_RXE },
		{ 1, 13, 0 },
		{ 1, 0, 0 },
		{ 5, 2000, 0 },
		{ 1, INTEL_RX_BYTES + 1, 0 },
		{ 1, 0xffff, 0 },
		{ 3, INTEL_RX_BYTES + 1, 0 },
		{ NIC_SEGMENTS, 100, RX_CE },
		{ NIC_SEGMENTS + 1, 100, 0 },
		{ 60, 100, 0 },
	};
	static uint8_t bytes[INTEL_RX_BYTES];

	(void)state;
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct nic_frame *frame;

		for (unsigned n = table[i].descriptors; n; n--)
			device_descriptor(bytes, table[i].bytes,
					  n == 1 ? RX_EOP | table[i].bits : 0);
		assert_null(intel_receive(&dev.nic));
		assert_int_equal(dev.nic.stats.rx_errors, i + 1);
		intel_refill(&dev.nic);
		assert_true(device_receive(bytes, 200, 0));
		frame = intel_receive(&dev.nic);
		assert_frame(frame, bytes, 200);
		release(frame);
		intel_refill(&dev.nic);
		assert_all_back();
	}
}

/* A frame of `bytes` in buffers from `first` on, `piece` bytes in each. */
static struct nic_frame *frame_from(const uint8_t *bytes, uint32_t count, uint16_t first,
				    uint32_t piece)
{
	static struct nic_frame frame;

	frame = (struct nic_frame){ .bytes = count };
	for (uint32_t at = 0; at < count; at += piece) {
		struct nic_segment *s = &frame.segment[frame.segments++];

		s->buffer = first++ % NIC_BUFFERS;
		s->data = send_buffers[s->buffer].byte + (at ? 0 : NET_HEADER);
		s->bytes = count - at < piece ? count - at : piece;
		memcpy(s->data, bytes + at, s->bytes);
	}
	return &frame;
}

static void sends_every_frame(void **state)
{
	static uint8_t bytes[MTU + NIC_FRAME_EXTRA];
	uint16_t next = 0, back = 0, buffer;

	(void)state;
	srand(3);
	for (unsigned i = 0; i < 5000; i++) {
		uint32_t count = 14 + (uint32_t)rand() % (MTU + NIC_FRAME_EXTRA - 13);
		struct nic_frame *frame;

		fill(bytes, count, i);
		frame = frame_from(bytes, count, next, 4000);
		next = (uint16_t)(next + frame->segments);
		assert_true(intel_send(&dev.nic, frame));
		intel_flush(&dev.nic);
		assert_false(intel_sent(&dev.nic, &buffer)); /* nothing is done yet */
		wire_count = 0;
		device_send(INTEL_TX_RING);
		assert_int_equal(wire_count, 1);
		assert_int_equal(wire_bytes[0], count);
		assert_memory_equal(wire[0], bytes, count);
		while (intel_sent(&dev.nic, &buffer))
			assert_int_equal(buffer, back++ % NIC_BUFFERS);
		assert_int_equal(back, next);
		assert_int_equal(dev.nic.sending, 0);
	}
	assert_int_equal(dev.nic.stats.tx_frames, 5000);
}

/* Buffers come back when the frame's last descriptor is done, not before. */
static void returns_buffers_of_whole_frames(void **state)
{
	static uint8_t bytes[9000];
	uint16_t buffer;

	(void)state;
	assert_true(intel_send(&dev.nic, frame_from(bytes, sizeof(bytes), 0, 4000)));
	intel_flush(&dev.nic);
	assert_int_equal(dev.nic.sending, 3);
	device_send(2);
	assert_false(intel_sent(&dev.nic, &buffer));
	assert_false(intel_has_work(&dev, true));
	device_send(1);
	assert_true(intel_has_work(&dev, true));
	assert_false(intel_has_work(&dev, false));
	for (uint16_t i = 0; i < 3; i++) {
		assert_true(intel_sent(&dev.nic, &buffer));
		assert_int_equal(buffer, i);
	}
	assert_false(intel_sent(&dev.nic, &buffer));
}

static void says_when_it_is_full(void **state)
{
	static uint8_t bytes[60];
	unsigned sent = 0;
	uint16_t buffer;

	(void)state;
	while (intel_send(&dev.nic, frame_from(bytes, sizeof(bytes), (uint16_t)sent, 4000)))
		sent++;
	assert_int_equal(sent, INTEL_TX_RING - 2); /* one stays empty, one is for a context */
	assert_int_equal(dev.nic.stats.tx_full, 1);
	intel_flush(&dev.nic);
	for (unsigned i = 0; i < sent; i++) {
		wire_count = 0;
		device_send(1);
	}
	for (unsigned i = 0; i < sent; i++) {
		assert_true(intel_sent(&dev.nic, &buffer));
		assert_int_equal(buffer, i % NIC_BUFFERS);
	}
	assert_true(intel_send(&dev.nic, frame_from(bytes, sizeof(bytes), 0, 4000)));
}

/* The frame of the wire has the right headers and the payload from `at` on. */
static void assert_segment(unsigned i, bool ipv4, uint32_t at, uint32_t payload)
{
	uint32_t tcp = tcp_at(ipv4), headers = tcp + TCP_BYTES, bytes = headers + payload;
	const uint8_t *f = wire[i];

	assert_int_equal(wire_bytes[i], bytes);
	assert_int_equal(get16(f + L3 + (ipv4 ? 2 : 4)), ipv4 ? bytes - L3 : bytes - tcp);
	if (ipv4)
		assert_int_equal(fold(sum16(f + L3, 20, 0)), 0xffff);
	assert_int_equal(fold(sum16(f + tcp, bytes - tcp, pseudo_sum(f, ipv4, bytes - tcp))),
			 0xffff);
	for (uint32_t n = 0; n < payload; n++)
		assert_int_equal(f[headers + n], (uint8_t)((at + n) * 7 + (at + n) / 251));
}

/* What is foreign is read by the device alone, in as many descriptors as its length takes; the one buffer
 * comes back when all of it is sent. */
static void sends_what_is_lent(void **state)
{
	static uint8_t bytes[FRAME];
	static const uint32_t lengths[][2] = { { 1000, 500 }, { 100, 30000 }, { 20000, 16289 } };
	uint16_t buffer;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		uint32_t head = tcp_at(true) + TCP_BYTES + 100, first = lengths[i][0];
		uint32_t count = tcp_frame(bytes, true, 100 + first + lengths[i][1]);
		struct nic_frame *frame = frame_from(bytes, head, 7, 4000);

		frame->header = tcp_header(true, 1460);
		frame->bytes = count;
		frame->segments = 3;
		frame->segment[1] =
			(struct nic_segment){ .bytes = first,
					      .buffer = NIC_FOREIGN,
					      .foreign = (uintptr_t)(bytes + head) + DMA_OFFSET };
		frame->segment[2] =
			(struct nic_segment){ .bytes = lengths[i][1],
					      .buffer = NIC_FOREIGN,
					      .foreign = (uintptr_t)(bytes + head + first) +
							 DMA_OFFSET };
		wire_count = 0;
		assert_true(intel_send(&dev.nic, frame));
		assert_int_equal(dev.nic.sending, 1);
		assert_true(nic_wants_sent(&dev.nic));
		intel_flush(&dev.nic);
		device_send(3);
		assert_false(intel_sent(&dev.nic, &buffer));
		device_send(INTEL_TX_RING);
		for (uint32_t n = 0, at = 0; n < wire_count; n++, at += 1460)
			assert_segment(n, true, at,
				       n + 1 < wire_count ? 1460 : count - (head - 100) - at);
		assert_true(intel_sent(&dev.nic, &buffer));
		assert_int_equal(buffer, 7);
		assert_false(intel_sent(&dev.nic, &buffer));
		assert_int_equal(dev.nic.foreign_out, 0);
		assert_int_equal(dev.nic.sending, 0);
	}
}

static void cuts_and_sums(void **state)
{
	static const struct {
		uint32_t payload;
		uint16_t segment;
	} table[] = { { 1, 0 }, { 1400, 0 }, { 1401, 1400 }, { 9000, 1000 }, { 65000, 1460 } };
	static uint8_t bytes[FRAME];
	uint16_t buffer;

	(void)state;
	for (unsigned i = 0; i < 2 * sizeof(table) / sizeof(table[0]); i++) {
		uint32_t payload = table[i / 2].payload, segment = table[i / 2].segment, at = 0;
		uint32_t count = tcp_frame(bytes, i & 1, payload);
		struct nic_frame *frame = frame_from(bytes, count, 0, 4084);

		frame->header = tcp_header(i & 1, table[i / 2].segment);
		assert_true(intel_send(&dev.nic, frame));
		intel_flush(&dev.nic);
		wire_count = 0;
		device_send(INTEL_TX_RING);
		if (!segment)
			segment = payload;
		assert_int_equal(wire_count, (payload + segment - 1) / segment);
		for (unsigned n = 0; n < wire_count; n++, at += segment)
			assert_segment(n, i & 1, at,
				       payload - at < segment ? payload - at : segment);
		for (unsigned n = 0; n < frame->segments; n++)
			assert_true(intel_sent(&dev.nic, &buffer));
		assert_false(intel_sent(&dev.nic, &buffer));
	}
}

/* Too long, too short, or work that the descriptors cannot tell */
static void refuses_what_it_cannot_send(void **state)
{
	static uint8_t bytes[FRAME];
	struct nic_frame *frame;

	(void)state;
	assert_false(intel_send(&dev.nic, frame_from(bytes, 13, 0, 4000)));
	assert_false(intel_send(&dev.nic, frame_from(bytes, MTU + NIC_FRAME_EXTRA + 1, 0, 4000)));
	frame = frame_from(bytes, tcp_frame(bytes, true, 20000), 0, 4000);
	frame->header = tcp_header(true, MTU);
	assert_false(intel_send(&dev.nic, frame)); /* segments beyond the MTU */
	frame = frame_from(bytes, 1000, 0, 4000);
	frame->header = (struct net_header){ .flags = NET_NEEDS_CSUM,
					     .csum_start = 250,
					     .csum_offset = 16 };
	assert_false(intel_send(&dev.nic, frame));
	assert_int_equal(dev.nic.stats.tx_bad, 4);
	assert_int_equal(dev.tx_next, 0);
	assert_int_equal(dev.nic.sending, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(receives_every_frame, start),
		cmocka_unit_test_setup(waits_for_the_rest, start),
		cmocka_unit_test_setup(tells_checked_sums, start),
		cmocka_unit_test_setup(drops_bad_frames, start),
		cmocka_unit_test_setup(a_receiver_that_is_never_empty, start),
		cmocka_unit_test_setup(sends_every_frame, start),
		cmocka_unit_test_setup(returns_buffers_of_whole_frames, start),
		cmocka_unit_test_setup(sends_what_is_lent, start),
		cmocka_unit_test_setup(says_when_it_is_full, start),
		cmocka_unit_test_setup(cuts_and_sums, start),
		cmocka_unit_test_setup(refuses_what_it_cannot_send, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
