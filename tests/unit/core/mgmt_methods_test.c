/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does each method about VMs and switches do what it says, for the one that it names, and is each wrong
 * call answered by an error that names the mend? Faked: as for the shell.
 */
#include "tests/unit/core/shell_env.h"

#include "hv/core/mgmt_impl.h"

static char text[MGMT_ANSWER_MOST];
static unsigned opened;

void *page_alloc(size_t bytes)
{
	return calloc(1, bytes);
}

void panic(const char *fmt, ...)
{
	fail_msg("%s", fmt);
	abort();
}

void stream_undo(struct mgmt_stream *s)
{
	assert_null(s);
	opened++;
}

unsigned mgmt_stream_number(const struct mgmt_stream *s)
{
	assert_null(s);
	return 0;
}

const struct mgmt_method *mgmt_method_at(unsigned i)
{
	for (const struct mgmt_method *m = mgmt_vm_methods; m->name; m++)
		if (i-- == 0)
			return m;
	for (const struct mgmt_method *m = mgmt_switch_methods; m->name; m++)
		if (i-- == 0)
			return m;
	return NULL;
}

static int begin(void **state)
{
	static bool begun;

	if (!begun && rpc_init() < 0)
		return -1;
	begun = true;
	return set_up(state);
}

/* The answer to a call of the method with these members as its parameters. The ids differ: else it were a call
   repeated, which is not made twice. */
static const char *ask(const char *method, const char *params)
{
	static unsigned id;
	struct mgmt_line *line = (struct mgmt_line *)text;
	char request[1000];
	struct frame frame;
	size_t n = 0;

	snprintf(request, sizeof(request),
		 "{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"%s\",\"params\":{%s}}", id++, method,
		 params);
	assert_true(rpc_request((struct mgmt_peer){ line, 0 }, (const uint8_t *)request,
				strlen(request)));
	rpc_run();
	assert_int_equal(vm_table_lock.taken, 0);
	while (rpc_frame(line, &frame)) {
		memcpy(text + n, frame.payload, frame.bytes);
		n += frame.bytes;
	}
	text[n] = '\0';
	return text;
}

static void has(const char *answer, const char *wanted)
{
	if (!strstr(answer, wanted))
		fail_msg("%s lacks %s", answer, wanted);
}

static void vms_are_told(void **state)
{
	(void)state;
	has(ask("vm.list", ""),
	    "{\"vms\":[{\"vm\":\"" LONG_NAME "\",\"state\":\"running\",\"role\":\"guest\","
	    "\"cpus\":2,\"memory_mib\":1048576,\"exits\":123456,");
	has(text, "{\"vm\":\"bob\",\"state\":\"off\",");
	has(text, "\"free_kib\":3072,\"total_kib\":4096}");
	has(ask("vm.exits", "\"vm\":\"" LONG_NAME "\""), "\"hlt\":123456,");
	has(ask("vm.exits", "\"vm\":\"bob\""), "\"code\":-32001,\"message\":\"bob does not run\"");
}

static void vms_are_changed(void **state)
{
	static const struct {
		const char *method;
		enum vm_command command;
	} cases[] = {
		{ "vm.start", VM_START }, { "vm.stop", VM_STOP },     { "vm.restart", VM_RESTART },
		{ "vm.pause", VM_PAUSE }, { "vm.resume", VM_RESUME },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		refusal = NULL;
		has(ask(cases[i].method, "\"vm\":\"bob\""),
		    "\"result\":{\"vm\":\"bob\",\"state\":\"off\"}");
		assert_int_equal(said, cases[i].command);
		refusal = "not now";
		has(ask(cases[i].method, "\"vm\":\"bob\""),
		    "\"code\":-32001,\"message\":\"bob: not now\"");
		said_name = NULL;
		has(ask(cases[i].method, "\"vm\":\"carol\""),
		    "\"code\":-32002,\"message\":\"there is no VM");
		has(ask(cases[i].method, ""), "\"code\":-32602,");
		has(ask(cases[i].method, "\"vm\":\"" LONG_NAME LONG_NAME "\""), "too long");
		assert_null(said_name);
	}
	has(ask("vm.dump", "\"vm\":\"" LONG_NAME "\""), "\"vcpus\":1}");
	assert_int_equal(signals, 1);
	assert_int_equal(signalled, SIGNAL_DUMP);
	has(ask("vm.dump", "\"vm\":\"bob\""), "\"code\":-32001,");
	has(ask("vm.dump", "\"vm\":\"carol\""), "\"code\":-32002,");
}

static void ports_are_told_and_changed(void **state)
{
	(void)state;
	lan.port[1].unplugged = false;
	has(ask("port.list", ""),
	    "{\"port\":\"" LONG_NAME "\",\"switch\":\"lan\",\"mac\":\"52:54:00:00:ab:01\",");
	has(text, "\"port\":\"bob/net0\"");
	has(ask("port.list", "\"port\":\"bob/net0\""),
	    "\"sent\":7,\"received\":7,\"dropped\":4,\"offloads\":{\"csum\":");
	assert_null(strstr(text, LONG_NAME));
	has(ask("port.list", "\"port\":\"bob/net1\""), "\"code\":-32002,");
	has(ask("port.link", "\"port\":\"bob/net0\",\"up\":false"), "\"link\":\"down\"");
	assert_true(lan.port[1].unplugged);
	has(ask("port.list", "\"port\":\"bob/net0\""), "\"link\":\"down\"");
	has(ask("port.link", "\"port\":\"bob/net0\",\"up\":true"), "\"link\":\"up\"");
	assert_false(lan.port[1].unplugged);
	has(ask("port.list", "\"port\":\"bob/net0\""), "\"link\":\"up\",\"uplinks_away\":false");
	away = true;
	has(ask("port.list", "\"port\":\"bob/net0\""), "\"link\":\"up\",\"uplinks_away\":true");
	away = false;
	has(ask("port.link", "\"port\":\"bob/net1\",\"up\":true"), "\"code\":-32002,");
	has(ask("port.link", "\"port\":\"bob/net0\",\"up\":\"down\""), "true or false");
	has(ask("port.link", "\"port\":\"bob/net0\""), "\\\"up\\\" is missing");
}

/* As many ports and addresses as there may be: nothing fails, and what is left out, of addresses, is told. */
static void what_is_too_long_is_shortened(void **state)
{
	unsigned told = 0;

	(void)state;
	config.switch_count = CONFIG_MAX_SWITCHES;
	more_ports = CONFIG_MAX_PORTS - 2;
	has(ask("port.list", ""), "\"result\":{\"ports\":[{");
	for (const char *at = text; (at = strstr(at, "\"offloads\"")) != NULL; at++)
		told++;
	assert_int_equal(told, CONFIG_MAX_SWITCHES * CONFIG_MAX_PORTS);
	fdb_entries = 4000;
	has(ask("fdb.list", ""), "],\"all\":true},");
	has(text, "],\"all\":false},");
	has(text, "\"entries\":[],\"all\":false}]}}");
}

static void counters_addresses_and_policies(void **state)
{
	(void)state;
	has(ask("stat.list", "\"port\":\"bob/net0\""),
	    "\"ports\":1,\"counters\":[{\"name\":\"tx_packets\",\"value\":7,");
	has(ask("stat.list", ""), "\"port\":\"all\",\"ports\":2,");
	has(ask("stat.list", "\"port\":\"x\""), "\"code\":-32002,");
	fdb_entries = 2000;
	has(ask("fdb.list", ""),
	    "{\"mac\":\"02:00:00:00:00:01\",\"port\":\"" LONG_NAME "\",\"age_us\":2999999}");
	has(text, "],\"all\":true}");
	fdb_entries = 5000;
	has(ask("fdb.list", ""), "],\"all\":false}");
	has(ask("policy.list", ""),
	    "{\"policy\":\"batching\",\"value\":\"on\",\"values\":\"off, on\",");
	has(ask("policy.set", "\"policy\":\"batching\",\"value\":\"off\""), "\"value\":\"off\"}");
	has(ask("policy.list", ""), "{\"policy\":\"batching\",\"value\":\"off\",");
	assert_int_equal(policy_changes, 1);
	assert_int_equal(posts, 2);
	has(ask("policy.set", "\"policy\":\"batching\",\"value\":\"no\""),
	    "\"code\":-32602,\"message\":\"batching takes off, on\"");
	has(ask("policy.set", "\"policy\":\"x\",\"value\":\"on\""), "no policy \\\"x\\\"");
	has(ask("policy.set", "\"policy\":\"batching\",\"value\":\"on\""), "\"value\":\"on\"}");
	assert_int_equal(opened, 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup(f, begin)
	const struct CMUnitTest tests[] = {
		CASE(vms_are_told),
		CASE(vms_are_changed),
		CASE(ports_are_told_and_changed),
		CASE(what_is_too_long_is_shortened),
		CASE(counters_addresses_and_policies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
