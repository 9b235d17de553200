/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does the driver's virtqueue, split or packed, notify and arm when it must, over index wrap-around,
 * with and without event index, and does it bear a device that lies? The device here is a few lines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "guest/lib/vq.c"
#include "guest/lib/vq_packed.c"

static struct vq_memory memory;
static struct vq vq;

static uint16_t device_avail(void)
{
	return memory.avail[1];
}

static uint16_t *device_avail_event(void)
{
	return (uint16_t *)&memory.used.ring[vq.size];
}

static uint16_t device_used_event(void)
{
	return memory.avail[2 + vq.size];
}

static void device_use(uint32_t id, uint32_t bytes)
{
	memory.used.ring[memory.used.index % vq.size] = (struct vq_used_elem){ id, bytes };
	memory.used.index++;
}

/* virtio 1.2, 2.7.7.2: whether the device interrupts after a move of its index */
static bool device_interrupts(uint16_t old)
{
	return (uint16_t)(memory.used.index - device_used_event() - 1) <
	       (uint16_t)(memory.used.index - old);
}

static void layout(void **state)
{
	(void)state;
	assert_int_equal(offsetof(struct vq_memory, avail) % 2, 0);
	assert_int_equal(offsetof(struct vq_memory, used) % 4, 0);
	assert_int_equal((char *)&memory.used.ring[0] - (char *)&memory.used, 4);
	vq_init(&vq, &memory, VQ_MAX, true, VQ_SPLIT);
	assert_ptr_equal(device_avail_event(), &memory.used.avail_event);
}

static void kicks_by_event_index(void **state)
{
	(void)state;
	for (uint16_t size = 1; size <= VQ_MAX; size *= 2) {
		vq_init(&vq, &memory, size, true, VQ_SPLIT);
		assert_false(vq_publish(&vq));
		for (unsigned i = 0; i < 200000; i++) {
			uint16_t next = device_avail();

			*device_avail_event() = next; /* wants to hear of the next one */
			vq_push(&vq, (uint16_t)(i % size));
			assert_int_equal(device_avail(), next);
			assert_true(vq_publish(&vq));
			assert_int_equal(memory.avail[2 + next % size], i % size);
			vq_push(&vq, 0); /* the event is behind now */
			assert_false(vq_publish(&vq));
		}
	}
}

static void kicks_by_flag(void **state)
{
	(void)state;
	vq_init(&vq, &memory, 8, false, VQ_SPLIT);
	vq_push(&vq, 1);
	assert_true(vq_publish(&vq));
	memory.used.flags = VQ_USED_NO_NOTIFY;
	vq_push(&vq, 2);
	assert_false(vq_publish(&vq));
}

static void interrupts_by_event_index(void **state)
{
	struct vq_used_elem elem;

	(void)state;
	vq_init(&vq, &memory, 16, true, VQ_SPLIT);
	for (unsigned i = 0; i < 100000; i++) {
		uint16_t old = memory.used.index;

		device_use(i % 16, i);
		assert_false(device_interrupts(old)); /* disarmed */
		assert_true(vq_pop(&vq, &elem));
		assert_int_equal(elem.bytes, i);
		assert_false(vq_pop(&vq, &elem));

		assert_true(vq_arm(&vq, 3));
		old = memory.used.index;
		device_use(0, 0);
		device_use(1, 0);
		assert_false(device_interrupts(old));
		old = memory.used.index;
		device_use(2, 0);
		assert_true(device_interrupts(old));
		assert_false(vq_arm(&vq, 3)); /* they are there already */
		assert_true(vq_arm(&vq, 4));
		while (vq_pop(&vq, &elem))
			;
		vq_disarm(&vq);
	}
}

static void interrupts_by_flag(void **state)
{
	(void)state;
	vq_init(&vq, &memory, 16, false, VQ_SPLIT);
	assert_int_equal(memory.avail[0], VQ_AVAIL_NO_INTERRUPT);
	assert_true(vq_arm(&vq, 1));
	assert_int_equal(memory.avail[0], 0);
	vq_disarm(&vq);
	assert_int_equal(memory.avail[0], VQ_AVAIL_NO_INTERRUPT);
}

static void a_device_that_lies(void **state)
{
	struct vq_used_elem elem;

	(void)state;
	vq_init(&vq, &memory, 16, true, VQ_SPLIT);
	device_use(16, 0);
	assert_false(vq_pop(&vq, &elem));
	assert_true(vq.broken);
	vq_init(&vq, &memory, 16, true, VQ_SPLIT);
	memory.used.index = 17;
	assert_false(vq_pop(&vq, &elem));
	assert_true(vq.broken);
	assert_false(vq_pop(&vq, &elem));
}

/* A packed ring's device: takes chains in order, gives them back. */
static uint16_t device_pos;

static uint16_t device_next(uint16_t pos)
{
	return (pos & 0x7fff) + 1 < vq.size ? (uint16_t)(pos + 1) : (uint16_t)(~pos & VQ_WRAP);
}

/* Takes one chain and gives it back: entries of it, or 0. */
static unsigned device_serve(uint32_t bytes)
{
	uint16_t first = device_pos, flags;
	unsigned entries = 0;
	uint64_t word;

	do {
		bool wrap = device_pos & VQ_WRAP;

		word = memory.ring[device_pos & 0x7fff].word;
		flags = (uint16_t)(word >> 48);
		if ((flags >> 7 & 1) != wrap || flags >> 15 == wrap) {
			assert_int_equal(entries, 0);
			return 0;
		}
		device_pos = device_next(device_pos);
		entries++;
	} while (flags & VQ_DESC_NEXT);
	flags = first & VQ_WRAP ? 0x8080 : 0;
	memory.ring[first & 0x7fff].word = (uint64_t)flags << 48 | (word & 0xffff00000000) | bytes;
	return entries;
}

static void packed_round(uint32_t n)
{
	struct vq_used_elem elem;

	memory.device_event = 2u << 16 | vq.next; /* wants to hear of the next */
	vq_push(&vq, 1);
	assert_int_equal(device_serve(0), 0); /* not shown yet */
	assert_true(vq_publish(&vq));
	assert_false(vq_pop(&vq, &elem));
	assert_true(vq_arm(&vq, 1));
	assert_int_equal(memory.driver_event, 2u << 16 | vq.last);
	assert_int_equal(device_serve(n), 2);
	assert_int_equal(device_serve(n), 0);
	assert_false(vq_arm(&vq, 1)); /* it is there already */
	assert_true(vq_pop(&vq, &elem));
	assert_int_equal(elem.id, 1);
	assert_int_equal(elem.bytes, n);
	assert_false(vq_pop(&vq, &elem));
	memory.device_event = 2u << 16 | device_next(device_pos); /* not reached by one entry */
	vq_push(&vq, 0);
	assert_false(vq_publish(&vq));
	assert_int_equal(device_serve(n), 1);
	assert_true(vq_pop(&vq, &elem));
}

static void packed_rounds(void **state)
{
	(void)state;
	for (uint16_t size = 2; size <= VQ_MAX; size *= 2) {
		vq_init(&vq, &memory, size, true, VQ_PACKED);
		device_pos = VQ_WRAP;
		memory.desc[1] = (struct vq_desc){ 0x1000, 7, VQ_DESC_NEXT, 0 };
		memory.desc[0] = (struct vq_desc){ 0x2000, 9, 0, 0 };
		assert_false(vq_publish(&vq));
		for (uint32_t i = 0; i < 3000; i++)
			packed_round(i);
	}
}

static void packed_events(void **state)
{
	(void)state;
	vq_init(&vq, &memory, 16, false, VQ_PACKED);
	assert_int_equal(memory.driver_event >> 16, 1);
	vq_push(&vq, 0);
	assert_true(vq_publish(&vq));
	memory.device_event = 1u << 16;
	vq_push(&vq, 0);
	assert_false(vq_publish(&vq));
	assert_true(vq_arm(&vq, 2));
	assert_int_equal(memory.driver_event >> 16, 0);
	vq_disarm(&vq);
	assert_int_equal(memory.driver_event >> 16, 1);
	memory.device_event = 2u << 16 | 16; /* beyond the ring */
	vq_push(&vq, 0);
	assert_true(vq_publish(&vq));
}

static void a_packed_device_that_lies(void **state)
{
	static const uint16_t ids[] = { 16, 5, 0xffff }; /* too large, not out, too large */
	struct vq_used_elem elem;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		vq_init(&vq, &memory, 16, true, VQ_PACKED);
		vq_push(&vq, 0);
		assert_true(vq_publish(&vq));
		memory.ring[0].word = 0x8080ull << 48 | (uint64_t)ids[i] << 32;
		assert_false(vq_pop(&vq, &elem));
		assert_true(vq.broken);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layout),
		cmocka_unit_test(kicks_by_event_index),
		cmocka_unit_test(kicks_by_flag),
		cmocka_unit_test(interrupts_by_event_index),
		cmocka_unit_test(interrupts_by_flag),
		cmocka_unit_test(a_device_that_lies),
		cmocka_unit_test(packed_rounds),
		cmocka_unit_test(packed_events),
		cmocka_unit_test(a_packed_device_that_lies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
