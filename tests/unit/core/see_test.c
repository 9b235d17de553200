/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/core/see_env.h"

/* ---- what is told ---- */

static void samples(void **state)
{
	char exits[100] = "\"exits\":[";
	const char *told;

	(void)state;
	frame_make(frame, 60, 2, 1, 0);
	port_inject(a->port, frame, 60);
	atomic_store(&vcpu[0].exits[EXIT_CAUSE_io], 77);
	told = ask(see_sample, NULL, NULL, NULL, NULL);
	has(told, "\"cpu_us\":[1,2,3,4,5]");
	has(told, "\"iommu_faults\":[{\"device\":\"00:00.0\",\"faults\":0},"
		  "{\"device\":\"00:01.0\",\"faults\":7}],");
	has(told, "{\"name\":\"alice\",\"runs\":true,\"paused\":false,");
	for (unsigned id = 0; id < EXIT_CAUSE_io; id++)
		strcat(exits, "0,");
	has(told, strcat(exits, "77,0"));
	has(told, "{\"name\":\"bob\",\"runs\":false,");
	has(told, "{\"name\":\"alice/"
		  "net0\",\"switch\":\"lan\",\"link\":true,\"uplinks_away\":false,\"uplink\":false,"
		  "\"counters\":[1,60,0,0,0,1,1,");
	told = ask(see_tables, NULL, NULL, NULL, NULL);
	has(told, "\"counters\":[[\"tx_packets\",\"packets\",\"traffic\",");
	has(told, "[\"drop_no_buffer\",\"receiver has no free buffer\"]");
	has(told, "\"times\":[\"root\",\"guest\",\"driver\",\"idle\",\"poll\"]");
	has(told, "{\"name\":\"copy\",\"help\":");
	has(told, "\"words\":[\"auto\",\"moves\",\"vectors\",\"rep\"]}");
	has(told, "\"least\":1,\"most\":64}");
}

static void why(void **state)
{
	const struct vmexit io = { .kind = VMEXIT_IO, .io = { .port = 0x3f8 } };
	const char *told;

	(void)state;
	told = ask(see_why, "vm", "alice", NULL, NULL);
	has(told, "\"state\":\"running\"");
	has(told, "\"index\":0,\"state\":\"running\",\"cpu\":5,");
	has_not(told, "\"rip\""); /* nobody has looked yet, but was asked to: not who is off */
	assert_int_equal(looks_asked, 1);
	for (unsigned i = 0; i < LAST_EXITS + 3; i++)
		vcpu_remember_exit(&vcpu[0], &io, EXIT_CAUSE_io, i);
	vcpu_remember_exit(&vcpu[0], &(struct vmexit){ .kind = VMEXIT_HLT }, EXIT_CAUSE_hlt, 99);
	vcpu[0].halted = true;
	vcpu_look_take(&vcpu[0], false);
	told = ask(see_why, "vm", "alice", NULL, NULL);
	has(told, "\"rip\":\"100010\"");
	has(told, "\"code\":\"f390\",\"before\":\"ebebebebebebebebebebebebebebebeb\"");
	has(told, "\"bits64\":true,\"interrupts_on\":true,\"halted\":true,\"sipi_awaited\":false,"
		  "\"can_take\":true,\"irq\":65,\"exits_total\":20");
	has(told, "\"exits\":[{\"kind\":\"hlt\",\"cause\":\"hlt\",\"detail\":\"0\"");
	has(told, "{\"kind\":\"io\",\"cause\":\"io\",\"detail\":\"3f8\"");
	has(told, "\"port\":\"alice/"
		  "net0\",\"switch\":\"lan\",\"link\":true,\"uplinks_away\":false,\"driver\":true");
	has(told,
	    "{\"queue\":\"receive\",\"pair\":0,\"state\":\"running\",\"packed\":false,\"size\":256,"
	    "\"available\":true,\"avail\":32,\"next\":0,\"used\":0");
	port_stop_queue(a->port, 1);
	told = ask(see_why, "vm", "alice", NULL, NULL);
	has(told, "{\"queue\":\"transmit\",\"pair\":0,\"state\":\"stopped\"}");
	ask(see_why, "vm", "nobody", NULL, NULL);
	assert_int_equal(call.error, MGMT_NOENT);
}

static void earlier_lives(void **state)
{
	const char *told;

	(void)state;
	for (unsigned i = 0; i < PAST_ENDS + 2; i++) {
		snprintf(vm.end_reason, sizeof(vm.end_reason), "reason %u", i);
		vm.end = END_CRASH;
		vm.id = 1;
		vm.start_tsc = 1000;
		vm.end_tsc = 6000;
		vm_past_add(&vm);
		vm.id = 0;
	}
	told = ask(see_why, "vm", "bob", NULL, NULL);
	has(told, "\"state\":\"off\"");
	has(told, "\"ends\":6,\"past\":[{\"end\":\"crash\",\"reason\":\"reason 5\",");
	has(told, "\"lived_us\":5}");
	has(told, "reason 2");
	has_not(told, "reason 1");
	has(told, "\"vcpus\":[],\"ports\":[]");
	waits = true;
	has(ask(see_why, "vm", "bob", NULL, NULL), "\"state\":\"waiting\"");
	waits = false;
}

static const char *hex(const uint8_t *bytes, unsigned count)
{
	static char text[1024];

	for (unsigned i = 0; i < count; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	return text;
}

static void traces(void **state)
{
	const char *told;

	(void)state;
	frame_make(frame, 60, 1, 2, 0);
	port_inject(b->port, frame, 60);
	frame_make(frame, 60, 2, 1, 0);
	told = ask(see_trace, "port", "alice/net0", "frame", hex(frame, 60));
	has(told,
	    "\"verdict\":\"delivered\",\"most_bytes\":9018,\"length_passes\":true,"
	    "\"source_passes\":true,\"source\":\"new\",\"group\":false,\"behind\":\"bob/net0\","
	    "\"receivers\":[{\"port\":\"bob/net0\",\"verdict\":\"delivered\"}]");
	told = ask(see_trace, "port", "alice/net0", "frame", hex(frame, 13));
	has(told, "\"verdict\":\"drop_short\"");
	assert_int_equal(port_counter(a->port, STAT_tx_packets), 0);
	told = ask(see_trace, "port", "alice/net0", "frame", "FFfffffffFFF0200000000010800");
	has(told, "\"group\":true");
	ask(see_trace, "port", "nobody/net0", "frame", "00");
	assert_int_equal(call.error, MGMT_NOENT);
	ask(see_trace, "port", "alice/net0", "frame", "0");
	assert_int_equal(call.error, MGMT_PARAMS);
	ask(see_trace, "port", "alice/net0", "frame", "0g");
	assert_int_equal(call.error, MGMT_PARAMS);
	call = (struct mgmt_call){ .name = { "port", "frame", "bytes" },
				   .value = { "alice/net0", hex(frame, 60), "1500" } };
	json_init(&call.json, call.text, sizeof(call.text) - 1);
	see_trace(&call); /* fewer bytes than the switch may look at */
	assert_int_equal(call.error, MGMT_PARAMS);
}

static uint32_t mark_told(void)
{
	const char *at = strstr(call.text, "\"mark\":");

	assert_non_null(at);
	return (uint32_t)strtoul(at + 7, NULL, 10);
}

static uint32_t mark;

static unsigned records(void)
{
	static uint8_t out[1u << 20];
	struct capture_record r;
	unsigned count = 0;
	size_t bytes = 0, n;

	while ((n = stream.ops->pull(&stream, out + bytes, 100)) != 0)
		bytes += n;
	for (size_t at = 0; at < bytes; at += r.bytes, count++) {
		memcpy(&r, out + at, sizeof(r));
		assert_int_equal(r.mark, mark);
	}
	return count;
}

static void captures(void **state)
{
	const char *told;

	(void)state;
	frame_make(frame, 60, 2, 1, 0);
	told = ask(see_capture, "port", "alice/net0", "snap", "64");
	assert_false(call.failed);
	has(told, "\"port\":\"alice/net0\",\"switch\":\"lan\",\"mac\":\"");
	has(told, "\"snap\":64,\"ring_kib\":1024,");
	has(told, "\"wall_ns\":1700000000000000000");
	mark = mark_told();
	port_inject(a->port, frame, 60);
	port_inject(b->port, frame, 60); /* reaches a */
	assert_int_equal(records(), 2);
	ask(see_capture, "port", "alice/net0", NULL, NULL);
	assert_int_equal(call.error, MGMT_REFUSED); /* it is already */
	/* the VM starts again, with another port of the name */
	guest_destroy(a);
	assert_int_equal(records(), 0);
	a = guest_create(sw, &(struct guest_config){ .name = "alice/net0" });
	while (!port_captured(a->port, *(struct capture **)stream.owner))
		assert_int_equal(records(), 0);
	port_inject(a->port, frame, 60);
	port_inject(a->port, frame, 60);
	told = ask(see_capture_end, "port", "alice/net0", NULL, NULL);
	has(told, "\"records\":4");
	assert_true(stream.ended);
	port_inject(a->port, frame, 60); /* no more */
	assert_int_equal(records(), 2);
	ask(see_capture_end, "port", "alice/net0", NULL, NULL);
	assert_int_equal(call.error, MGMT_NOENT);
	stream.ops->closed(&stream, true);
	/* a host that breaks off; the mark is another one */
	ask(see_capture, "port", "bob/net0", NULL, NULL);
	assert_false(call.failed);
	assert_int_not_equal(mark_told(), mark);
	stream.ops->closed(&stream, false);
	port_inject(b->port, frame, 60);
}

/* For longer than from one look for the port to the next, and once behind that. */
static void look_for_it(void)
{
	const uint64_t begin = rdtsc();
	bool over;

	do {
		over = rdtsc() - begin >= tsc_from_us(100000);
		assert_int_equal(records(), 0);
	} while (!stream.ended && !over);
}

static void captures_end_with_their_port(void **state)
{
	struct config_vm *alice = &config.vms[0];

	(void)state;
	ask(see_capture, "port", "alice/net0", NULL, NULL);
	assert_false(call.failed);
	mark = mark_told();
	guest_destroy(a);
	look_for_it(); /* its VM is off */
	assert_false(stream.ended);
	apply_is = APPLY_MAKES; /* which may go back */
	alice->net_count = 0;
	look_for_it();
	assert_false(stream.ended);
	apply_is = APPLY_DONE;
	look_for_it();
	assert_true(stream.ended);
	has(stream.why, "another config");
	ask(see_capture_end, "port", "alice/net0", NULL, NULL);
	assert_int_equal(call.error, MGMT_NOENT);
	stream.ops->closed(&stream, false);
	alice->net_count = 1;
	a = guest_create(sw, &(struct guest_config){ .name = "alice/net0" });
}

static void captures_refused(void **state)
{
	static const struct {
		const char *port, *name, *value;
		enum mgmt_error error;
	} cases[] = {
		{ "nobody/net0", NULL, NULL, MGMT_NOENT },
		{ "alice/net0", "snap", "65554", MGMT_PARAMS },
		{ "alice/net0", "ring_kib", "255", MGMT_PARAMS },
		{ "alice/net0", "ring_kib", "65537", MGMT_PARAMS },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ask(see_capture, "port", cases[i].port, cases[i].name, cases[i].value);
		assert_int_equal(call.error, cases[i].error);
	}
	env_alloc_fail = 0;
	ask(see_capture, "port", "alice/net0", NULL, NULL);
	assert_int_equal(call.error, MGMT_NOMEM);
	env_alloc_fail = -1;
	no_stream = true;
	ask(see_capture, "port", "alice/net0", "ring_kib", "300");
	assert_int_equal(call.error, MGMT_NOMEM);
	no_stream = false;
	ask(see_capture, "port", "alice/net0", "ring_kib", "300");
	assert_false(call.failed);
	has(call.text, "\"ring_kib\":256");
	stream.ops->closed(&stream, false);
}

/* A look of a vCPU that stands at the beginning of a page reads nothing before it. */
static void exits_by_name(void **state)
{
	(void)state;
	assert_string_equal(vmexit_kind_name(VMEXIT_PAUSE), "pause");
	assert_string_equal(vmexit_kind_name(VMEXIT_SHUTDOWN), "triple-fault");
	assert_string_equal(vmexit_kind_name(1000), "other");
	for (unsigned kind = 0; kind <= VMEXIT_FAILED; kind++)
		assert_string_not_equal(vmexit_kind_name(kind), "other");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(samples, setup, teardown),
		cmocka_unit_test_setup_teardown(why, setup, teardown),
		cmocka_unit_test_setup_teardown(earlier_lives, setup, teardown),
		cmocka_unit_test_setup_teardown(traces, setup, teardown),
		cmocka_unit_test_setup_teardown(captures, setup, teardown),
		cmocka_unit_test_setup_teardown(captures_end_with_their_port, setup, teardown),
		cmocka_unit_test_setup_teardown(captures_refused, setup, teardown),
		cmocka_unit_test(exits_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
