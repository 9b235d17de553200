/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of VMs, for the tests of it; included once by each. Faked: time and timers, the making of VMs, which
 * fails as long as the test wants, their devices, and what else their lives are made of.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <asm/prctl.h>
#include <cmocka.h>

#include "tests/unit/core/fake_clock.h"
#define pause pause_vm /* not unistd.h's */
#include "hv/core/again.c"
#include "hv/core/lifecycle.c"
#include "hv/core/vm_command.c"
#include "tests/unit/core/fake_timer.h"

enum { NETD, GUEST };

static struct cpu cpu = { .self = &cpu };
static struct config config;
static unsigned made, tried, failing; /* VMs that are there; tries; how many of these are to fail */
static unsigned waits_told, waits_logged, ends_told, resets_told, all_told, silent_tries;
static bool quiet, holds_on_failure, never_back;
static uint64_t back_tsc; /* when the devices of VMs are back from their reset */
static unsigned looks, silent_looks;
static const char *last_end;
static char order[128]; /* of kicks, and of what the devices are told */

/* --- the core --- */

_Noreturn void panic(const char *fmt, ...)
{
	fprintf(stderr, "%s\n", fmt);
	abort();
}

void log_printf(const char *fmt, ...)
{
	waits_logged += strstr(fmt, "cannot be made again") != NULL;
}

bool log_quiet(bool on)
{
	bool was = quiet;

	quiet = on;
	return was;
}

void log_set_orderly(bool orderly)
{
	(void)orderly;
}

uint64_t tsc_from_us(uint64_t us)
{
	return us;
}

uint64_t tsc_to_ns(uint64_t ticks)
{
	return ticks * 1000;
}

void cpu_post(struct cpu *to, uint32_t bits)
{
	assert_ptr_equal(to, &cpu);
	assert_int_equal(bits, MB_RESCHED);
}

uint64_t pmm_free_bytes(void)
{
	return 1 << 20;
}

unsigned host_irq_count(void)
{
	return 0;
}

void console_flush(size_t bytes)
{
	(void)bytes;
}

void quiesce(struct vm *vm)
{
	(void)vm;
}

/* --- VMs --- */

int vm_create(const struct config_vm *c, unsigned id, bool staged, struct vm **out)
{
	tried++;
	silent_tries += quiet;
	if (failing) {
		failing--;
		if (holds_on_failure)
			assert_false(lifecycle_take(id, true));
		return LH_NOMEM;
	}
	assert_false(staged);
	*out = calloc(1, sizeof(**out));
	(*out)->config = c;
	(*out)->id = id;
	made++;
	return 0;
}

void vm_destroy(struct vm *vm)
{
	made--;
	free(vm);
}

/* Its devices are back at back_tsc, or (never_back) are not then. */
int vm_join(struct vm *vm, uint64_t *again_tsc)
{
	looks++;
	silent_looks += quiet;
	*again_tsc = back_tsc;
	if (fake_now < back_tsc)
		return LH_AGAIN;
	if (!never_back)
		return 0;
	vm_destroy(vm);
	return LH_TIMEOUT;
}

void delay_us(uint64_t us)
{
	fake_now += us;
}

bool vm_virtualizes_apics(const struct vm *vm)
{
	(void)vm;
	return false;
}

void vcpu_start(struct vcpu *v)
{
	(void)v;
}

void vcpu_start_at(struct vcpu *v, uint64_t tsc)
{
	(void)v;
	(void)tsc;
}

static inline void did(const char *what)
{
	assert_true(strlen(order) + strlen(what) + 2 < sizeof(order));
	strcat(strcat(order, what), " ");
}

void vcpu_kick(struct vcpu *v)
{
	did(atomic_load(&v->vm->paused) ? "kick-paused" : "kick");
}

void vcpu_dump(struct vcpu *v)
{
	(void)v;
}

void watchdog_cancel(struct vm *vm)
{
	(void)vm;
}

void watchdog_resume(struct vm *vm)
{
	(void)vm;
}

void vm_past_add(const struct vm *vm)
{
	(void)vm;
}

void exit_counts_add(struct exit_counts *sum, const struct vm *vm)
{
	(void)sum;
	(void)vm;
}

static inline void of_vm(struct vm *vm)
{
	(void)vm;
}

static inline void paused(struct vm *vm, bool is)
{
	/* whichever: no vCPU may enter the guest */
	assert_true(atomic_load(&vm->paused) || atomic_load(&vm->state) != VM_RUNNING);
	did(is ? "silent" : "on");
}

static inline void nothing(void)
{
}

static const struct platform_ops ops = {
	.vm_paused = paused,
	.vm_give_back = of_vm,
	.vm_destroy = of_vm,
	.uplinks_report = nothing,
};
const struct platform_ops *platform = &ops;

/* --- what is told --- */

void report_vm_start(const char *vm, uint64_t at_ns, uint64_t free_kib, unsigned irq_vectors)
{
	(void)vm;
	(void)at_ns;
	(void)free_kib;
	(void)irq_vectors;
}

void report_vm_end(const char *vm, unsigned vcpus, const char *end, const char *reason,
		   const struct report_life *life)
{
	(void)vm;
	(void)vcpus;
	(void)reason;
	(void)life;
	ends_told++;
	last_end = end;
}

void report_vm_reset(const char *vm, const char *end, const char *reason, uint64_t at_ns)
{
	(void)vm;
	(void)end;
	(void)reason;
	(void)at_ns;
	resets_told++;
}

void report_vm_waits(const char *vm, const char *reason, uint64_t at_ns)
{
	assert_string_equal(vm, "netd");
	(void)reason;
	(void)at_ns;
	waits_told++;
}

void report_vm_paused(const char *vm, bool is, uint64_t at_ns)
{
	(void)vm;
	(void)is;
	(void)at_ns;
}

void report_end(void)
{
	all_told++;
}

/* --- the tests --- */

/* netd and a guest run. */
static inline int setup(void **state)
{
	(void)state;
	assert_int_equal(syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu), 0);
	config = (struct config){ .vm_count = 2 };
	config.vms[NETD] = (struct config_vm){ .name = "netd", .cpus = 1, .driver_domain = true };
	config.vms[GUEST] = (struct config_vm){ .name = "guest", .cpus = 1 };
	fake_now = 10 * STEADY_US;
	fake_timer = NULL;
	failing = tried = silent_tries = 0;
	waits_told = waits_logged = ends_told = resets_told = all_told = 0;
	holds_on_failure = never_back = false;
	back_tsc = 0;
	looks = silent_looks = 0;
	order[0] = 0;
	assert_int_equal(lifecycle_start(&config), 0);
	tried = 0;
	return 0;
}

static inline void ends(unsigned id, const char *end)
{
	vm_end(vm_table[id], end, "test");
	vm_last_out(vm_table[id]);
	vm_reap();
}

static inline int teardown(void **state)
{
	const char *why;

	(void)state;
	for (unsigned id = 0; id < 2; id++)
		if (vm_table[id])
			ends(id, END_STOPPED);
		else if (again_waits(id))
			assert_int_equal(vm_command(config.vms[id].name, VM_STOP, &why), 0);
	assert_int_equal(made, 0);
	assert_int_equal(atomic_load(&vms_live), 0);
	assert_int_equal(atomic_load(&guests_live), 0);
	return 0;
}

/* Until the timer fires, and the run loop comes by. How long that was; 0: it is not set. */
static inline uint64_t wait_for_timer(void)
{
	struct timer *timer = fake_timer;
	uint64_t begin = fake_now;

	if (!timer)
		return 0;
	vm_reap();
	assert_false(again_asks());
	fake_now = timer->deadline_tsc;
	fake_timer = NULL;
	timer->fire(timer);
	assert_true(again_asks());
	vm_reap();
	assert_false(again_asks());
	return fake_now - begin;
}

static inline void netd_dies_and_cannot_be_made(unsigned times)
{
	failing = times;
	ends(NETD, END_CRASH);
	assert_null(vm_table[NETD]);
	assert_true(lifecycle_runs(NETD));
}
