/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: does the FDB find what it learned, forget what aged or left, and keep within its
 * limits? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/vswitch/env.h"
#include "vswitch/fdb.h"
#include "vswitch/switch.h"

#define MAC(n) (0x525400000000ull + (n))

static unsigned entries(const struct fdb *fdb, unsigned port)
{
	unsigned count = 0;

	for (unsigned i = 0; i < FDB_BUCKETS * FDB_WAYS; i++)
		count += fdb_entry(fdb, i).port == port;
	return count;
}

static int setup(void **state)
{
	*state = fdb_create(0x1234567890abcdef);
	return *state == NULL;
}

static int teardown(void **state)
{
	fdb_destroy(*state);
	return env_allocs != 0;
}

static void learns_and_finds(void **state)
{
	struct fdb *fdb = *state;

	assert_int_equal(fdb_lookup(fdb, MAC(1), 0), -1);
	assert_int_equal(fdb_learn(fdb, MAC(1), 0, 0), FDB_LEARNED);
	assert_int_equal(fdb_learn(fdb, MAC(2), 63, 0), FDB_LEARNED);
	assert_int_equal(fdb_learn(fdb, MAC(1), 0, 0), FDB_KNOWN);
	assert_int_equal(fdb_lookup(fdb, MAC(1), 0), 0);
	assert_int_equal(fdb_lookup(fdb, MAC(2), 0), 63);
	assert_int_equal(fdb_lookup(fdb, MAC(3), 0), -1);
}

static void moves(void **state)
{
	struct fdb *fdb = *state;

	fdb_learn(fdb, MAC(1), 4, 0);
	assert_int_equal(fdb_learn(fdb, MAC(1), 5, 1), FDB_LEARNED);
	assert_int_equal(fdb_lookup(fdb, MAC(1), 1), 5);
	assert_int_equal(entries(fdb, 4), 0);
	assert_int_equal(entries(fdb, 5), 1);
}

static void ages(void **state)
{
	struct fdb *fdb = *state;
	const uint32_t start = UINT32_MAX - 100; /* the clock wraps meanwhile */

	fdb_learn(fdb, MAC(1), 1, start);
	assert_int_equal(fdb_lookup(fdb, MAC(1), start + FDB_AGE_S), 1);
	assert_int_equal(fdb_lookup(fdb, MAC(1), start + FDB_AGE_S + 1), -1);
	assert_int_equal(fdb_learn(fdb, MAC(1), 1, start + FDB_AGE_S), FDB_KNOWN);
	assert_int_equal(fdb_lookup(fdb, MAC(1), start + FDB_AGE_S + 1), 1);
	/* a reader whose clock is behind */
	assert_int_equal(fdb_lookup(fdb, MAC(1), start), 1);
}

static void port_limit(void **state)
{
	struct fdb *fdb = *state;
	unsigned learned = 0;

	for (unsigned n = 0; n < 4 * FDB_PORT_LIMIT; n++)
		learned += fdb_learn(fdb, MAC(n), 7, 0) == FDB_LEARNED;
	assert_int_equal(learned, FDB_PORT_LIMIT);
	assert_int_equal(entries(fdb, 7), FDB_PORT_LIMIT);
	/* the others still find room */
	assert_int_equal(fdb_learn(fdb, MAC(100000), 8, 0), FDB_LEARNED);
	/* and it may learn again when its old ones have aged, in bounded steps */
	learned = 0;
	for (unsigned n = 0; n < FDB_BUCKETS; n++)
		learned += fdb_learn(fdb, MAC(200000 + n), 7, FDB_AGE_S + 1) == FDB_LEARNED;
	assert_true(learned > FDB_BUCKETS / 2);
	assert_true(entries(fdb, 7) <= FDB_PORT_LIMIT);
}

static void full_table(void **state)
{
	struct fdb *fdb = *state;
	unsigned full = 0, total = 0;

	for (unsigned n = 0; n < 64 * FDB_PORT_LIMIT; n++)
		full += fdb_learn(fdb, MAC(n), n % 64, 0) == FDB_FULL;
	assert_true(full > 0);
	for (unsigned port = 0; port < 64; port++)
		total += entries(fdb, port);
	assert_int_equal(total + full, 64 * FDB_PORT_LIMIT);
}

static void forgets_port(void **state)
{
	struct fdb *fdb = *state;

	for (unsigned n = 0; n < 200; n++)
		fdb_learn(fdb, MAC(n), n % 2, 0);
	fdb_forget_port(fdb, 1);
	assert_int_equal(entries(fdb, 0), 100);
	assert_int_equal(entries(fdb, 1), 0);
	for (unsigned n = 0; n < 200; n++)
		assert_int_equal(fdb_lookup(fdb, MAC(n), 0), n % 2 ? -1 : 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(learns_and_finds, setup, teardown),
		cmocka_unit_test_setup_teardown(moves, setup, teardown),
		cmocka_unit_test_setup_teardown(ages, setup, teardown),
		cmocka_unit_test_setup_teardown(port_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(full_table, setup, teardown),
		cmocka_unit_test_setup_teardown(forgets_port, setup, teardown),
	};

	return cmocka_run_group_tests_name("vswitch/fdb", tests, NULL, NULL);
}
