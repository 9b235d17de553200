/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does each command of the shell do what it says, for the VM that it names; are its tables aligned
 * and no wider than 80 columns with the longest names and largest counters; is every wrong line
 * answered with a sentence? Faked: the console, VMs, the switch.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/core/console.h"
#include "hv/core/lifecycle.h"
#include "hv/core/log.h"
#include "hv/core/percpu.h"
#include "hv/core/platform.h"
#include "hv/core/pmm.h"
#include "hv/core/shell.h"
#include "vswitch/policy.h"
#include "vswitch/switch.h"

#include <cmocka.h>

#define LONG_NAME "a-name-of-thirty-one-characters"

struct port {
	const char *name;
	uint64_t count;
	bool unplugged;
};

struct vswitch {
	const char *name;
	struct port port[2];
};

static char out[65536];
static size_t filled;
static struct config config;
static struct vm vm;
static struct vcpu vcpu[2];
static struct vswitch lan = { "lan",
			      { { LONG_NAME, UINT64_MAX, false }, { "bob/net0", 7, false } } };
static const char *said_name;
static enum vm_command said;
static const char *refusal;
static enum vcpu_signal signalled;
static unsigned signals, fdb_entries;

static struct cpu cpu0, cpu1;
static unsigned posts;

struct cpu *cpus[MAX_CPUS] = { &cpu0, &cpu1 };
unsigned cpu_count = 2;
struct spinlock vm_table_lock;
struct vm *vm_table[CONFIG_MAX_VMS];
const struct config *vm_config = &config;

void cpu_post(struct cpu *cpu, uint32_t bits)
{
	(void)cpu;
	posts += bits == MB_KICK;
}

void console_write(const char *text, size_t bytes)
{
	assert_true(filled + bytes < sizeof(out));
	memcpy(out + filled, text, bytes);
	filled += bytes;
	out[filled] = '\0';
}

void console_printf(const char *fmt, ...)
{
	char line[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	console_write(line, strlen(line));
}

size_t log_last(unsigned lines, char *to, size_t room)
{
	return (size_t)snprintf(to, room, "%u lines of the log\n", lines);
}

int vm_command(const char *name, enum vm_command command, const char **why)
{
	said_name = name;
	said = command;
	*why = refusal;
	return refusal ? LH_BUSY : 0;
}

void vcpu_signal(struct vcpu *v, enum vcpu_signal signal, uint8_t vector)
{
	(void)v;
	(void)vector;
	signalled = signal;
	signals++;
}

uint64_t pmm_free_bytes(void)
{
	return 3 << 20;
}

uint64_t pmm_total_bytes(void)
{
	return 4 << 20;
}

static struct vswitch *switch_at(unsigned i)
{
	assert_int_equal(i, 0);
	return &lan;
}

static void set_link(struct port *port, bool up)
{
	assert_int_equal(vm_table_lock.taken, 1);
	port->unplugged = !up;
}

static uint64_t offered, accepted, used;
static bool driver;

static bool features(struct port *port, uint64_t *of_device, uint64_t *of_driver)
{
	assert_int_equal(vm_table_lock.taken, 1);
	assert_non_null(port);
	*of_device = offered;
	*of_driver = accepted;
	return driver;
}

uint64_t port_offloads(const struct port *port)
{
	assert_non_null(port);
	return used;
}

const char *port_switch_name(const struct port *port)
{
	assert_non_null(port);
	return lan.name;
}

static unsigned policy_changes;

static void policy_changed(void)
{
	policy_changes++;
}

const struct platform_ops fake_platform = {
	.policy_changed = policy_changed,
	.switch_at = switch_at,
	.port_set_link = set_link,
	.port_features = features,
};
const struct platform_ops *platform = &fake_platform;

const char *switch_name(const struct vswitch *sw)
{
	return sw->name;
}

struct port *switch_port(const struct vswitch *sw, unsigned i)
{
	return i < 2 ? (struct port *)(uintptr_t)&sw->port[i] : NULL;
}

const char *port_name(const struct port *port)
{
	return port->name;
}

const uint8_t *port_mac(const struct port *port)
{
	static const uint8_t mac[6] = { 0x52, 0x54, 0, 0, 0xab, 1 };

	(void)port;
	return mac;
}

bool port_link(const struct port *port)
{
	return !port->unplugged;
}

uint64_t port_counter(const struct port *port, enum stat_id id)
{
	(void)id;
	return port->count;
}

uint64_t port_counter_drops(const struct port *port, bool received)
{
	return received ? port->count / 2 : port->count / 4;
}

unsigned switch_fdb(const struct vswitch *sw, struct fdb_view *entries, unsigned room)
{
	for (unsigned i = 0; i < fdb_entries && i < room; i++)
		entries[i] =
			(struct fdb_view){ { 2, 0, 0, 0, 0, (uint8_t)i }, &sw->port[0], 2999999 };
	return fdb_entries < room ? fdb_entries : room;
}

#include "tests/unit/core/shell_reset.h"

static int set_up(void **state)
{
	(void)state;
	config.switch_count = 1;
	config.vm_count = 2;
	config.vms[0] = (struct config_vm){ .name = LONG_NAME, .cpus = 2, .memory_mib = 1u << 20 };
	config.vms[1] = (struct config_vm){ .name = "bob", .cpus = 1, .memory_mib = 16 };
	vm = (struct vm){ .config = &config.vms[0],
			  .vcpu_count = 2,
			  .vcpus = { &vcpu[0], &vcpu[1] } };
	atomic_store(&vm.state, VM_RUNNING);
	atomic_store(&vcpu[0].state, VCPU_BLOCKED);
	atomic_store(&vcpu[1].state, VCPU_OFF);
	atomic_store(&vcpu[0].exits[EXIT_CAUSE_hlt], 123450);
	atomic_store(&vcpu[1].exits[EXIT_CAUSE_hlt], 6);
	vm_table[0] = &vm;
	refusal = said_name = NULL;
	signals = fdb_entries = 0;
	return 0;
}

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
