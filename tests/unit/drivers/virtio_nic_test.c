/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does the virtio-net driver move every frame with its header, whole and once, with every buffer
 * accounted for, and does it bear a device that lies? The device is in virtio_nic_device.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "drivers/virtio_net/virtio_nic.h"

/* The device may answer while the driver looks at the ring. */
static bool pop(struct vq *vq, struct vq_used_elem *elem);

#include "drivers/offload.c"
#define vq_pop pop
#include "drivers/virtio_net/rings.c"
#undef vq_pop
#include "guest/lib/vq.c"
#include "guest/lib/vq_packed.c"
#include "tests/unit/drivers/virtio_nic_device.h"

static void fill(uint8_t *bytes, uint32_t count, unsigned seed)
{
	for (uint32_t i = 0; i < count; i++)
		bytes[i] = (uint8_t)(seed + i * 13 + i / 256);
}

static void release(const struct nic_frame *frame)
{
	for (unsigned i = 0; i < frame->segments; i++)
		virtio_nic_release(&dev.nic, frame->segment[i].buffer);
	virtio_nic_refill(&dev.nic);
}

static void assert_all_back(void)
{
	for (unsigned i = 0; i < RING; i++)
		assert_true(dev.rx_out[i]);
	assert_int_equal((uint16_t)(dev.rx.published - dev.rx.last_used), RING);
}

static void receives_every_frame(void **state)
{
	static uint8_t bytes[FRAME];
	const struct net_header large = tcp_header(true, 1000);

	(void)state;
	srand(4);
	for (unsigned i = 0; i < 5000; i++) {
		bool is_large = i % 3 == 0;
		uint32_t most = is_large ? 65500 : MTU + NIC_FRAME_EXTRA;
		uint32_t count = 14 + (uint32_t)rand() % (most - 13), at = 0;
		struct nic_frame *frame;

		fill(bytes, count, i);
		device_receive(is_large ? large : (struct net_header){ 0 }, bytes, count);
		frame = virtio_nic_receive(&dev.nic);
		assert_non_null(frame);
		assert_int_equal(frame->bytes, count);
		assert_int_equal(frame->header.gso_type, is_large ? NET_GSO_TCPV4 : 0);
		for (unsigned n = 0; n < frame->segments; n++) {
			assert_memory_equal(frame->segment[n].data, bytes + at,
					    frame->segment[n].bytes);
			at += frame->segment[n].bytes;
		}
		assert_int_equal(at, count);
		release(frame);
		assert_null(virtio_nic_receive(&dev.nic));
	}
	assert_int_equal(dev.nic.stats.rx_frames, 5000);
	assert_all_back();
	assert_null(dev.nic.trouble);
}

static void drops_frames_of_wrong_length(void **state)
{
	static uint8_t bytes[MTU + NIC_FRAME_EXTRA + 1];

	(void)state;
	device_receive((struct net_header){ 0 }, bytes, 13);
	device_receive((struct net_header){ 0 }, bytes, sizeof(bytes));
	device_receive((struct net_header){ 0 }, bytes, 60);
	assert_int_equal(virtio_nic_receive(&dev.nic)->bytes, 60);
	assert_int_equal(dev.nic.stats.rx_errors, 2);
	release(&dev.nic.frame);
	assert_all_back();
	assert_null(dev.nic.trouble);
}

/* Used elements that no honest device returns; a header may go before. */
static void a_receiver_that_lies(void **state)
{
	static const struct {
		const char *what;
		uint16_t buffers;
		struct vq_used_elem elem[2];
		unsigned elems;
	} table[] = {
		{ "an id beyond the ring", 1, { { RING, 60 } }, 1 },
		{ "the same id twice", 2, { { 3, 60 }, { 3, 60 } }, 2 },
		{ "less than a header", 1, { { 0, 11 } }, 1 },
		{ "more than the buffer", 1, { { 0, NIC_BUFFER + 1 } }, 1 },
		{ "no buffer", 0, { { 0, 60 } }, 1 },
		{ "too many buffers", NIC_SEGMENTS + 1, { { 0, 60 } }, 1 },
		{ "fewer buffers than named", 2, { { 0, 60 } }, 1 },
		{ "a second one beyond the ring", 2, { { 0, 60 }, { 0xffffffff, 60 } }, 2 },
	};

	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		(void)start(state);
		for (unsigned n = 0; n < table[i].elems; n++) {
			uint32_t id = table[i].elem[n].id;

			if (id < RING)
				put16(receive_buffers[id].byte + 10,
				      (uint32_t)table[i].buffers << 8);
			use(&dev.rx_memory, id, table[i].elem[n].bytes);
		}
		assert_null(virtio_nic_receive(&dev.nic));
		if (!dev.nic.trouble)
			fail_msg("%s was borne", table[i].what);
	}
}

/* The caller has other things to do, too. */
static void a_receiver_that_is_never_empty(void **state)
{
	(void)state;
	receive_buffers[0].byte[10] = 1;
	at_once = 1;
	assert_null(virtio_nic_receive(&dev.nic));
	assert_int_equal(dev.nic.stats.rx_errors, RING);
}

static void one_that_stands_still_is_told(void **state)
{
	static const struct {
		uint8_t status[3];
		bool trouble;
	} table[] = {
		{ { 0x0f, 0x0b, 0x0f }, false }, /* paused, and on again */
		{ { 0x0f, 0x0b, 0x0b }, true },
		{ { 0x0f, 0x0f, 0x4f }, true },
	};

	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		(void)start(state);
		for (unsigned n = 0; n < 3; n++) {
			status = table[i].status[n];
			virtio_nic_count(&dev.nic);
		}
		assert_int_equal(dev.nic.trouble != NULL, table[i].trouble);
	}
}

/* A frame that is lent (lasthop/uplink.h): `head` bytes in the buffer, then where the device finds the rest. */
static void device_lend(const uint8_t *bytes, uint32_t head, uint32_t pieces, uint32_t piece_bytes)
{
	static uint8_t buffer[NIC_BUFFER];
	uint32_t at = uplink_pieces_at(head) - NET_HEADER;

	memcpy(buffer, bytes, head);
	for (uint32_t i = 0; i < pieces; i++, at += sizeof(struct uplink_piece)) {
		struct uplink_piece piece = {
			(uintptr_t)(bytes + head + i * piece_bytes) + DMA_OFFSET, piece_bytes, 0
		};

		memcpy(buffer + at, &piece, sizeof(piece));
	}
	device_receive((struct net_header){ .flags = UPLINK_LENT, .hdr_len = (uint16_t)head },
		       buffer, at);
}

/* It goes out as it came, by a driver that never looks at what is foreign, and its one buffer comes back. */
static void sends_what_is_lent(void **state)
{
	static uint8_t bytes[FRAME];
	struct nic_frame *frame;
	uint16_t buffer, head;

	(void)state;
	dev.nic.foreign = true;
	fill(bytes, sizeof(bytes), 3);
	for (uint32_t pieces = 1; pieces <= UPLINK_PIECES; pieces++) {
		uint32_t count = 200 + pieces + pieces * 500;

		device_lend(bytes, 200 + pieces, pieces, 500);
		frame = virtio_nic_receive(&dev.nic);
		assert_non_null(frame);
		assert_int_equal(frame->bytes, count);
		assert_int_equal(frame->segments, 1 + pieces);
		assert_int_equal(nic_frame_buffers(frame), 1);
		assert_int_equal(frame->header.flags, 0);
		assert_true(virtio_nic_send(&dev.nic, frame));
		assert_int_equal(dev.nic.sending, 1);
		virtio_nic_flush(&dev.nic);
		assert_int_equal(device_send(&head), NET_HEADER + count);
		assert_memory_equal(wire + NET_HEADER, bytes, count);
		use(&dev.tx_memory, head, 0);
		assert_true(virtio_nic_sent(&dev.nic, &buffer));
		virtio_nic_release(&dev.nic, buffer);
		virtio_nic_refill(&dev.nic);
		assert_false(virtio_nic_sent(&dev.nic, &buffer));
		assert_int_equal(dev.nic.sending, 0);
		assert_int_equal(dev.tx_free_count, RING);
	}
	assert_all_back();
	/* one that is too long is dropped, with its buffer alone */
	device_lend(bytes, 200, UPLINK_PIECES, 1000);
	assert_null(virtio_nic_receive(&dev.nic));
	assert_int_equal(dev.nic.stats.rx_errors, 1);
	virtio_nic_refill(&dev.nic);
	assert_all_back();
	assert_null(dev.nic.trouble);
}

/* Pieces that are none, too many, or of a frame whose beginning is longer than its buffer. */
static void a_lender_that_lies(void **state)
{
	static const struct {
		uint16_t hdr_len, buffers;
		uint32_t used;
	} table[] = {
		{ 100, 1, 112 }, { 100, 1, 112 + 18 * 16 }, { 4000, 1, 300 }, { 100, 2, 128 }
	};

	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		(void)start(state);
		dev.nic.foreign = true;
		receive_buffers[0].byte[0] = UPLINK_LENT;
		memcpy(receive_buffers[0].byte + 2, &table[i].hdr_len, 2);
		memcpy(receive_buffers[0].byte + 10, &table[i].buffers, 2);
		use(&dev.rx_memory, 0, table[i].used);
		assert_null(virtio_nic_receive(&dev.nic));
		assert_non_null(dev.nic.trouble);
	}
}

static struct nic_frame *frame_from(const uint8_t *bytes, uint32_t count, uint16_t first)
{
	static struct nic_frame frame;
	const uint32_t piece = NIC_BUFFER - NET_HEADER;

	frame = (struct nic_frame){ .bytes = count };
	for (uint32_t at = 0; at < count; at += piece) {
		struct nic_segment *s = &frame.segment[frame.segments++];

		s->buffer = first++ % NIC_BUFFERS;
		s->data = send_buffers[s->buffer].byte + NET_HEADER;
		s->bytes = count - at < piece ? count - at : piece;
		memcpy(s->data, bytes + at, s->bytes);
	}
	return &frame;
}

static void sends_every_frame(void **state)
{
	static uint8_t bytes[FRAME];
	uint16_t next = 0, back = 0, buffer, head;

	(void)state;
	srand(5);
	for (unsigned i = 0; i < 5000; i++) {
		bool is_large = i % 3 == 0;
		uint32_t payload = (uint32_t)rand() % (is_large ? 65000 : MTU - 200);
		uint32_t count = tcp_frame(bytes, i & 1, payload + 1);
		struct nic_frame *frame = frame_from(bytes, count, next);
		struct net_header *header = (void *)wire;

		next = (uint16_t)(next + frame->segments);
		frame->header = tcp_header(i & 1, is_large ? 1000 : 0);
		assert_true(virtio_nic_send(&dev.nic, frame));
		virtio_nic_flush(&dev.nic);
		assert_int_equal(device_send(&head), NET_HEADER + count);
		assert_int_equal(header->gso_size, is_large ? 1000 : 0);
		assert_int_equal(header->csum_start, tcp_at(i & 1));
		assert_int_equal(header->num_buffers, 0);
		assert_memory_equal(wire + NET_HEADER, bytes, count);
		assert_false(virtio_nic_sent(&dev.nic, &buffer));
		use(&dev.tx_memory, head, 0);
		while (virtio_nic_sent(&dev.nic, &buffer))
			assert_int_equal(buffer, back++ % NIC_BUFFERS);
		assert_int_equal(back, next);
		assert_int_equal(dev.nic.sending, 0);
		assert_int_equal(dev.tx_free_count, RING);
	}
	assert_null(dev.nic.trouble);
}

/* Chains that come back in another order keep their own buffers. */
static void returns_buffers_out_of_order(void **state)
{
	static uint8_t bytes[9000];
	uint16_t head[3], buffer;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		assert_true(virtio_nic_send(&dev.nic, frame_from(bytes, 9000, (uint16_t)(10 * i))));
	virtio_nic_flush(&dev.nic);
	for (unsigned i = 0; i < 3; i++)
		(void)device_send(&head[i]);
	use(&dev.tx_memory, head[2], 0);
	use(&dev.tx_memory, head[0], 0);
	for (unsigned i = 0; i < 6; i++) {
		assert_true(virtio_nic_sent(&dev.nic, &buffer));
		assert_int_equal(buffer, (i < 3 ? 20 : 0) + i % 3);
	}
	assert_false(virtio_nic_sent(&dev.nic, &buffer));
	assert_int_equal(dev.nic.sending, 3);
}

static void says_when_it_is_full(void **state)
{
	static uint8_t bytes[60];
	unsigned sent = 0;

	(void)state;
	while (virtio_nic_send(&dev.nic, frame_from(bytes, sizeof(bytes), (uint16_t)sent)))
		sent++;
	assert_int_equal(sent, RING);
	assert_int_equal(dev.nic.stats.tx_full, 1);
}

static void a_sender_that_lies(void **state)
{
	static uint8_t bytes[9000];
	uint16_t head, buffer;

	for (unsigned lie = 0; lie < 4; lie++) {
		(void)start(state);
		assert_true(virtio_nic_send(&dev.nic, frame_from(bytes, 9000, 0)));
		virtio_nic_flush(&dev.nic);
		(void)device_send(&head);
		if (lie == 0)
			use(&dev.tx_memory, RING, 0);
		else if (lie == 1) /* within a chain */
			use(&dev.tx_memory, dev.tx_memory.desc[head].next, 0);
		else if (lie == 2) /* never sent */
			use(&dev.tx_memory, (head + 100u) % RING, 0);
		for (unsigned i = 0; lie == 3 && i < 2; i++) /* twice */
			use(&dev.tx_memory, head, 0);
		for (unsigned i = 0; lie == 3 && i < 3; i++)
			assert_true(virtio_nic_sent(&dev.nic, &buffer));
		assert_false(virtio_nic_sent(&dev.nic, &buffer));
		assert_non_null(dev.nic.trouble);
	}
}

/* What it says of a checksum is for lasthop's switch alone, and what was not agreed on is refused. */
static void tells_what_it_may(void **state)
{
	static uint8_t bytes[1000];
	struct net_header *header = (void *)wire;
	struct nic_frame *frame;
	uint16_t head;

	(void)state;
	for (int uplink = 0; uplink < 2; uplink++) {
		dev.is_uplink = uplink;
		frame = frame_from(bytes, 60, 0);
		frame->header.flags = NET_DATA_VALID;
		assert_true(virtio_nic_send(&dev.nic, frame));
		(void)device_send(&head);
		assert_int_equal(header->flags, uplink ? NET_DATA_VALID : 0);
	}
	dev.nic.can_send = 0;
	frame = frame_from(bytes, tcp_frame(bytes, true, 500), 0);
	frame->header = tcp_header(true, 0);
	assert_false(virtio_nic_send(&dev.nic, frame));
	assert_false(virtio_nic_send(&dev.nic, frame_from(bytes, 13, 0)));
	assert_int_equal(dev.nic.stats.tx_bad, 2);
}

/* Interrupts: for one received frame, for sent ones only when many are out. */
static void arms_for_what_matters(void **state)
{
	static uint8_t bytes[60];
	uint16_t head;

	(void)state;
	dev.nic.tx_wake = 4;
	assert_true(virtio_nic_arm(&dev.nic));
	device_receive((struct net_header){ 0 }, bytes, 60);
	assert_false(virtio_nic_arm(&dev.nic));
	release(virtio_nic_receive(&dev.nic));
	for (unsigned i = 1; i <= 4; i++) {
		assert_true(virtio_nic_send(&dev.nic, frame_from(bytes, 60, (uint16_t)i)));
		virtio_nic_flush(&dev.nic);
		assert_true(virtio_nic_arm(&dev.nic));
	}
	(void)device_send(&head);
	use(&dev.tx_memory, head, 0);
	assert_true(virtio_nic_arm(&dev.nic)); /* half of them are to be done */
	(void)device_send(&head);
	use(&dev.tx_memory, head, 0);
	assert_false(virtio_nic_arm(&dev.nic));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(receives_every_frame, start),
		cmocka_unit_test_setup(drops_frames_of_wrong_length, start),
		cmocka_unit_test_setup(a_receiver_that_lies, start),
		cmocka_unit_test_setup(a_receiver_that_is_never_empty, start),
		cmocka_unit_test_setup(one_that_stands_still_is_told, start),
		cmocka_unit_test_setup(sends_what_is_lent, start),
		cmocka_unit_test_setup(a_lender_that_lies, start),
		cmocka_unit_test_setup(sends_every_frame, start),
		cmocka_unit_test_setup(returns_buffers_out_of_order, start),
		cmocka_unit_test_setup(says_when_it_is_full, start),
		cmocka_unit_test_setup(a_sender_that_lies, start),
		cmocka_unit_test_setup(tells_what_it_may, start),
		cmocka_unit_test_setup(arms_for_what_matters, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
