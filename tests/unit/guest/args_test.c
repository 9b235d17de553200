/* SPDX-License-Identifier: BSD-2-Clause */
/* Are boot arguments read right, and wrong ones refused with a sentence? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "guest/bench/plan.c"
#include "guest/lib/args.c"

static void words(void **state)
{
	char text[8];

	(void)state;
	assert_true(args_string("role=sink  ip=1 role=x", "role", text, sizeof(text)));
	assert_string_equal(text, "sink");
	assert_true(args_string("a=b c=d", "c", text, sizeof(text)));
	assert_string_equal(text, "d");
	assert_true(args_string("a=", "a", text, sizeof(text)));
	assert_string_equal(text, "");
	assert_false(args_string("xrole=sink", "role", text, sizeof(text)));
	assert_false(args_string("role", "role", text, sizeof(text)));
	assert_false(args_string("role=12345678", "role", text, sizeof(text)));
	assert_string_equal(text, "");
	assert_false(args_string("", "role", text, sizeof(text)));
}

static void numbers(void **state)
{
	uint64_t n;

	(void)state;
	assert_true(args_u64("n=123", "n", 7, &n));
	assert_int_equal(n, 123);
	assert_true(args_u64("m=123", "n", 7, &n));
	assert_int_equal(n, 7);
	assert_false(args_u64("n=12x", "n", 7, &n));
	assert_false(args_u64("n=", "n", 7, &n));
	assert_false(args_u64("n=-1", "n", 7, &n));
	assert_false(args_u64("n=99999999999999999999", "n", 7, &n));
}

static void addresses(void **state)
{
	uint32_t ip;

	(void)state;
	assert_true(args_ipv4("ip=10.0.0.255", "ip", &ip));
	assert_int_equal(ip, 0x0a0000ff);
	assert_false(args_ipv4("ip=10.0.0.256", "ip", &ip));
	assert_false(args_ipv4("ip=10.0.0", "ip", &ip));
	assert_false(args_ipv4("ip=10.0.0.1.2", "ip", &ip));
	assert_false(args_ipv4("ip=10.0..1", "ip", &ip));
	assert_false(args_ipv4("", "ip", &ip));
}

static void the_demo(void **state)
{
	struct bench_plan plan;

	(void)state;
	assert_null(plan_parse("role=source tests=stream:64,stream:1514,rr:64 runs=3", 1500, false,
			       &plan));
	assert_int_equal(plan.cases, 3);
	assert_int_equal(plan.runs, 3);
	assert_int_equal(plan.list[1].frame_bytes, 1514);
	assert_int_equal(plan.list[1].test, BENCH_STREAM);
	assert_int_equal(plan.list[1].count, 10000);
	assert_int_equal(plan.list[2].test, BENCH_RR);
	assert_int_equal(plan.list[2].count, 500);
	assert_null(plan_parse("tests=stream:9014 packets=9 transactions=4", 9000, false, &plan));
	assert_int_equal(plan.list[0].count, 9);
}

static void wrong_plans(void **state)
{
	static const char *const wrong[] = {
		"runs=3",
		"tests=",
		"tests=stream",
		"tests=stream:",
		"tests=stream:64,",
		"tests=stream:64;rr:64",
		"tests=ping:64",
		"tests=stream:59",
		"tests=stream:9015",
		"tests=stream:9014",
		"tests=stream:64x",
		"tests=rr:99999999999999",
		"tests=rr:64 runs=0",
		"tests=rr:64 runs=x",
		"tests=rr:64 packets=99999999999",
		"tests=rr:64 burst=0",
		"tests=rr:64 burst=257",
		"tests=rr:64*0",
		"tests=rr:64*65",
		"tests=rr:64*",
		"tests=stream:64*0",
		"tests=stream:64*1",
		"tests=stream:64*65",
		"tests=stream:64*2@5",
		"tests=stream:64*8 outside=on",
		"tests=ndr:64*2",
		"tests=ndr:",
		"tests=ndr",
		"tests=stream:64@",
		"tests=stream:64@x",
		"tests=stream:64@10000001",
		"tests=ndr:64@5",
		"tests=rr:64@5",
	};
	struct bench_plan plan;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_non_null(plan_parse(wrong[i], 1500, false, &plan));
}

static void rates_and_sinks_outside(void **state)
{
	struct bench_plan plan;

	(void)state;
	assert_null(plan_parse("tests=stream:64,stream:1514@5000,rr:64", 1500, false, &plan));
	assert_int_equal(plan.list[0].rate, 0);
	assert_int_equal(plan.list[1].rate, 5000);
	assert_int_equal(plan.list[1].frame_bytes, 1514);
	assert_false(plan.outside);
	assert_null(plan_parse("tests=stream:64 outside=on", 1500, false, &plan));
	assert_true(plan.outside);
	assert_null(plan_parse("tests=stream:1514*64,stream:1514@5000*2", 1500, false, &plan));
	assert_int_equal(plan.list[0].window, 64);
	assert_int_equal(plan.list[0].rate, 0);
	assert_int_equal(plan.list[1].window, 2);
	assert_int_equal(plan.list[1].rate, 5000);
	assert_int_equal(plan.list[1].train, 1);
}

/* A frame is as large as its device takes at most. */
static void small_mtus(void **state)
{
	struct bench_plan plan;

	(void)state;
	assert_null(plan_parse("tests=rr:82", 68, false, &plan));
	assert_non_null(
		strstr(plan_parse("tests=rr:83", 68, false, &plan), "raise max-frame-size"));
}

/* Searches, and requests of several frames */
static void other_kinds(void **state)
{
	struct bench_plan plan;

	(void)state;
	assert_null(plan_parse("tests=ndr:64,pdr:1514,rr:1514*32,rr:60", 1500, false, &plan));
	assert_int_equal(plan.cases, 4);
	assert_true(plan.list[0].search && plan.list[1].search && !plan.list[2].search);
	assert_int_equal(plan.list[0].loss_permille, 0);
	assert_int_equal(plan.list[1].loss_permille, 5);
	assert_int_equal(plan.list[1].count, 10000);
	assert_int_equal(plan.list[2].train, 32);
	assert_int_equal(plan.list[3].train, 1);
}

/* Frames that the device cuts or passes whole */
static void large_frames(void **state)
{
	struct bench_plan plan;

	(void)state;
	assert_null(plan_parse("tests=stream:65536,stream:65549", 1500, true, &plan));
	assert_int_equal(plan.list[0].count, 500);
	assert_non_null(strstr(plan_parse("tests=stream:65536", 9000, false, &plan), "offload=on"));
	assert_non_null(plan_parse("tests=stream:65536*64", 9000, true, &plan));
	assert_non_null(plan_parse("tests=stream:65550", 9000, true, &plan));
	assert_non_null(plan_parse("tests=stream:9014", 1500, true, &plan));
	assert_non_null(plan_parse("tests=rr:65536", 9000, true, &plan));
}

static void too_many_cases(void **state)
{
	char text[6 + 6 * (BENCH_MAX_TESTS + 1) + 1] = "tests=";
	struct bench_plan plan;

	(void)state;
	for (unsigned i = 0; i < BENCH_MAX_TESTS; i++)
		strcat(text, i ? ",rr:64" : "rr:64");
	assert_null(plan_parse(text, 1500, false, &plan));
	strcat(text, ",rr:64");
	assert_non_null(plan_parse(text, 1500, false, &plan));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words),	  cmocka_unit_test(numbers),
		cmocka_unit_test(addresses),	  cmocka_unit_test(the_demo),
		cmocka_unit_test(wrong_plans),	  cmocka_unit_test(rates_and_sinks_outside),
		cmocka_unit_test(other_kinds),	  cmocka_unit_test(large_frames),
		cmocka_unit_test(too_many_cases), cmocka_unit_test(small_mtus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
