/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: does nothing pass a port whose link is down, is all of it counted, and is everything as
 * before when it is up again? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/vswitch/driver.h"
#include "vswitch/switch_impl.h"

static struct vswitch *sw;
static struct guest *a, *b;
static uint8_t frame[64], got[DRV_BUF];

static int setup(void **state)
{
	(void)state;
	sw = switch_create("lan");
	a = guest_create(sw, &(struct guest_config){ .name = "a" });
	b = guest_create(sw, &(struct guest_config){ .name = "b" });
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_true(port_counters_balance(a->port) && port_counters_balance(b->port));
	assert_true(switch_counters_balance(sw));
	guest_destroy(a);
	guest_destroy(b);
	switch_destroy(sw);
	return env_allocs != 0;
}

static bool passes(struct guest *from, struct guest *to)
{
	size_t bytes;

	frame_make(frame, sizeof(frame), to == a ? 1 : 2, from == a ? 1 : 2, 5);
	assert_true(drv_send(from, NULL, frame, sizeof(frame), LAYOUT_ONE));
	drv_publish(&from->tx);
	port_kick(from->port, 1, VS_BATCH);
	drv_reap(from);
	bytes = drv_receive(to, got, sizeof(got));
	drv_publish(&to->rx);
	return bytes != 0;
}

static void both_ways(bool pass)
{
	for (unsigned i = 0; i < 3;
	     i++) { /* unknown at first, then learned, then as the last one */
		assert_int_equal(passes(a, b), pass);
		assert_int_equal(passes(b, a), pass);
	}
}

static void nothing_passes(void **state)
{
	(void)state;
	assert_true(port_link(a->port));
	both_ways(true);
	port_set_link(a->port, false);
	assert_false(port_link(a->port));
	assert_true(port_link(b->port));
	both_ways(false);
	assert_int_equal(port_counter(a->port, STAT_tx_drop_unplugged), 3);
	assert_int_equal(port_counter(a->port, STAT_rx_drop_link_down), 3);
	assert_int_equal(port_counter(b->port, STAT_tx_drop_receiver), 3);
	assert_int_equal(port_counter_drops(a->port, false), 3);
	port_set_link(a->port, true);
	both_ways(true);
	assert_int_equal(port_counter_drops(a->port, false), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_passes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
