/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does each command of the shell do what it says, for the VM that it names; are its tables aligned
 * and no wider than 80 columns with the longest names and largest counters; is every wrong line
 * answered with a sentence? Faked: the console, VMs, the switch.
 */
#include "tests/unit/core/shell_env.h"
#include "tests/unit/core/shell_reset.h"

static const char *run(const char *line)
{
	char copy[120];

	snprintf(copy, sizeof(copy), "%s", line);
	filled = 0;
	out[0] = '\0';
	shell_run(copy);
	assert_int_equal(vm_table_lock.taken, 0);
	for (char *row = out, *end; *row; row = end + 1) {
		end = strchr(row, '\n');
		assert_non_null(end);
		if (end - row > 80)
			fail_msg("%td columns: %.*s", end - row, (int)(end - row), row);
	}
	return out;
}

static void answers_fit_and_name_things(void **state)
{
	static const struct {
		const char *line, *has;
	} cases[] = {
		{ "help", "vm restart VM" },
		{ "help stat", "tx_packets " },
		{ "vm list", LONG_NAME " running      2 1048576       123456           0\n" },
		{ "vm list", "\nbob                             off          1      16 " },
		{ "vm list", "memory: 3072 of 4096 KiB free\n" },
		{ "vm exits " LONG_NAME, "hlt                    123456\n" },
		{ "port", "switch lan\n" },
		{ "port", " 52:54:00:00:ab:01 18446744T 18446744T 13835058T\n" },
		{ "port", "bob/net0                        52:54:00:00:ab:01         7 " },
		{ "fdb", "switch lan\n" },
		{ "stat bob/net0", "bob/net0: 1 port\n" },
		{ "stat bob/net0",
		  "\ntx_packets                                  7 packets  traffic\n" },
		{ "stat", "all: 2 ports\n" },
		{ "stat", "\ntx_packets                                  6 packets  traffic\n" },
		{ "set", "immediate-notification   on         of off, on\n" },
		{ "set", "batch-packets            64         of 1 to 64\n" },
		{ "help set", "steering:\n  a flow" },
		{ "set batch-packets", "batch-packets takes 1 to 64" },
		{ "set batch-packets 0", "batch-packets takes 1 to 64" },
		{ "set batch-packets 65", "batch-packets takes 1 to 64" },
		{ "set batch-packets 4294967297", "batch-packets takes 1 to 64" },
		{ "set batch-packets 8x", "batch-packets takes 1 to 64" },
		{ "set batch-packets 8", "batch-packets is 8" },
		{ "set", "batch-packets            8          of 1 to 64" },
		{ "set batch-packets 64", "batch-packets is 64" },
		{ "set steering maybe", "steering takes off, on" },
		{ "set steering off", "steering is off" },
		{ "set steering on", "steering is on" },
		{ "log", "20 lines of the log" },
		{ "log 7", "7 lines of the log" },
		{ "log died", "did not die" },
		{ "  log   8 ", "8 lines of the log" },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!strstr(run(cases[i].line), cases[i].has))
			fail_msg("%s: \"%s\" is not in:\n%s", cases[i].line, cases[i].has, out);
	assert_int_equal(policy_changes, 4);
	fdb_entries = 2;
	assert_non_null(strstr(run("fdb"), "02:00:00:00:00:01 " LONG_NAME "      2 s ago\n"));
	fdb_entries = 1000;
	assert_non_null(strstr(run("fdb"), "only the first 256 are shown\n"));
}

static void wrong_lines_are_answered(void **state)
{
	static const struct {
		const char *line, *has;
	} cases[] = {
		{ "frobnicate", "no command \"frobnicate\"" },
		{ "vm", "wrong number of words" },
		{ "vm start", "which VM?" },
		{ "vm start a b", "wrong number of words" },
		{ "vm fly bob", "no command \"fly\"" },
		{ "vm dump bob", "bob does not run" },
		{ "vm dump nobody", "nobody does not run" },
		{ "vm exits bob", "bob does not run" },
		{ "port x", "no port \"x\"" },
		{ "port bob/net0 left", "port: bob/net0: up or down?" },
		{ "port bob/net1 up", "no port \"bob/net1\"" },
		{ "stat bob", "no port \"bob\"" },
		{ "set x", "no policy \"x\"" },
		{ "set x on", "no policy \"x\"" },
		{ "log 0", "is no number above 0" },
		{ "log -1", "is no number above 0" },
		{ "log 1x", "is no number above 0" },
		{ "log 99999999999999999999", "32768 lines" },
		{ "a b c d e f", "no command \"a\"" },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!strstr(run(cases[i].line), cases[i].has))
			fail_msg("%s: \"%s\" is not in:\n%s", cases[i].line, cases[i].has, out);
	assert_string_equal(run(""), "");
	assert_string_equal(run("   "), "");
	assert_null(said_name);
}

/* A policy counts at once: each CPU is told. */
static void policies_change(void **state)
{
	(void)state;
	posts = 0;
	run("set steering on");
	assert_int_equal(posts, 2);
	run("set steering");
	run("set steering maybe");
	assert_int_equal(posts, 2);
	run("set batch-packets 8");
	assert_int_equal(policy_get(POLICY_batch_packets), 8);
	run("set batch-packets 64");
	assert_int_equal(policy_get(POLICY_batch_packets), 64);
}

static void changes_reach_the_vm(void **state)
{
	static const struct {
		const char *verb;
		enum vm_command command;
	} cases[] = {
		{ "start", VM_START }, { "stop", VM_STOP },	{ "restart", VM_RESTART },
		{ "pause", VM_PAUSE }, { "resume", VM_RESUME },
	};
	char line[60], answer[60];

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(line, sizeof(line), "vm %s bob", cases[i].verb);
		snprintf(answer, sizeof(answer), "vm %s: bob: done\n", cases[i].verb);
		refusal = NULL;
		said_name = NULL;
		assert_string_equal(run(line), answer);
		assert_non_null(said_name);
		assert_int_equal(said, cases[i].command);
		refusal = "it is not its day";
		assert_non_null(strstr(run(line), ": bob: it is not its day\n"));
	}
}

static void a_port_shows_its_offloads(void **state)
{
	static const struct {
		uint64_t offered, accepted, used;
		const char *warning;
	} cases[] = {
		{ 1, UINT64_MAX, UINT64_MAX,
		  "warning: of 9 offloads the device does not offer 8\n" },
		{ UINT64_MAX, 3, 1, "warning: of 9 offloads the guest's driver declined 7\n" },
		{ UINT64_MAX, UINT64_MAX, 3,
		  "warning: of 9 offloads the guest's driver has 7 off\n" },
		{ UINT64_MAX, UINT64_MAX, UINT64_MAX, NULL },
	};

	(void)state;
	driver = true;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *warning = cases[i].warning;

		offered = cases[i].offered;
		accepted = cases[i].accepted;
		used = cases[i].used;
		for (unsigned n = 0; n < 2; n++) {
			const char *text = run(n == 0 ? "port bob/net0" : "port");

			assert_true((strstr(text, "warning") != NULL) == (warning != NULL));
			if (warning)
				assert_non_null(strstr(text, warning));
		}
	}
	offered = 3;
	accepted = 2;
	used = 0;
	run("port bob/net0");
	assert_non_null(strstr(out, "\ncsum         yes     no       no        sends "));
	assert_non_null(strstr(out, "\nguest_csum   yes     yes      no        receives "));
	assert_non_null(strstr(out, "\nhost_uso     no      no       no        sends "));
	driver = false;
	run("port bob/net0");
	assert_null(strstr(out, "warning"));
	assert_non_null(strstr(out, "no driver of the guest runs\n"));
}

static void a_port_is_unplugged(void **state)
{
	(void)state;
	assert_null(strstr(run("port"), "link is down"));
	assert_string_equal(run("port bob/net0 down"), "port: bob/net0: link is down\n");
	assert_true(lan.port[1].unplugged && !lan.port[0].unplugged);
	assert_non_null(strstr(run("port"), "\n  link is down\n"));
	assert_string_equal(run("port bob/net0 up"), "port: bob/net0: link is up\n");
	assert_non_null(strstr(run("port bob/net0"), ", link is up\n"));
	away = true;
	assert_non_null(
		strstr(run("port bob/net0"), ", link is down at the guest: no uplink is up\n"));
	assert_non_null(strstr(run("port"), "\n  link is down at the guest: no uplink is up\n"));
	away = false;
	assert_false(lan.port[1].unplugged);
}

static void dump_asks_the_vcpus_that_are_on(void **state)
{
	(void)state;
	assert_string_equal(run("vm dump " LONG_NAME), "vCPU 1 is off\n");
	assert_int_equal(signals, 1);
	assert_int_equal(signalled, SIGNAL_DUMP);
}

static void states_are_told(void **state)
{
	(void)state;
	atomic_store(&vm.paused, true);
	assert_non_null(strstr(run("vm list"), LONG_NAME " paused "));
	atomic_store(&vm.state, VM_ENDING);
	assert_non_null(strstr(run("vm list"), LONG_NAME " ending "));
	atomic_store(&vm.state, VM_CREATED);
	assert_non_null(strstr(run("vm list"), LONG_NAME " starting "));
	vm_table[0] = NULL;
	assert_non_null(strstr(run("vm list"), LONG_NAME " off "));
	waits = true;
	assert_non_null(strstr(run("vm list"), LONG_NAME " waiting "));
	waits = false;
}

static void garbage_by_seed(void **state)
{
	static const char *const words[] = { "vm",  "list", "stop", "stat", "log", "fdb", "help",
					     "set", "port", "bob",  "%s%n", "9",   " ",	  "\x80" };
	uint64_t x = 88172645463325252;
	char line[110];

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		line[0] = '\0';
		for (unsigned n = 0; n < 6; n++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			strcat(line, words[x % 14]);
			if (x >> 20 & 3)
				strcat(line, " ");
		}
		run(line);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(answers_fit_and_name_things, set_up),
		cmocka_unit_test_setup(wrong_lines_are_answered, set_up),
		cmocka_unit_test_setup(policies_change, set_up),
		cmocka_unit_test_setup(changes_reach_the_vm, set_up),
		cmocka_unit_test_setup(a_port_shows_its_offloads, set_up),
		cmocka_unit_test_setup(a_port_is_unplugged, set_up),
		cmocka_unit_test_setup(dump_asks_the_vcpus_that_are_on, set_up),
		cmocka_unit_test_setup(states_are_told, set_up),
		cmocka_unit_test_setup(dead_boots_and_resets, set_up),
		cmocka_unit_test_setup(garbage_by_seed, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
