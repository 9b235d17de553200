/* SPDX-License-Identifier: BSD-2-Clause */
/* What the test of live changes stands in for: memory, VMs, consoles, switches; and its configs. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <asm/prctl.h>

#include "hv/core/apply.h"
#include "hv/core/console.h"
#include "hv/core/elf.h"
#include "hv/core/images.h"
#include "hv/core/lifecycle.h"
#include "hv/core/percpu.h"
#include "hv/core/platform.h"
#include "hv/core/pmm.h"
#include "vswitch/policy.h"
#include "vswitch/switch.h"
#include "tests/unit/core/dtc.h"

#include <cmocka.h>

/* --- the machine --- */

static struct cpu cpu = { .self = &cpu };
struct cpu *cpus[MAX_CPUS] = { &cpu, &cpu, &cpu, &cpu };
unsigned cpu_count = 4;
struct spinlock vm_table_lock;
struct vm *vm_table[CONFIG_MAX_VMS];
static struct config running;
const struct config *vm_config = &running;
static int64_t allocated; /* bytes */
static int fails;	  /* the allocation that fails: it counts down; 0: none */
static unsigned posted, changed_policies, takes, waits;
static unsigned waited; /* in run(): turns that a timer began */
static unsigned joins_later,
	join_fails; /* devices are not back so often; the join that fails, 0: none */
static int holds;
static bool taken[CONFIG_MAX_VMS], told_again[CONFIG_MAX_VMS], console[CONFIG_MAX_VMS];
static unsigned touched[CONFIG_MAX_VMS]; /* how often something was done to the VM there */
static struct vswitch {
	char name[32];
} * switches[CONFIG_MAX_SWITCHES];
static unsigned uplinks[CONFIG_MAX_VMS];

static bool may(void)
{
	return !fails || --fails;
}

void *page_alloc(size_t bytes)
{
	if (!may())
		return NULL;
	allocated += (int64_t)bytes;
	return calloc(1, bytes);
}

void page_free(void *p, size_t bytes)
{
	assert_non_null(p);
	allocated -= (int64_t)bytes;
	free(p);
}

uint64_t pmm_free_bytes(void)
{
	return (100ull << 20) - (uint64_t)allocated;
}

_Noreturn void panic(const char *fmt, ...)
{
	fail_msg("%s", fmt);
	abort();
}

int(fail)(enum lh_err err, const char *fmt, ...)
{
	(void)fmt;
	return err;
}

void log_printf(const char *fmt, ...)
{
	(void)fmt;
}

void cpu_post(struct cpu *to, uint32_t bits)
{
	assert_ptr_equal(to, &cpu);
	(void)bits;
	posted++;
}

void timer_init(struct timer *timer, void (*fire)(struct timer *))
{
	timer->fire = fire;
}

static struct timer *armed;

void timer_set(struct timer *timer, uint64_t deadline_tsc)
{
	(void)deadline_tsc;
	armed = timer;
}

uint64_t tsc_from_us(uint64_t us)
{
	return us;
}

void vcpu_unload(struct cpu *of)
{
	assert_ptr_equal(of, &cpu);
}

/* --- VMs --- */

int vm_create(const struct config_vm *config, unsigned id, bool staged, struct vm **out)
{
	const struct handover_image *kernel = image_find(config->kernel, staged);
	struct vm *vm;

	assert_true(taken[id] && console[id] && kernel);
	assert_ptr_equal(config, &running.vms[id]);
	vm = page_alloc(sizeof(*vm));
	if (!vm)
		return LH_NOMEM;
	vm->config = config;
	vm->id = id;
	vm->nested.v = kernel->bytes; /* what it was made from */
	*out = vm;
	touched[id]++;
	return 0;
}

int vm_join(struct vm *vm, uint64_t *again_tsc)
{
	*again_tsc = 0;
	assert_null(vm_table[vm->id]);
	if (joins_later && joins_later--)
		return LH_AGAIN;
	if (join_fails && !--join_fails) {
		page_free(vm, sizeof(*vm));
		return LH_TIMEOUT;
	}
	return 0;
}

void vm_discard(struct vm *vm)
{
	page_free(vm, sizeof(*vm));
}

bool lifecycle_take(unsigned id, bool again)
{
	takes++;
	if (taken[id])
		return true;
	if (waits && waits--)
		return false;
	told_again[id] = again;
	touched[id]++;
	if (vm_table[id])
		page_free(vm_table[id], sizeof(struct vm));
	vm_table[id] = NULL;
	taken[id] = true;
	return true;
}

void lifecycle_give(unsigned id, struct vm *vm)
{
	assert_true(taken[id]);
	taken[id] = false;
	vm_table[id] = vm;
}

bool lifecycle_runs(unsigned id)
{
	return vm_table[id] != NULL;
}

void lifecycle_hold(bool on)
{
	holds += on ? 1 : -1;
}

void lifecycle_kept(int64_t bytes)
{
	(void)bytes;
}

/* --- consoles, switches, uplinks --- */

int console_guest_add(unsigned vm, const char *name)
{
	assert_false(console[vm]);
	assert_string_equal(name, running.vms[vm].name);
	if (!may())
		return LH_NOMEM;
	console[vm] = true;
	allocated += 65536;
	return 0;
}

bool console_guest_there(unsigned vm)
{
	return console[vm];
}

void console_guest_rename(unsigned vm, const char *name)
{
	assert_true(console[vm]);
	assert_string_equal(name, running.vms[vm].name);
}

void console_guest_remove(unsigned vm)
{
	assert_true(console[vm]);
	console[vm] = false;
	allocated -= 65536;
}

struct vswitch *switch_create(const char *name)
{
	struct vswitch *sw = page_alloc(sizeof(*sw));

	if (sw)
		snprintf(sw->name, sizeof(sw->name), "%s", name);
	return sw;
}

void switch_destroy(struct vswitch *sw)
{
	if (sw)
		page_free(sw, sizeof(*sw));
}

static struct vswitch *switch_put(unsigned i, struct vswitch *sw)
{
	struct vswitch *old = switches[i];

	assert_int_equal(vm_table_lock.taken, 1);
	switches[i] = sw;
	return old;
}

static unsigned uplinks_of(const struct config_vm *vm)
{
	unsigned count = 0;

	for (unsigned i = 0; i < vm->net_count; i++)
		count += vm->nets[i].uplink;
	return count;
}

static void vm_leave(const struct config *next, unsigned id)
{
	unsigned stay = uplinks_of(&next->vms[id]);

	assert_true(taken[id]);
	assert_int_equal(vm_table_lock.taken, 1);
	if (stay < uplinks[id])
		uplinks[id] = stay;
}

static int vm_enter(unsigned id)
{
	assert_true(taken[id]);
	if (uplinks[id] < uplinks_of(&running.vms[id]) && !may())
		return LH_NOMEM;
	uplinks[id] = uplinks_of(&running.vms[id]);
	return 0;
}

static void policy_changed(void)
{
	changed_policies++;
}

/* A machine whose devices do not go with any VM of that name. */
static unsigned host_devices_check_vm(const struct config_vm *vm,
				      const struct handover_image *kernel_of,
				      config_error_fn *report, void *context)
{
	struct config_error error = { .node = "/vms/x", .property = "kernel", .text = "no IOMMU" };

	assert_ptr_equal(kernel_of, image_find(vm->kernel, true));
	if (strcmp(vm->name, "unconfined") != 0)
		return 0;
	report(context, &error);
	return 1;
}

static const struct platform_ops ops = {
	.host_devices_check_vm = host_devices_check_vm,
	.switch_put = switch_put,
	.vm_leave = vm_leave,
	.vm_enter = vm_enter,
	.policy_changed = policy_changed,
};
const struct platform_ops *platform = &ops;

/* --- configs --- */

static unsigned errors, changes;
static char first_error[512];

static void report(void *context, const struct config_error *error)
{
	(void)context;
	if (errors++ == 0)
		config_error_format(error, "new.dts", first_error, sizeof(first_error));
}

static void tell(void *context, const struct config_change *change)
{
	(void)context;
	(void)change;
	changes++;
}

static uint8_t blob[DTC_BLOB];

#define HEAD	     "/dts-v1/; / { compatible = \"lasthop,config-1\";"
#define SWITCH(name) #name ": " #name " { compatible = \"lasthop,switch\"; };"
#define NODE(name, sw, more)                                                                       \
#name " { compatible = \"lasthop,vm\"; memory-mib = <8>; " more                            \
	      "net0 { compatible = \"lasthop,net\"; switch = <&" #sw ">; }; };"
#define K "kernel = \"k\";"
#define UP(sw)                                                                                     \
	"role = \"driver-domain\"; up { compatible = \"lasthop,net\"; uplink; switch = <&" #sw     \
	">; };"
#define FIRST                                                                                      \
	HEAD SWITCH(s0) SWITCH(s1) "vms {" NODE(a, s0, K) NODE(b, s0, K) NODE(c, s1, K)            \
		NODE(d, s1, K UP(s1)) "}; };"

/* A kernel that is just good enough. */
static uint8_t kernel[256];

static void make_kernel(void)
{
	struct elf64_ehdr e = { .ident = "\177ELF\2\1\1",
				.type = ELF_TYPE_EXEC,
				.machine = ELF_MACHINE_X86_64,
				.version = 1,
				.phoff = sizeof(e),
				.ehsize = sizeof(e),
				.phentsize = 56,
				.phnum = 2 };
	struct elf64_phdr load = {
		.type = ELF_PT_LOAD, .paddr = 1 << 20, .filesz = 1, .memsz = 4096
	};
	struct elf64_phdr note = { .type = ELF_PT_NOTE, .offset = 0xb0, .filesz = 20, .memsz = 20 };
	const uint32_t text[] = { 4, 4, ELF_NOTE_PVH, 0x006e6558, 1 << 20 };

	memcpy(kernel, &e, sizeof(e));
	memcpy(kernel + sizeof(e), &load, sizeof(load));
	memcpy(kernel + sizeof(e) + sizeof(load), &note, sizeof(note));
	memcpy(kernel + 0xb0, text, sizeof(text));
}

/* The machine runs FIRST, with one kernel of the loader's. */
static void begin(void)
{
	struct handover_image file = { "k", ptr_to_hpa(kernel).v, sizeof(kernel) };
	struct handover h = { .images = ptr_to_hpa(&file).v, .image_count = 1 };

	fails = 0;
	waits = takes = changed_policies = 0;
	joins_later = join_fails = 0;
	images_init(&h);
	apply_init(&running, NULL);
	errors = config_parse(blob, dtc_compile(FIRST, blob), &running, report, NULL);
	assert_int_equal(errors, 0);
	allocated = 0;
	for (unsigned i = 0; i < running.switch_count; i++)
		switches[i] = switch_create(running.switches[i].name);
	for (unsigned i = 0; i < running.vm_count; i++) {
		taken[i] = true;
		assert_int_equal(console_guest_add(i, running.vms[i].name), 0);
		assert_int_equal(vm_enter(i), 0);
		assert_int_equal(vm_create(&running.vms[i], i, false, &vm_table[i]), 0);
		taken[i] = false;
	}
	for (unsigned id = 0; id < POLICY_COUNT; id++)
		policy_set((enum policy_id)id, running.policy[id]);
	memset(touched, 0, sizeof(touched));
}

/* Everything goes, and all memory is back. */
static void end(void)
{
	fails = 0;
	apply_drop();
	images_settle(false, &(struct config){ 0 });
	for (unsigned i = 0; i < CONFIG_MAX_VMS; i++) {
		assert_false(taken[i]);
		if (vm_table[i])
			page_free(vm_table[i], sizeof(struct vm));
		vm_table[i] = NULL;
		if (console[i])
			console_guest_remove(i);
		uplinks[i] = 0;
	}
	for (unsigned i = 0; i < CONFIG_MAX_SWITCHES; i++) {
		switch_destroy(switches[i]);
		switches[i] = NULL;
	}
	assert_int_equal(allocated, 0);
	assert_int_equal(holds, 0);
}

/* How many errors a config, as source, has. */
static unsigned check(const char *source, bool staged)
{
	const size_t bytes = dtc_compile(source, blob);

	errors = changes = 0;
	first_error[0] = '\0';
	const unsigned found = apply_check(blob, bytes, staged, report, tell, NULL);

	assert_int_equal(found, errors);
	return found;
}

static void start(void)
{
	const char *why;

	assert_int_equal(apply_begin(&why), 0);
}

/* Does what was checked, to its end. */
static enum apply_state run(void)
{
	const char *why;

	if (apply_run(&why) < 0) {
		assert_string_equal(why, "no memory for the switches");
		return APPLY_FAILED;
	}
	waited = 0;
	for (unsigned turns = 0; apply_status().state < APPLY_DONE; turns++) {
		assert_true(turns < 1000);
		if (!apply_waiting()) { /* for others, until the timer fires */
			assert_non_null(armed);
			armed->fire(armed);
			armed = NULL;
			waited++;
		}
		apply_work();
	}
	return apply_status().state;
}
