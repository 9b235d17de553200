/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is each report one line of the JSON that report.h promises, whatever strings a guest or a config
 * put in, and does nothing go out where there is no debug port? Faked: the port.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "hv/core/report.c"

static char line[4096];
static size_t filled;
static bool present;

bool debug_port_present(void)
{
	return present;
}

void debug_port_write(const char *text, size_t bytes)
{
	assert_true(filled + bytes < sizeof(line));
	memcpy(line + filled, text, bytes);
	filled += bytes;
	line[filled] = '\0';
}

bool log_lock_take(struct spinlock *lock)
{
	return spin_trylock(lock);
}

static int set_up(void **state)
{
	(void)state;
	present = true;
	filled = 0;
	line[0] = '\0';
	return 0;
}

static void events_as_promised(void **state)
{
	(void)state;
	report_boot("vmx", 4, 100000);
	assert_string_equal(line,
			    "{\"lasthop\":1,\"event\":\"boot\",\"backend\":\"vmx\",\"cpus\":4,"
			    "\"tsc_khz\":100000}\n");
	filled = 0;
	report_vm_start("alice", 6000, 4096, 3);
	assert_string_equal(line, "{\"lasthop\":1,\"event\":\"vm-start\",\"vm\":\"alice\","
				  "\"at_ns\":6000,\"free_kib\":4096,\"irq_vectors\":3}\n");
	filled = 0;
	report_vm_reset("netd", "hang", "no sign of life for 1000 ms", 7000);
	assert_string_equal(line, "{\"lasthop\":1,\"event\":\"vm-reset\",\"vm\":\"netd\","
				  "\"end\":\"hang\",\"reason\":\"no sign of life for 1000 ms\","
				  "\"at_ns\":7000}\n");
	filled = 0;
	report_vm_waits("netd", "it cannot be made again", 7500);
	assert_string_equal(line, "{\"lasthop\":1,\"event\":\"vm-waits\",\"vm\":\"netd\","
				  "\"reason\":\"it cannot be made again\",\"at_ns\":7500}\n");
	filled = 0;
	report_uplink("netd/up0", "passes", 8000);
	assert_string_equal(line, "{\"lasthop\":1,\"event\":\"uplink\",\"port\":\"netd/up0\","
				  "\"link\":\"passes\",\"at_ns\":8000}\n");
	filled = 0;
	report_vm_end("alice", 1, "ok", "",
		      &(struct report_life){ 250100,
					     60,
					     480,
					     90000,
					     { { [EXIT_CAUSE_hlt] = 70, [EXIT_CAUSE_io] = 9 } } });
	assert_string_equal(line,
			    "{\"lasthop\":1,\"event\":\"vm-end\",\"vm\":\"alice\",\"vcpus\":1,"
			    "\"run_us\":250100,\"wakeups\":60,\"wake_us_max\":480,"
			    "\"exits\":{\"hlt\":70,\"io\":9},"
			    "\"end\":\"ok\",\"reason\":\"\",\"at_ns\":90000}\n");
	filled = 0;
	report_guest_result("bob", "test=tcp us=5",
			    &(struct report_machine){ 81000, 600, 70000, 40, 5, { { 100, 20 } } });
	assert_string_equal(
		line,
		"{\"lasthop\":1,\"event\":\"guest-result\",\"vm\":\"bob\","
		"\"text\":\"test=tcp us=5\",\"us\":81000,\"exits\":120,"
		"\"root_us\":600,\"guest_us\":70000,\"driver_us\":40,\"poll_us\":5,\"causes\":{"
		"\"hlt\":100,\"timer\":20}}\n");
	filled = 0;
	report_end();
	assert_string_equal(line, "{\"lasthop\":1,\"event\":\"end\"}\n");
	filled = 0;
	report_link("bob/net0", false, 5);
	assert_string_equal(line, "{\"lasthop\":1,\"event\":\"link\",\"port\":\"bob/net0\","
				  "\"link\":\"down\",\"at_ns\":5}\n");
	filled = 0;
	report_queue_stopped("bob/net0", 3, "a loop", 6);
	assert_string_equal(
		line, "{\"lasthop\":1,\"event\":\"queue-stopped\","
		      "\"port\":\"bob/net0\",\"queue\":3,\"reason\":\"a loop\",\"at_ns\":6}\n");
	filled = 0;
	report_vm_paused("bob", true, 7);
	report_vm_paused("bob", false, 8);
	assert_string_equal(line, "{\"lasthop\":1,\"event\":\"vm-paused\",\"vm\":\"bob\","
				  "\"at_ns\":7}\n"
				  "{\"lasthop\":1,\"event\":\"vm-resumed\",\"vm\":\"bob\","
				  "\"at_ns\":8}\n");
}

/* Who listens gets the events, without what was measured, and whole lines however late he comes. */
static void events_are_kept(void **state)
{
	uint64_t counters[STAT_COUNT] = { 0 }, at = report_position(false), old;
	char text[256];
	size_t n;

	(void)state;
	present = false;
	report_port("bob/net0", "lan", counters);
	report_link("bob/net0", true, 5);
	n = report_read(&at, text, sizeof(text));
	assert_int_equal(n, strlen("{\"lasthop\":1,\"event\":\"link\",\"port\":\"bob/net0\","
				   "\"link\":\"up\",\"at_ns\":5}\n"));
	assert_int_equal(report_read(&at, text, sizeof(text)), 0);
	old = at;
	for (unsigned i = 0; i < 2000; i++)
		report_link("bob/net0", true, i);
	assert_int_equal(report_read(&old, text, sizeof(text)), 0);
	at = report_position(true);
	assert_true(report_read(&at, text, 20) == 20 && !memcmp(text, "{\"lasthop\":1,", 13));
	at = report_position(false);
	assert_int_equal(report_read(&at, text, sizeof(text)), 0);
}

static void strings_are_escaped(void **state)
{
	(void)state;
	report_refused("a \"quoted\" \\ back\nnew\x01\x7f\xff");
	assert_string_equal(line,
			    "{\"lasthop\":1,\"event\":\"refused\",\"reason\":"
			    "\"a \\\"quoted\\\" \\\\ back\\u000anew\\u0001\\u007f\\u00ff\"}\n");
}

static void long_strings_leave_a_whole_line(void **state)
{
	char reason[2000];

	(void)state;
	memset(reason, '\n', sizeof(reason) - 1);
	reason[sizeof(reason) - 1] = '\0';
	struct report_life life;

	memset(&life, 0xff, sizeof(life));
	report_vm_end(reason, 1, reason, reason, &life);
	assert_true(filled < 3072);
	assert_string_equal(line + filled - 3, "5}\n");
	assert_ptr_equal(strchr(line, '\n'), line + filled - 1);
}

static void the_largest_result_fits(void **state)
{
	struct bench_result result;
	struct report_window window;

	(void)state;
	memset(&result, 0xff, sizeof(result));
	memset(&window, 0x7f, sizeof(window));
	result.test = BENCH_STREAM;
	report_result("bob", "alice", &result, &window);
	assert_non_null(strstr(line, "\"vm\":\"bob\",\"peer\":\"alice\",\"test\":\"stream\","
				     "\"frame_bytes\":4294967295,\"run\":4294967295,"));
	assert_non_null(strstr(
		line,
		"\"p99_ns\":18446744073709551615,\"age_ns\":18446744073709551615,\"exits\":"));
	assert_non_null(strstr(line, ",\"kicks\":9187201950435737471,"));
	assert_non_null(strstr(line, "\"begin_ns\":9187201950435737471,\"root_ticks\":"));
	assert_non_null(strstr(line, "\"poll_ticks\":9187201950435737471}\n"));
}

/* Every counter by name, and the largest values fit. */
static void ports_with_all_counters(void **state)
{
	uint64_t counters[STAT_COUNT] = { [STAT_tx_packets] = 10, [STAT_fdb_full] = 3 };
	char name[2000], *found;
	unsigned count = 0;

	(void)state;
	report_port("alice/net0", "lan", counters);
	assert_non_null(strstr(line, "{\"lasthop\":1,\"event\":\"port\",\"port\":\"alice/net0\","
				     "\"switch\":\"lan\",\"counters\":{\"tx_packets\":10,\""));
	assert_non_null(strstr(line, ",\"fdb_full\":3"));
	for (found = strchr(line, '{'); (found = strchr(found + 1, ':')) != NULL;)
		count++;
	assert_int_equal(count, 5 + STAT_COUNT);
	filled = 0;
	memset(name, '\n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	memset(counters, 0xff, sizeof(counters));
	report_port(name, name, counters);
	assert_string_equal(line + filled - 3, "}}\n");
	assert_ptr_equal(strchr(line, '\n'), line + filled - 1);
}

static void silent_without_a_port(void **state)
{
	(void)state;
	present = false;
	report_panic("x");
	report_end();
	assert_int_equal(filled, 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup(f, set_up)
	const struct CMUnitTest tests[] = {
		CASE(events_as_promised),      CASE(events_are_kept),
		CASE(strings_are_escaped),     CASE(long_strings_leave_a_whole_line),
		CASE(the_largest_result_fits), CASE(ports_with_all_counters),
		CASE(silent_without_a_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
