/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: do uplinks lead to the world and nowhere else: no frame from one to another, no address of
 * a port here lost to the world, room in the FDB for guests whatever the world sends, and does a port
 * keep its place when the driver behind it is another?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/vswitch/driver.h"
#include "vswitch/fdb.h"
#include "vswitch/filter.h"
#include "vswitch/policy.h"

enum { A = 1, B = 2, WORLD = 100, EVERYBODY = 0xff };
enum { FIRST, SECOND, GUEST_A, GUEST_B, GUESTS };

static struct vswitch *sw;
static struct guest *g[GUESTS];
static bool one_left; /* a port is gone, and its share of the switch's counters */
static uint8_t frame[64], got[DRV_BUF];

static struct guest *make(const char *name, unsigned number, bool uplink)
{
	const uint8_t mac[6] = { 0x52, 0x54, 0, 0, 0, (uint8_t)number };

	return guest_create(sw,
			    &(struct guest_config){ .name = name, .mac = mac, .uplink = uplink });
}

static int setup(void **state)
{
	(void)state;
	one_left = false;
	sw = switch_create("lan");
	g[FIRST] = make("first", 10, true);
	g[SECOND] = make("second", 11, true);
	g[GUEST_A] = make("a", A, false);
	g[GUEST_B] = make("b", B, false);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < GUESTS; i++)
		assert_true(port_counters_balance(g[i]->port));
	assert_true(one_left || switch_counters_balance(sw));
	for (unsigned i = 0; i < GUESTS; i++)
		guest_destroy(g[i]);
	switch_destroy(sw);
	return env_allocs != 0;
}

static enum verdict inject(unsigned from, unsigned dst, unsigned src)
{
	frame_make(frame, sizeof(frame), dst, src, 7);
	return port_inject(g[from]->port, frame, sizeof(frame));
}

/* Which guests got a frame since the last call: a bit each. */
static unsigned receivers(void)
{
	unsigned set = 0;

	for (unsigned i = 0; i < GUESTS; i++) {
		while (drv_receive(g[i], got, sizeof(got)) != 0)
			set |= 1u << i;
		drv_publish(&g[i]->rx);
	}
	return set;
}

static const struct port *behind(unsigned number)
{
	static struct fdb_view view[FDB_BUCKETS * FDB_WAYS];
	unsigned count = switch_fdb(sw, view, FDB_BUCKETS * FDB_WAYS);

	for (unsigned i = 0; i < count; i++)
		if (view[i].mac[0] == 0x52 && (view[i].mac[4] << 8 | view[i].mac[5]) == (int)number)
			return view[i].port;
	return NULL;
}

static void no_transit(void **state)
{
	(void)state;
	assert_int_equal(inject(GUEST_A, EVERYBODY, A), VERDICT_FLOODED);
	assert_int_equal(receivers(), 1u << FIRST | 1u << SECOND | 1u << GUEST_B);
	assert_int_equal(inject(FIRST, EVERYBODY, WORLD), VERDICT_FLOODED);
	assert_int_equal(receivers(), 1u << GUEST_A | 1u << GUEST_B);
	/* a guest's frame to it, and one from the other uplink */
	assert_int_equal(inject(GUEST_A, WORLD, A), VERDICT_DELIVERED);
	assert_int_equal(receivers(), 1u << FIRST);
	assert_int_equal(inject(SECOND, WORLD, WORLD + 1), VERDICT_DROP_TRANSIT);
	assert_int_equal(receivers(), 0);
	assert_int_equal(port_counter(g[SECOND]->port, STAT_tx_drop_transit), 1);
	/* it was learned all the same */
	assert_int_equal(inject(GUEST_B, WORLD + 1, B), VERDICT_DELIVERED);
	assert_int_equal(receivers(), 1u << SECOND);
	assert_int_equal(inject(FIRST, A, WORLD), VERDICT_DELIVERED);
	assert_int_equal(receivers(), 1u << GUEST_A);
}

/* Whether or not the guest has been heard of. */
static void reflected(void **state)
{
	(void)state;
	for (unsigned known = 0; known < 2; known++) {
		assert_int_equal(inject(FIRST, EVERYBODY, B), VERDICT_DROP_REFLECTED);
		assert_int_equal(receivers(), 0);
		assert_ptr_equal(behind(B), known ? g[GUEST_B]->port : NULL);
		inject(GUEST_B, EVERYBODY, B);
		receivers();
	}
	assert_int_equal(port_counter(g[FIRST]->port, STAT_tx_drop_reflected), 2);
	/* behind each other, in one batch: only the good one passes */
	for (unsigned i = 0; i < 3; i++) {
		frame_make(frame, sizeof(frame), A, i == 1 ? B : WORLD, 7);
		assert_true(drv_send(g[FIRST], NULL, frame, sizeof(frame), LAYOUT_ONE));
	}
	inject(GUEST_A, EVERYBODY, A);
	receivers();
	drv_publish(&g[FIRST]->tx);
	port_kick(g[FIRST]->port, 1, VS_BATCH);
	drv_reap(g[FIRST]);
	assert_int_equal(port_counter(g[FIRST]->port, STAT_tx_drop_reflected), 3);
	assert_int_equal(receivers(), 1u << GUEST_A);
	/* an uplink's own address is its VM's */
	assert_int_equal(inject(FIRST, EVERYBODY, 10), VERDICT_FLOODED);
	receivers();
}

/* A VM that comes from another machine, and one that goes there. */
static void an_address_moves(void **state)
{
	enum { MOVER = 50 };

	(void)state;
	inject(FIRST, EVERYBODY, MOVER);
	assert_ptr_equal(behind(MOVER), g[FIRST]->port);
	inject(GUEST_A, EVERYBODY, MOVER);
	assert_ptr_equal(behind(MOVER), g[GUEST_A]->port);
	inject(SECOND, EVERYBODY, MOVER);
	assert_ptr_equal(behind(MOVER), g[SECOND]->port);
	receivers();
}

static void the_world_does_not_fill_the_table(void **state)
{
	unsigned learned = 0;

	(void)state;
	for (unsigned i = 0; i < 3 * FDB_BUCKETS * FDB_WAYS; i++)
		inject(i % 2, EVERYBODY, 1000 + i);
	receivers();
	assert_true(port_counter(g[FIRST]->port, STAT_fdb_full) > 0);
	assert_true(port_counter(g[FIRST]->port, STAT_learned) > FDB_PORT_LIMIT);
	for (unsigned i = 0; i < 100; i++) {
		inject(GUEST_A, EVERYBODY, 30000 + i);
		learned += behind(30000 + i) == g[GUEST_A]->port;
	}
	receivers();
	assert_int_equal(learned, 100);
}

static void a_new_driver(void **state)
{
	struct guest *u = g[FIRST];
	uint64_t sent, dropped;

	(void)state;
	inject(FIRST, EVERYBODY, WORLD);
	inject(GUEST_A, EVERYBODY, A);
	receivers();
	sent = port_counter(u->port, STAT_tx_packets);
	port_detach(u->port);
	assert_null(port_owner(u->port));
	dropped = port_counter(u->port, STAT_rx_drop_link_down);
	inject(GUEST_A, WORLD, A);
	inject(GUEST_A, EVERYBODY, A);
	assert_int_equal(receivers(), 1u << SECOND | 1u << GUEST_B);
	assert_int_equal(port_counter(u->port, STAT_rx_drop_link_down), dropped + 2);
	assert_int_equal(inject(GUEST_B, A, B), VERDICT_DELIVERED);
	assert_int_equal(receivers(), 1u << GUEST_A);

	port_attach(u->port, &u->mem, &u->env);
	guest_reset(u);
	assert_int_equal(inject(GUEST_A, WORLD, A), VERDICT_DELIVERED); /* still known there */
	assert_int_equal(receivers(), 1u << FIRST);
	assert_int_equal(port_counter(u->port, STAT_tx_packets), sent);
}

/* With preemptive-copy off a packet waits in its sender's ring for a receiver that has no CPU. If the
 * sender's driver goes away meanwhile, the receiver's arrival asks nobody for it. */
static void a_driver_goes_with_a_packet_held(void **state)
{
	struct guest *u = g[FIRST];

	(void)state;
	inject(GUEST_A, EVERYBODY, A);
	receivers();
	policy_set(POLICY_preemptive_copy, false);
	g[GUEST_A]->env.peer = PEER_RUNNABLE;
	frame_make(frame, sizeof(frame), A, WORLD, 7);
	assert_true(drv_send(u, NULL, frame, sizeof(frame), LAYOUT_ONE));
	drv_publish(&u->tx);
	port_kick(u->port, 1, VS_BATCH);
	assert_int_equal(receivers(), 0);
	assert_int_equal(port_counter(u->port, STAT_batches_held), 1);
	port_detach(u->port);
	g[GUEST_A]->env.peer = PEER_RUNNING;
	port_arrive(g[GUEST_A]->port); /* the environment aborts if a port without owner is told */
	policy_set(POLICY_preemptive_copy, true);
	port_attach(u->port, &u->mem, &u->env);
	guest_reset(u);
}

/* The world has claimed a guest's address while its VM was away. */
static void a_port_gets_its_address_back(void **state)
{
	struct guest *late;

	(void)state;
	inject(FIRST, EVERYBODY, B + 1);
	assert_ptr_equal(behind(B + 1), g[FIRST]->port);
	receivers();
	late = make("late", B + 1, false);
	assert_null(behind(B + 1));
	assert_int_equal(inject(FIRST, EVERYBODY, B + 1), VERDICT_DROP_REFLECTED);
	assert_int_equal(inject(GUEST_A, B + 1, A), VERDICT_FLOODED);
	assert_int_not_equal(drv_receive(late, got, sizeof(got)), 0);
	receivers();
	guest_destroy(late);
	one_left = true;
}

static void takes(unsigned guest, unsigned number)
{
	const struct filter filter = { .alluni = true,
				       .allmulti = true,
				       .mac = 0x525400000000ull | number };

	port_set_filter(g[guest]->port, &filter);
}

/* A guest has given its device another address: the world cannot have that, whether or not the guest has
 * been heard of, and still not the config's. What it had before is nobody's. */
static void an_address_that_a_guest_takes(void **state)
{
	enum { CHOICE = 60, OTHER };

	(void)state;
	takes(GUEST_A, CHOICE);
	assert_int_equal(inject(FIRST, EVERYBODY, CHOICE), VERDICT_DROP_REFLECTED);
	assert_int_equal(receivers(), 0);
	assert_null(behind(CHOICE));
	inject(GUEST_A, EVERYBODY, CHOICE);
	receivers();
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(inject(i, B, CHOICE), VERDICT_DROP_REFLECTED);
	assert_ptr_equal(behind(CHOICE), g[GUEST_A]->port);
	assert_int_equal(inject(GUEST_B, CHOICE, B), VERDICT_DELIVERED);
	assert_int_equal(receivers(), 1u << GUEST_A);
	assert_int_equal(inject(FIRST, EVERYBODY, A), VERDICT_DROP_REFLECTED);

	takes(GUEST_A, OTHER);
	assert_int_equal(inject(FIRST, EVERYBODY, OTHER), VERDICT_DROP_REFLECTED);
	assert_int_equal(inject(FIRST, EVERYBODY, CHOICE), VERDICT_FLOODED);
	assert_ptr_equal(behind(CHOICE), g[FIRST]->port);
	port_set_filter(g[GUEST_A]->port, NULL); /* its device is reset */
	assert_int_equal(inject(FIRST, EVERYBODY, OTHER), VERDICT_FLOODED);
	receivers();
}

/* The world has claimed it while the guest's driver was away: lest that be for ever. */
static void a_guest_gets_its_address_back(void **state)
{
	enum { CHOICE = 60 };

	(void)state;
	inject(FIRST, EVERYBODY, CHOICE);
	receivers();
	takes(GUEST_A, CHOICE);
	assert_null(behind(CHOICE));
	assert_int_equal(inject(GUEST_B, CHOICE, B), VERDICT_FLOODED);
	assert_int_equal(inject(FIRST, EVERYBODY, CHOICE), VERDICT_DROP_REFLECTED);
	inject(GUEST_A, EVERYBODY, CHOICE);
	receivers();
	assert_int_equal(inject(GUEST_B, CHOICE, B), VERDICT_DELIVERED);
	assert_int_equal(receivers(), 1u << GUEST_A);
}

/* Any of the world's, but neither another VM's, nor that of an uplink; and what a driver domain takes for
 * one of its uplinks says nothing of the others. */
static void what_a_guest_can_take(void **state)
{
	(void)state;
	takes(GUEST_A, WORLD);
	assert_int_equal(inject(FIRST, EVERYBODY, WORLD), VERDICT_DROP_REFLECTED);
	inject(GUEST_B, EVERYBODY, B);
	takes(GUEST_A, B);
	assert_ptr_equal(behind(B), g[GUEST_B]->port);
	receivers();
	assert_int_equal(inject(GUEST_A, B, A), VERDICT_DELIVERED);
	assert_int_equal(receivers(), 1u << GUEST_B);
	takes(GUEST_A, 10);
	assert_int_equal(inject(FIRST, EVERYBODY, 10), VERDICT_FLOODED);
	takes(SECOND, WORLD);
	assert_int_equal(inject(FIRST, EVERYBODY, WORLD), VERDICT_FLOODED);
	assert_ptr_equal(behind(WORLD), g[FIRST]->port);
	receivers();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(no_transit, setup, teardown),
		cmocka_unit_test_setup_teardown(reflected, setup, teardown),
		cmocka_unit_test_setup_teardown(an_address_moves, setup, teardown),
		cmocka_unit_test_setup_teardown(the_world_does_not_fill_the_table, setup, teardown),
		cmocka_unit_test_setup_teardown(a_new_driver, setup, teardown),
		cmocka_unit_test_setup_teardown(a_driver_goes_with_a_packet_held, setup, teardown),
		cmocka_unit_test_setup_teardown(a_port_gets_its_address_back, setup, teardown),
		cmocka_unit_test_setup_teardown(an_address_that_a_guest_takes, setup, teardown),
		cmocka_unit_test_setup_teardown(a_guest_gets_its_address_back, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_guest_can_take, setup, teardown),
	};

	return cmocka_run_group_tests_name("uplink", tests, NULL, NULL);
}
