/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does the driver's virtqueue notify and arm when it must, over index wrap-around, with and
 * without event index, and does it bear a device that lies? The device here is a few lines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "guest/lib/vq.c"

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
	vq_init(&vq, &memory, VQ_MAX, true);
	assert_ptr_equal(device_avail_event(), &memory.used.avail_event);
}

static void kicks_by_event_index(void **state)
{
	(void)state;
	for (uint16_t size = 1; size <= VQ_MAX; size *= 2) {
		vq_init(&vq, &memory, size, true);
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
	vq_init(&vq, &memory, 8, false);
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
	vq_init(&vq, &memory, 16, true);
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
	vq_init(&vq, &memory, 16, false);
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
	vq_init(&vq, &memory, 16, true);
	device_use(16, 0);
	assert_false(vq_pop(&vq, &elem));
	assert_true(vq.broken);
	vq_init(&vq, &memory, 16, true);
	memory.used.index = 17;
	assert_false(vq_pop(&vq, &elem));
	assert_true(vq.broken);
	assert_false(vq_pop(&vq, &elem));
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
