/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does a driver domain come back that could not be made again at once? Faked: time and timers, the making of
 * VMs, which fails as long as the test wants, and what else their lives are made of.
 */
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
static bool quiet, holds_on_failure;
static const char *last_end;

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

void vcpu_kick(struct vcpu *v)
{
	(void)v;
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

static void of_vm(struct vm *vm)
{
	(void)vm;
}

static void paused(struct vm *vm, bool is)
{
	(void)vm;
	(void)is;
}

static void nothing(void)
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
static int setup(void **state)
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
	holds_on_failure = false;
	assert_int_equal(lifecycle_start(&config), 0);
	tried = 0;
	return 0;
}

static void ends(unsigned id, const char *end)
{
	vm_end(vm_table[id], end, "test");
	vm_last_out(vm_table[id]);
	vm_reap();
}

static int teardown(void **state)
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
static uint64_t wait_for_timer(void)
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

static void netd_dies_and_cannot_be_made(unsigned times)
{
	failing = times;
	ends(NETD, END_CRASH);
	assert_null(vm_table[NETD]);
	assert_true(lifecycle_runs(NETD));
}

static void it_is_tried_until_it_can_and_told_once(void **state)
{
	static const uint64_t gaps_ms[] = { 200, 400, 800, 1600, 3200, 6400, 6400, 6400 };

	(void)state;
	for (unsigned again = 0; again < 2; again++) {
		netd_dies_and_cannot_be_made(8);
		for (unsigned i = 0; i < 8; i++) {
			assert_null(vm_table[NETD]);
			assert_int_equal(wait_for_timer(), gaps_ms[i] * 1000);
		}
		assert_non_null(vm_table[NETD]);
		assert_false(again_waits(NETD));
		assert_int_equal(wait_for_timer(), 0);
		assert_int_equal(tried, 9 * (again + 1));
		assert_int_equal(silent_tries, 8 * (again + 1)); /* all but the first */
		assert_int_equal(waits_told, again + 1);
		assert_int_equal(waits_logged, again + 1);
		assert_int_equal(ends_told, 0); /* it lives on */
	}
	assert_false(quiet);
	assert_int_equal(all_told, 0);
}

static void the_user_starts_it(void **state)
{
	static const enum vm_command commands[] = { VM_START, VM_RESTART };
	const char *why;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		netd_dies_and_cannot_be_made(3);
		assert_int_equal(vm_command("netd", VM_PAUSE, &why), LH_BUSY);
		assert_string_equal(why, "it does not run");
		assert_int_equal(vm_command("netd", commands[i], &why), LH_NOMEM);
		assert_true(again_waits(NETD)); /* as before */
		(void)wait_for_timer();
		assert_null(vm_table[NETD]);
		assert_int_equal(vm_command("netd", commands[i], &why), 0);
		assert_non_null(vm_table[NETD]);
		assert_int_equal(wait_for_timer(), 0);
	}
	assert_int_equal(tried, 8);
	assert_int_equal(atomic_load(&vms_live), 2);
}

static void the_user_stops_it(void **state)
{
	const char *why;

	(void)state;
	netd_dies_and_cannot_be_made(1);
	ends(GUEST, END_OK);
	assert_int_equal(ends_told, 1);
	assert_int_equal(vm_command("netd", VM_STOP, &why), 0);
	assert_int_equal(ends_told, 2);
	assert_string_equal(last_end, END_STOPPED);
	assert_int_equal(atomic_load(&vms_live), 0);
	assert_false(lifecycle_runs(NETD));
	assert_int_equal(wait_for_timer(), 0);
	assert_int_equal(vm_command("netd", VM_STOP, &why), LH_BUSY);
	assert_int_equal(vm_command("netd", VM_START, &why), 0);
	assert_non_null(vm_table[NETD]);
}

/* What was started in vain by the user is not tried by itself, and a guest never is. */
static void others_are_not_tried(void **state)
{
	const char *why;

	(void)state;
	ends(NETD, END_STOPPED);
	failing = 1;
	assert_int_equal(vm_command("netd", VM_START, &why), LH_NOMEM);
	assert_false(lifecycle_runs(NETD));
	failing = 1;
	ends(GUEST, END_REBOOT);
	assert_string_equal(last_end, END_FAILED);
	assert_false(lifecycle_runs(GUEST));
	assert_int_equal(wait_for_timer(), 0);
	assert_int_equal(waits_told, 0);
	assert_int_equal(atomic_load(&vms_live), 0);
}

static void a_new_config_takes_its_place(void **state)
{
	struct vm *vm;

	(void)state;
	for (unsigned again = 0; again < 2; again++) {
		netd_dies_and_cannot_be_made(1);
		assert_true(lifecycle_take(NETD, again));
		assert_int_equal(ends_told, 1); /* of the first, which was not to be made again */
		assert_int_equal(wait_for_timer(), 0);
		assert_int_equal(vm_create(&config.vms[NETD], NETD, false, &vm), 0);
		lifecycle_give(NETD, vm);
		assert_int_equal(atomic_load(&vms_live), 2);
	}
	/* it is wanted while it is being made */
	holds_on_failure = true;
	failing = 1;
	ends(NETD, END_CRASH);
	assert_true(lifecycle_take(NETD, true));
	assert_int_equal(wait_for_timer(), 0);
	assert_int_equal(vm_create(&config.vms[NETD], NETD, false, &vm), 0);
	lifecycle_give(NETD, vm);
	assert_int_equal(atomic_load(&vms_live), 2);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(it_is_tried_until_it_can_and_told_once),
		CASE(the_user_starts_it),
		CASE(the_user_stops_it),
		CASE(others_are_not_tried),
		CASE(a_new_config_takes_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
