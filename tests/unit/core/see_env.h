/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For tests of the methods for looking inside: a channel, a machine with two VMs, and their ports on a real
 * switch with the guests of tests/unit/vswitch.
 */
#pragma once
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

#include "hv/core/apply.h"
#include "hv/core/cpu_time.h"
#include "hv/core/facts.h"
#include "hv/core/images.h"
#include "hv/core/json.h"
#include "hv/core/again.h"
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
	const char *why;
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
	stream = (struct mgmt_stream){ .ops = ops, .owner = owner };
	return &stream;
}

void *mgmt_stream_owner(const struct mgmt_stream *s)
{
	return s->owner;
}

void mgmt_stream_end(struct mgmt_stream *s, const char *why)
{
	s->ended = true;
	s->why = why;
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

const struct handover_image *image_find(const char *name, bool staged)
{
	(void)staged;
	assert_string_equal(name, "a.elf");
	return NULL;
}

static enum apply_state apply_is;

struct apply_status apply_status(void)
{
	return (struct apply_status){ .state = apply_is };
}

static bool waits; /* bob: to be made again */

bool again_waits(unsigned id)
{
	assert_int_equal(vm_table_lock.taken, 1);
	return waits && id == 1;
}

int vm_by_name(const char *name)
{
	assert_int_equal(vm_table_lock.taken, 0); /* it takes it */
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

static bool port_uplinks_away(struct port *port)
{
	(void)port;
	return false;
}

static int irq_pending(struct vcpu *v)
{
	return v->index == 0 ? 65 : -1;
}

static uint64_t next_timer(struct vcpu *v)
{
	return v->index == 0 ? TIMER_NEVER : 0;
}

static bool host_device_faults(unsigned i, char *name, unsigned room, uint64_t *faults)
{
	snprintf(name, room, "00:0%u.0", i);
	*faults = 7 * i;
	return i < 2;
}

static const struct platform_ops fake_platform = { .switch_at = switch_at,
						   .host_device_faults = host_device_faults,
						   .vm_port = vm_port,
						   .port_features = port_features,
						   .port_uplinks_away = port_uplinks_away,
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

unsigned guest_look(struct vcpu *v, int from, uint8_t *out, unsigned count)
{
	if (from == 0) {
		out[0] = 0xf3;
		out[1] = 0x90;
		return 2;
	}
	assert_int_equal(from, -(int)count);
	assert_true(count <= ((0x100010 + v->index) & 4095)); /* of RIP's page */
	memset(out, 0xeb, count);
	return count;
}

static int setup(void **state)
{
	(void)state;
	strcpy(config.vms[0].name, "alice");
	strcpy(config.vms[0].kernel, "a.elf");
	strcpy(config.vms[1].name, "bob");
	for (unsigned i = 0; i < 2; i++) {
		config.vms[i].net_count = 1;
		strcpy(config.vms[i].nets[0].name, "net0");
	}
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
