/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is a busy queue handed to an idle CPU only, the one that should have it; does that CPU poll it only
 * while it has nothing else to do, and for a bounded time; and is it gone when it is cancelled?
 */
#include "tests/unit/dev/fakes.h"

#include <cmocka.h>

#include "hv/dev/switch_env.h"
#include "tests/unit/dev/fake_switch.h"
#include "vswitch/env.h"
#include "vswitch/policy.h"
#include "vswitch/switch.h"

extern unsigned cpu_count;

enum { LONG_AGO = 2 }; /* a TSC */

static struct cpu helper[2];
static struct switch_work work, second;
static struct port *port;

void env_more_work(struct port *p, unsigned queue)
{
	(void)p;
	(void)queue;
	if (!switch_work_handed_on(&work))
		switch_work_queue(&work);
}

/* This CPU is number 0; 1 and 2 idle. */
static int set_up(void **state)
{
	const struct port_config config = { .name = "p", .queue_pairs = 5 };

	(void)state;
	if (work.serve) /* an earlier test may have left it in a list */
		switch_work_cancel(&work);
	fake_reset(1);
	fake_cpu.index = 0;
	cpu_count = 3;
	for (unsigned i = 0; i < 2; i++) {
		helper[i] = (struct cpu){ .index = i + 1, .apic_id = i + 1, .armed_tsc = ~0ull };
		atomic_store(&helper[i].idle, true);
		atomic_store(&helper[i].doing, TIME_IDLE);
		atomic_store(&helper[i].accounted, LONG_AGO);
		cpus[i + 1] = &helper[i];
	}
	memset(fake_port, 0, sizeof(fake_port));
	port = port_create(switch_create("lan"), &config);
	memset(&work, 0, sizeof(work));
	memset(&second, 0, sizeof(second));
	fake_polled = NULL;
	fake_poll_leaves = NULL;
	switch_work_init_queue(&work, port, 1);
	policy_set(POLICY_offload, 1);
	policy_set(POLICY_polling, 1);
	return 0;
}

/* From now on this is that CPU: with nothing to do, as far as it knows. */
static void become(unsigned index)
{
	fake_cpu.index = index;
	fake_cpu.current = NULL;
	fake_cpu.armed_tsc = ~0ull;
	atomic_store(&fake_cpu.idle, true);
	atomic_store(&fake_cpu.mailbox, 0);
	atomic_store(&fake_cpu.runq_length, 0);
}

static void idle_ones_help(void **state)
{
	(void)state;
	assert_true(switch_work_offer(&work));
	assert_int_equal(fake_posted, MB_SWITCH_WORK);
	assert_int_equal(atomic_load(&work.home), 2);
	/* it is in a list: not twice */
	assert_false(switch_work_offer(&work));
	become(1);
	assert_false(switch_work_run()); /* not while it may have somebody to run */
	assert_int_equal(port->polls + port->services, 0);
	switch_poll();
	assert_true(port->polls > 0);
	assert_false(port->polled[1]);
	assert_int_equal(port->services, 0);
	assert_int_equal(atomic_load(&work.busy), 0);
}

static void busy_ones_do_not(void **state)
{
	(void)state;
	atomic_store(&helper[0].idle, false);
	atomic_store(&helper[1].runq_length, 1);
	assert_false(switch_work_offer(&work));
	atomic_store(&helper[1].runq_length, 0);
	assert_true(switch_work_offer(&work));
	assert_int_equal(atomic_load(&work.home), 3);
	become(2);
	switch_poll();
	assert_int_equal(port->poll_ends, 1);
}

/* A receiver's CPU that sleeps a moment between packets has no time to spare. */
static void hardly_idle_ones_do_not(void **state)
{
	(void)state;
	atomic_store(&helper[0].accounted, ~0ull);
	atomic_store(&helper[1].doing, TIME_ROOT);
	assert_false(switch_work_offer(&work));
	atomic_store(&helper[1].doing, TIME_IDLE);
	assert_true(switch_work_offer(&work));
	assert_int_equal(atomic_load(&work.home), 3);
}

/* Whatever else there is to do comes after one look; then the queue asks for kicks again. */
static void other_things_first(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		set_up(NULL);
		assert_true(switch_work_offer(&work));
		become(1);
		if (i == 0)
			atomic_store(&fake_cpu.mailbox, MB_RESCHED);
		else
			fake_cpu.armed_tsc = 0;
		switch_poll();
		assert_true(port->polls <= 1);
		assert_int_equal(port->poll_ends, 1);
	}
}

/* What is left of a queue goes to the CPU that is named, if it is in no list. */
static void the_rest_elsewhere(void **state)
{
	(void)state;
	switch_work_queue_on(&work, cpus[2]);
	assert_int_equal(atomic_load(&work.home), 3);
	assert_int_equal(fake_posted, MB_SWITCH_WORK);
	assert_false(switch_work_run());
	assert_int_equal(port->services, 0);
	switch_work_queue(&work);
	assert_int_equal(atomic_load(&work.home), 3);
	become(2);
	assert_false(switch_work_run());
	assert_int_equal(port->services, 1);
}

/* Who sleeps on a CPU will want it back: another is chosen, if there is one. */
static void not_where_somebody_sleeps(void **state)
{
	static struct vcpu sleeper;

	(void)state;
	atomic_store(&helper[0].loaded, &sleeper);
	assert_true(switch_work_offer(&work));
	assert_int_equal(atomic_load(&work.home), 3);
	set_up(NULL);
	atomic_store(&helper[0].loaded, &sleeper);
	atomic_store(&helper[1].idle, false);
	assert_true(switch_work_offer(&work));
	assert_int_equal(atomic_load(&work.home), 2);
}

/* A CPU that has somebody to run hands on what it polled, with what is left there; what was empty for long, not. */
static void handed_on(void **state)
{
	for (unsigned left = 0; left < 2; left++) {
		set_up(state);
		fake_poll_leaves = left ? env_more_work : NULL;
		assert_true(switch_work_offer(&work));
		become(1);
		atomic_store(&fake_cpu.mailbox, MB_RESCHED);
		switch_poll();
		assert_int_equal(port->poll_ends, 1);
		assert_int_equal(atomic_load(&work.home), 3);
		assert_int_equal(atomic_load(&work.busy), 0);
		fake_poll_leaves = NULL;
		become(2);
		switch_poll(); /* it is in the list of those to poll */
		assert_int_equal(port->poll_ends, 2);
		assert_int_equal(port->services, 0);
		assert_int_equal(atomic_load(&work.home), 0);
	}
}

/* Once: the next one may have taken it out of the list, and poll it, before the last has let go of it. */
static void leave_twice(struct port *p, unsigned queue)
{
	env_more_work(p, queue);
	assert_int_equal(atomic_load(&work.home), 3);
	assert_false(switch_work_handed_on(&work));
	fake_poll_leaves = NULL;
}

static void handed_on_once(void **state)
{
	(void)state;
	assert_true(switch_work_offer(&work));
	become(1);
	atomic_store(&fake_cpu.mailbox, MB_RESCHED);
	fake_poll_leaves = leave_twice;
	switch_poll();
	assert_int_equal(atomic_load(&work.home), 3);
	become(2);
	switch_poll();
	assert_int_equal(atomic_load(&work.home), 0);
}

/* There is no other to poll it: what is left is the sender's. */
static void left_to_the_sender(void **state)
{
	(void)state;
	fake_poll_leaves = env_more_work;
	assert_true(switch_work_offer(&work));
	become(1);
	atomic_store(&helper[1].idle, false);
	atomic_store(&fake_cpu.mailbox, MB_RESCHED);
	switch_poll();
	assert_int_equal(port->poll_ends, 1);
	assert_int_equal(atomic_load(&work.home), 2);
	fake_cpu.current = NULL;
	assert_false(switch_work_run());
	assert_int_equal(port->services, 1);
}

/* It keeps what it polls over a timer, and as long as the queue has been empty counts on. */
static void kept_over_a_timer(void **state)
{
	uint64_t found;

	(void)state;
	assert_true(switch_work_offer(&work));
	found = atomic_load(&work.found_tsc);
	for (unsigned times = 1; times <= 3; times++) {
		become(1);
		fake_cpu.armed_tsc = 0;
		switch_poll();
		assert_int_equal(port->poll_ends, times);
		assert_int_equal(atomic_load(&work.home), 2);
		assert_int_equal(atomic_load(&work.busy), 0);
	}
	assert_int_equal(atomic_load(&work.found_tsc), found);
	become(1);
	fake_cpu.armed_tsc = 0;
	atomic_store(&fake_cpu.runq_length, 1); /* the timer has woken somebody */
	switch_poll();
	assert_int_equal(atomic_load(&work.home), 3);
}

static void hand_over_another(void)
{
	fake_polled = NULL;
	fake_cpu.index = 0;
	assert_true(switch_work_offer(&second));
	fake_cpu.index = 1;
	atomic_fetch_or(&fake_cpu.mailbox, MB_SWITCH_WORK);
}

/* One more queue is polled beside the first, which is not let go for it. */
static void one_more(void **state)
{
	(void)state;
	assert_true(switch_work_offer(&work));
	atomic_store(&helper[1].idle, false);
	switch_work_init_queue(&second, port, 3);
	become(1);
	fake_polled = hand_over_another;
	switch_poll();
	assert_int_equal(port->poll_ends, 2);
	assert_int_equal(port->polled_at_once, 2);
}

/* What is kicked just after a CPU has given up is waited for longer, what is not, as at first. */
static void patience_grows(void **state)
{
	(void)state;
	for (unsigned times = 0; times < 5; times++) {
		become(0);
		assert_true(switch_work_offer(&work));
		assert_int_equal(atomic_load(&work.patience), times < 3 ? times : 3);
		become(1);
		switch_poll();
	}
	atomic_store(&work.ended_tsc, 0);
	become(0);
	assert_true(switch_work_offer(&work));
	assert_int_equal(atomic_load(&work.patience), 0);
}

/* What a CPU was handed and cannot poll, for want of room or since it has somebody to run, is served once and is
 * in no list any more. */
static void no_room(void **state)
{
	static struct switch_work works[5];
	static struct vcpu somebody;

	(void)state;
	atomic_store(&helper[1].idle, false);
	for (unsigned busy = 0; busy < 2; busy++) {
		unsigned before = port->services;

		become(0);
		for (unsigned i = 0; i < 5; i++) {
			switch_work_init_queue(&works[i], port, 2 * i + 1);
			assert_true(switch_work_offer(&works[i]));
		}
		become(1);
		if (busy) {
			fake_cpu.current = &somebody;
			fake_posted = 0;
			switch_work_hurry();
			assert_int_equal(fake_posted, MB_SWITCH_WORK);
			assert_false(switch_work_run());
		} else {
			switch_poll();
		}
		assert_int_equal(port->services - before, busy ? 5 : 1);
		for (unsigned i = 0; i < 5; i++)
			assert_int_equal(atomic_load(&works[i].home) +
						 (unsigned)atomic_load(&works[i].busy),
					 0);
	}
}

/* Policies: off while it waits is not polled; without polling it is looked at once. */
static void policies_count(void **state)
{
	(void)state;
	assert_true(switch_work_offer(&work));
	policy_set(POLICY_offload, 0);
	become(1);
	switch_poll();
	assert_int_equal(port->polls, 0);
	assert_int_equal(port->poll_ends, 1);
	set_up(NULL);
	policy_set(POLICY_polling, 0);
	assert_true(switch_work_offer(&work));
	become(1);
	switch_poll();
	assert_int_equal(port->polls, 1);
	assert_int_equal(port->poll_ends, 1);
}

static void cancelled(void **state)
{
	(void)state;
	assert_true(switch_work_offer(&work));
	switch_work_cancel(&work);
	assert_false(switch_work_offer(&work));
	become(1);
	switch_poll();
	assert_false(switch_work_run());
	assert_int_equal(port->polls + port->services, 0);
}

static unsigned waits, waited_for;

/* A moment of the wait; in the third the other CPU is done. */
static void moment(unsigned cpu)
{
	waited_for = cpu;
	if (++waits == 3)
		atomic_fetch_sub(&work.busy, 1);
}

static void serve_for_ever(struct switch_work *w)
{
	atomic_fetch_add(&w->busy, 1); /* as if this turn did not end with the call */
}

/* Does a cancel wait for the CPU that serves the queue, and no longer than any CPU is waited for? */
static void cancel_waits_for_a_turn(void **state)
{
	(void)state;
	waits = 0;
	fake_await = moment;
	switch_work_init(&work, serve_for_ever);
	become(1);
	switch_work_queue(&work);
	assert_false(switch_work_run());
	become(0);
	switch_work_cancel(&work);
	assert_int_equal(waits, 3);
	assert_int_equal(waited_for, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(idle_ones_help, set_up),
		cmocka_unit_test_setup(busy_ones_do_not, set_up),
		cmocka_unit_test_setup(hardly_idle_ones_do_not, set_up),
		cmocka_unit_test_setup(other_things_first, set_up),
		cmocka_unit_test_setup(the_rest_elsewhere, set_up),
		cmocka_unit_test_setup(not_where_somebody_sleeps, set_up),
		cmocka_unit_test_setup(handed_on, set_up),
		cmocka_unit_test_setup(handed_on_once, set_up),
		cmocka_unit_test_setup(left_to_the_sender, set_up),
		cmocka_unit_test_setup(kept_over_a_timer, set_up),
		cmocka_unit_test_setup(one_more, set_up),
		cmocka_unit_test_setup(patience_grows, set_up),
		cmocka_unit_test_setup(no_room, set_up),
		cmocka_unit_test_setup(policies_count, set_up),
		cmocka_unit_test_setup(cancelled, set_up),
		cmocka_unit_test_setup(cancel_waits_for_a_turn, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
