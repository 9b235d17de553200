/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: is no wake-up lost, whenever the driver puts a packet while its queue is being
 * served? vswitch/service.c and tx_read.c are compiled in here with their looks at the ring replaced by ones at
 * which, before or after the n-th, the driver puts a packet, and kicks if the device wants it;
 * each n is tried. What the model (tests/model/kick.pml) proves of the protocol, this asks of
 * the code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/vswitch/driver.h"
#include "vswitch/switch_impl.h"

static void step(void);

static uint16_t hooked_avail_idx(const struct vq *vq)
{
	uint16_t idx;

	step();
	idx = vq_avail_idx(vq);
	step();
	return idx;
}

static bool hooked_has(const struct vq *vq, uint16_t pos)
{
	bool has;

	step();
	has = vq_has(vq, pos);
	step();
	return has;
}

static enum vq_fault hooked_read(const struct vq *vq, uint16_t pos, uint16_t avail, enum vq_dir dir,
				 uint64_t want, struct seg *seg, unsigned room,
				 struct vq_chain *out)
{
	enum vq_fault fault;

	step();
	fault = vq_read(vq, pos, avail, dir, want, seg, room, out);
	step();
	return fault;
}

static void hooked_arm_kick(const struct vq *vq, uint16_t pos)
{
	step();
	vq_arm_kick(vq, pos);
	step();
}

static void hooked_disarm_kick(const struct vq *vq, uint16_t pos)
{
	step();
	vq_disarm_kick(vq, pos);
	step();
}

#define vq_avail_idx   hooked_avail_idx
#define vq_has	       hooked_has
#define vq_read	       hooked_read
#define vq_arm_kick    hooked_arm_kick
#define vq_disarm_kick hooked_disarm_kick
#include "vswitch/service.c"
#include "vswitch/tx_read.c"

static struct guest *a;
static unsigned steps_left[2]; /* until the driver puts packet 1, and 2; 0: it has */
static unsigned put;

static void put_one(void)
{
	uint8_t frame[60];

	frame_make(frame, sizeof(frame), 2, 1, put++);
	assert_true(drv_send(a, NULL, frame, sizeof(frame), LAYOUT_ONE));
	if (!drv_publish(&a->tx))
		return;
	/* the kick is handled on another CPU */
	env_this_cpu ^= 1;
	port_kick(a->port, 1, 1);
	env_this_cpu ^= 1;
}

static void step(void)
{
	for (unsigned i = 0; i < 2; i++)
		if (steps_left[i] > 0 && --steps_left[i] == 0)
			put_one();
}

/* Packet 0, whose kick starts the service, with packets 1 and 2 put at the given steps of it. How
 * many were put. */
static unsigned play(uint64_t features, unsigned first, unsigned second, unsigned quota)
{
	struct vswitch *sw = switch_create("rearm");
	unsigned all;

	a = guest_create(sw, &(struct guest_config){ .name = "a", .features = features });
	put = 0;
	steps_left[0] = first;
	steps_left[1] = second;
	put_one();
	/* what was announced is taken up; all else needs a kick */
	for (unsigned done = 0; done < a->env.more_work[1]; done++) {
		assert_in_range(done, 0, 100);
		port_service(a->port, 1, quota);
	}
	if (port_counter(a->port, STAT_tx_packets) != put)
		fail_msg("asleep with %u of %u taken: steps %u and %u, quota %u",
			 (unsigned)port_counter(a->port, STAT_tx_packets), put, first, second,
			 quota);
	all = put;
	guest_destroy(a);
	switch_destroy(sw);
	return all;
}

static void every_moment(uint64_t features)
{
	unsigned first = 1, second;

	for (unsigned quota = 1; quota <= 3; quota++)
		for (first = 1; play(features, first, 0, quota) == 2; first++)
			for (second = 1; play(features, first, second, quota) == 3; second++)
				assert_in_range(second, 1, 1000);
	assert_in_range(first, 5, 1000);
}

static void with_event_index(void **state)
{
	(void)state;
	every_moment(VIRTIO_F_EVENT_IDX);
}

static void with_flags(void **state)
{
	(void)state;
	every_moment(0);
}

static void packed(void **state)
{
	(void)state;
	every_moment(VIRTIO_F_RING_PACKED);
	every_moment(VIRTIO_F_RING_PACKED | VIRTIO_F_EVENT_IDX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_event_index),
		cmocka_unit_test(with_flags),
		cmocka_unit_test(packed),
	};

	return cmocka_run_group_tests_name("vswitch/rearm", tests, NULL, NULL);
}
