/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Do the methods for looking inside tell what is: all counters, each vCPU's copy of itself, each queue, what would
 * become of a frame; and does a capture come whole, go on when its VM has restarted, and leave nothing behind? The
 * switch and its guests are those of tests/unit/vswitch; faked: the channel, VMs, the processor.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/core/cpu_time.h"
#include "hv/core/facts.h"
#include "hv/core/json.h"
#include "hv/core/lifecycle.h"
#include "hv/core/mgmt_see.h"
#include "hv/core/platform.h"
#include "hv/core/vm_past.h"
#include "hv/core/wall.h"
#include "hv/cpu/msr.h"
#include "lasthop/capture.h"
#include "tests/unit/vswitch/driver.h"
#include "vswitch/capture.h"
#include "vswitch/switch.h"

#include <cmocka.h>

static struct config config = { .switch_count = 1, .vm_count = 2 };
static struct vm vm = { .config = &config.vms[0], .vcpu_count = 2 };
static struct vcpu vcpu[2];
static struct cpu cpu0 = { .index = 5 };
static struct vswitch *sw;
static struct guest *a, *b;
static uint8_t frame[256];

struct cpu *cpus[MAX_CPUS] = { &cpu0 };
unsigned cpu_count = 1;
struct spinlock vm_table_lock;
struct vm *vm_table[CONFIG_MAX_VMS];
const struct config *vm_config = &config;

/* ---- the channel ---- */

struct mgmt_call {
	const char *name[4], *value[4]; /* of parameters */
	struct json json;
	char text[65536];
	bool failed;
	enum mgmt_error error;
};

struct mgmt_stream {
	const struct mgmt_stream_ops *ops;
	void *owner;
	bool ended;
};

static struct mgmt_call call;
static struct mgmt_stream stream;
static bool no_stream;

static const char *value_of(const struct mgmt_call *c, const char *name)
{
	for (unsigned i = 0; i < 4 && c->name[i]; i++)
		if (!strcmp(c->name[i], name))
			return c->value[i];
	return NULL;
}

struct json *mgmt_result(struct mgmt_call *c)
{
	return &c->json;
}

void mgmt_fail(struct mgmt_call *c, enum mgmt_error error, const char *fmt, ...)
{
	(void)fmt;
	c->failed = true;
	c->error = error;
}

bool mgmt_param_given(const struct mgmt_call *c, const char *name)
{
	return value_of(c, name) != NULL;
}

bool mgmt_param_string(struct mgmt_call *c, const char *name, char *out, size_t room)
{
	const char *value = value_of(c, name);

	if (value && strlen(value) < room)
		strcpy(out, value);
	else
		mgmt_fail(c, MGMT_PARAMS, "%s", name);
	return !c->failed;
}

bool mgmt_param_u64(struct mgmt_call *c, const char *name, uint64_t least, uint64_t most,
		    uint64_t *out)
{
	*out = strtoull(value_of(c, name), NULL, 10);
	if (*out < least || *out > most)
		mgmt_fail(c, MGMT_PARAMS, "%s", name);
	return !c->failed;
}

struct mgmt_stream *mgmt_stream_open(struct mgmt_call *c, const struct mgmt_stream_ops *ops,
				     void *owner)
{
	if (no_stream) {
		mgmt_fail(c, MGMT_NOMEM, "none is free");
		return NULL;
	}
	stream = (struct mgmt_stream){ ops, owner, false };
	return &stream;
}

void *mgmt_stream_owner(const struct mgmt_stream *s)
{
	return s->owner;
}

void mgmt_stream_end(struct mgmt_stream *s, const char *why)
{
	(void)why;
	s->ended = true;
}

/* Calls a method with up to two parameters; its answer, whose brackets close. */
static const char *ask(void (*run)(struct mgmt_call *), const char *n1, const char *v1,
		       const char *n2, const char *v2)
{
	int depth = 0;

	memset(&call, 0, sizeof(call));
	call.name[0] = n1;
	call.value[0] = v1;
	call.name[1] = n2;
	call.value[1] = v2;
	json_init(&call.json, call.text, sizeof(call.text) - 1);
	run(&call);
	assert_false(call.json.full);
	for (size_t i = 0; i < call.json.fill; i++) {
		depth += call.text[i] == '{' || call.text[i] == '[';
		depth -= call.text[i] == '}' || call.text[i] == ']';
		assert_true(depth >= 0);
	}
	assert_int_equal(depth, 0);
	return call.text;
}

static void has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no %s in %s", part, text);
}

static void has_not(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("%s in %s", part, text);
}

/* ---- the machine ---- */

static unsigned looks_asked;

uint64_t tsc_to_ns(uint64_t ticks)
{
	return ticks;
}

uint64_t tsc_from_us(uint64_t us)
{
	return us * 1000;
}

uint64_t wall_ns_at(uint64_t tsc)
{
	(void)tsc;
	return 1700000000000000000u;
}

void cpu_time_sum(uint64_t sum[TIME_KINDS])
{
	for (unsigned i = 0; i < TIME_KINDS; i++)
		sum[i] = 1000 * (i + 1);
}

void vcpu_signal(struct vcpu *v, enum vcpu_signal signal, uint8_t vector)
{
	(void)v;
	(void)vector;
	assert_int_equal(signal, SIGNAL_LOOK);
	looks_asked++;
}

int vm_by_name(const char *name)
{
	return !strcmp(name, "alice") ? 0 : !strcmp(name, "bob") ? 1 : -1;
}

void mac_text(char out[MAC_TEXT], const uint8_t mac[6])
{
	snprintf(out, MAC_TEXT, "%02x:...", mac[0]);
}

static struct vswitch *switch_at(unsigned i)
{
	return i == 0 ? sw : NULL;
}

static struct port *vm_port(struct vm *of, unsigned i)
{
	return of == &vm && i == 0 ? a->port : NULL;
}

static bool port_features(struct port *port, uint64_t *offered, uint64_t *accepted)
{
	*offered = *accepted = 0;
	return port == a->port;
}

static int irq_pending(struct vcpu *v)
{
	return v->index == 0 ? 65 : -1;
}

static uint64_t next_timer(struct vcpu *v)
{
	return v->index == 0 ? TIMER_NEVER : 0;
}

static const struct platform_ops fake_platform = { .switch_at = switch_at,
						   .vm_port = vm_port,
						   .port_features = port_features,
						   .irq_pending = irq_pending,
						   .next_timer = next_timer };
const struct platform_ops *platform = &fake_platform;

static void get_sregs(struct vcpu *v, struct vcpu_sregs *s)
{
	memset(s, 0, sizeof(*s));
	s->rip = 0x100010 + v->index;
	s->rflags = v->index == 0 ? 0x202 : 2;
	s->efer = EFER_LMA;
	s->seg[SEG_CS].access = 1u << 9;
}

static bool irq_ready(struct vcpu *v)
{
	return v->index == 0;
}

static const struct hvm_ops fake_hvm = { .get_sregs = get_sregs, .irq_ready = irq_ready };
const struct hvm_ops *hvm = &fake_hvm;

unsigned guest_fetch(struct vcpu *v, uint8_t out[15])
{
	(void)v;
	out[0] = 0xf3;
	out[1] = 0x90;
	return 2;
}

int gva_to_gpa(struct vcpu *v, uint64_t gva, uint32_t access, gpa_t *out, uint32_t *pf_error)
{
	(void)v;
	(void)access;
	(void)pf_error;
	*out = (gpa_t){ gva };
	return 0;
}

bool vm_read(const struct vm *of, gpa_t at, void *to, size_t bytes)
{
	(void)of;
	assert_true((at.v & 4095) + bytes <= 4096);
	memset(to, 0xeb, bytes);
	return true;
}

static int setup(void **state)
{
	(void)state;
	strcpy(config.vms[0].name, "alice");
	strcpy(config.vms[0].kernel, "a.elf");
	strcpy(config.vms[1].name, "bob");
	config.vms[0].cpus = 2;
	for (unsigned i = 0; i < 2; i++) {
		memset(&vcpu[i], 0, sizeof(vcpu[i]));
		vcpu[i].vm = &vm;
		vcpu[i].index = i;
		atomic_store(&vcpu[i].state, i == 0 ? VCPU_RUNNING : VCPU_OFF);
		atomic_store(&vcpu[i].cpu, &cpu0);
		vm.vcpus[i] = &vcpu[i];
	}
	atomic_store(&vm.state, VM_RUNNING);
	vm_table[0] = &vm;
	sw = switch_create("lan");
	a = guest_create(sw, &(struct guest_config){ .name = "alice/net0" });
	b = guest_create(sw, &(struct guest_config){ .name = "bob/net0" });
	looks_asked = 0;
	no_stream = false;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	guest_destroy(a);
	guest_destroy(b);
	switch_destroy(sw);
	return env_allocs != 0;
}

/* ---- what is told ---- */

static void samples(void **state)
{
	const char *told;

	(void)state;
	frame_make(frame, 60, 2, 1, 0);
	port_inject(a->port, frame, 60);
	atomic_store(&vcpu[0].exits[EXIT_CAUSE_io], 77);
	told = ask(see_sample, NULL, NULL, NULL, NULL);
	has(told, "\"cpu_us\":[1,2,3,4,5]");
	has(told, "{\"name\":\"alice\",\"runs\":true,\"paused\":false,");
	has(told, "\"exits\":[0,0,0,0,0,0,0,0,0,77,0,0");
	has(told, "{\"name\":\"bob\",\"runs\":false,");
	has(told, "{\"name\":\"alice/net0\",\"switch\":\"lan\",\"link\":true,\"uplink\":false,"
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
	has(told, "\"port\":\"alice/net0\",\"switch\":\"lan\",\"link\":true,\"driver\":true");
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
		assert_int_equal(r.magic, CAPTURE_MAGIC);
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
	has(told, "\"lost\":0");
	assert_true(stream.ended);
	port_inject(a->port, frame, 60); /* no more */
	assert_int_equal(records(), 2);
	ask(see_capture_end, "port", "alice/net0", NULL, NULL);
	assert_int_equal(call.error, MGMT_NOENT);
	stream.ops->closed(&stream, true);
	/* a host that breaks off */
	ask(see_capture, "port", "bob/net0", NULL, NULL);
	assert_false(call.failed);
	stream.ops->closed(&stream, false);
	port_inject(b->port, frame, 60);
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
		cmocka_unit_test_setup_teardown(captures_refused, setup, teardown),
		cmocka_unit_test(exits_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
