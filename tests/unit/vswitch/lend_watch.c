/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: how long can a driver domain keep a CPU looking for what comes back, if it moves its available index
 * at each look? vswitch/lend.c is compiled in here with its looks at the ring replaced by ones that count, and
 * that find the index wherever the driver wants it.
 */
#include "vswitch/switch_impl.h"

static uint16_t hooked_avail_idx(const struct vq *vq);
static uint16_t hooked_avail_head(const struct vq *vq, uint16_t pos);

#define vq_avail_idx  hooked_avail_idx
#define vq_avail_head hooked_avail_head
#include "vswitch/lend.c"
#undef vq_avail_idx
#undef vq_avail_head

#include "tests/unit/vswitch/loans.h"

/* What the next look finds, from where the switch has come to; n: so manieth. NULL: what is there. */
static uint16_t (*moved)(const struct queue *q, unsigned n);
static unsigned looks, searched;

static uint16_t hooked_avail_idx(const struct vq *vq)
{
	const struct queue *q = &up->port->queue[0];

	if (vq != &q->vq || moved == NULL)
		return vq_avail_idx(vq);
	return moved(q, looks++);
}

static uint16_t hooked_avail_head(const struct vq *vq, uint16_t pos)
{
	searched++;
	return vq_avail_head(vq, pos);
}

static uint16_t a_ring_further(const struct queue *q, unsigned n)
{
	(void)n;
	return (uint16_t)(q->seen + q->vq.size);
}

static uint16_t by_one(const struct queue *q, unsigned n)
{
	(void)n;
	return (uint16_t)(q->seen + 1);
}

static uint16_t back_and_forth(const struct queue *q, unsigned n)
{
	return (uint16_t)(n % 2 ? q->seen - 1 : q->seen + 5);
}

static uint16_t within_what_is_offered(const struct queue *q, unsigned n)
{
	static const uint16_t at[] = { 0, 256, 255, 1, 200, 256, 3 };

	return (uint16_t)(q->next + at[n % 7]);
}

static uint16_t further_then_back(const struct queue *q, unsigned n)
{
	return (uint16_t)(n % 3 == 2 ? q->next : q->seen + q->vq.size);
}

static void bounded(void **state)
{
	uint16_t (*const ways[])(const struct queue *, unsigned) = {
		a_ring_further, by_one, back_and_forth, within_what_is_offered, further_then_back,
	};

	for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		teardown(state);
		begin(ALL | UPLINK_F_REUSE, ALL);
		put(a, WORLD, BYTES, LAYOUT_TWO);
		serve(a);
		assert_int_equal(lent(), 1);
		/* it hides the one that is lent: no look finds it */
		for (unsigned n = 0; n < up->rx.size; n++)
			up->rx.avail[2 + n] = 0xffff;
		moved = ways[i];
		for (unsigned kick = 0; kick < 10; kick++) {
			looks = searched = 0;
			port_kick(up->port, 0, VS_BATCH);
			assert_true(searched <= 2 * up->rx.size);
			assert_true(looks <= 2 * (up->rx.size + 2));
		}
		moved = NULL;
		assert_int_equal(up->env.shared, 1);
		assert_int_equal(drv_reap(a), 0);
	}
	/* and it is had back */
	guest_reset(up);
	port_service(a->port, 1, VS_BATCH);
	assert_int_equal(drv_reap(a), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bounded, setup, teardown),
	};

	return cmocka_run_group_tests_name("lend_watch", tests, NULL, NULL);
}
