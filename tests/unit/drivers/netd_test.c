/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does netd's loop give every buffer back, to whom it belongs, in bounded bursts, and sleep only when
 * no side has work? The NICs here are counters.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "guest/netd/run.c"

enum { BUFFERS = 100 };

/* A NIC of this test: what waits to be received, and what it has to send */
struct fake {
	struct nic nic;
	unsigned waiting, refused, armed, flushed, refilled;
	bool away[BUFFERS]; /* a receive buffer that was handed out */
	uint16_t next, sending[BUFFERS], sent;
};

static struct fake outside, inside;
static unsigned sleeps;
static uint64_t slept_until, ticks_per_ms;

volatile uint32_t irq_seen[256];
void (*irq_hook)(unsigned vector);
struct netd_port netd_ports[NETD_PORTS];
unsigned netd_port_count;
static const char *failed;
static jmp_buf end;

uint64_t clock_ms(uint64_t ms)
{
	return ms * ticks_per_ms;
}

uint64_t clock_us(uint64_t us)
{
	return us * ticks_per_ms / 1000;
}

void clock_wait(uint64_t deadline)
{
	slept_until = deadline;
	sleeps++;
}

char uart_key(void)
{
	return 0;
}

void netd_open(struct netd_port *port)
{
	(void)port;
}

bool hypercall_present(void)
{
	return false;
}

static uint64_t carrier_told; /* the argument of the last HC_CARRIER */
static bool fake_link_up;

int64_t hypercall(uint64_t number, uint64_t rdi, uint64_t rsi)
{
	(void)rsi;
	if (number == HC_CARRIER)
		carrier_told = rdi;
	return 0;
}

_Noreturn void guest_fail(const char *fmt, ...)
{
	failed = fmt;
	longjmp(end, 1);
}

void netd_report_link(const struct netd_port *port)
{
	(void)port;
}

void netd_report_stats(const struct netd_port *port)
{
	(void)port;
}

static struct fake *fake_of(struct nic *nic)
{
	return (struct fake *)nic;
}

static struct nic_link fake_link(struct nic *nic)
{
	nic->link_changed = false;
	return (struct nic_link){ .up = fake_link_up };
}

static struct nic_frame *fake_receive(struct nic *nic)
{
	struct fake *f = fake_of(nic);

	if (!f->waiting || f->away[f->next])
		return NULL;
	f->waiting--;
	f->away[f->next] = true;
	nic->frame = (struct nic_frame){ .bytes = 60, .segments = 1 };
	nic->frame.segment[0].buffer = f->next;
	f->next = (uint16_t)((f->next + 1) % BUFFERS);
	return &nic->frame;
}

static void fake_release(struct nic *nic, uint16_t buffer)
{
	assert_true(buffer < BUFFERS && fake_of(nic)->away[buffer]);
	fake_of(nic)->away[buffer] = false;
}

static void fake_refill(struct nic *nic)
{
	fake_of(nic)->refilled++;
}

static bool fake_send(struct nic *nic, struct nic_frame *frame)
{
	struct fake *f = fake_of(nic);

	if (f->refused) {
		f->refused--;
		return false;
	}
	f->sending[nic->sending++] = frame->segment[0].buffer;
	return true;
}

static void fake_flush(struct nic *nic)
{
	fake_of(nic)->flushed++;
}

static bool fake_sent(struct nic *nic, uint16_t *buffer)
{
	struct fake *f = fake_of(nic);

	if (!f->sent)
		return false;
	f->sent--;
	*buffer = f->sending[--nic->sending];
	return true;
}

static bool fake_arm(struct nic *nic)
{
	fake_of(nic)->armed++;
	return !fake_of(nic)->waiting;
}

static void fake_disarm(struct nic *nic)
{
	fake_of(nic)->armed = 0;
}

static const struct nic_ops ops = {
	.name = "fake",
	.link = fake_link,
	.receive = fake_receive,
	.release = fake_release,
	.refill = fake_refill,
	.send = fake_send,
	.flush = fake_flush,
	.sent = fake_sent,
	.arm = fake_arm,
	.disarm = fake_disarm,
};

static int start(void **state)
{
	(void)state;
	outside = inside = (struct fake){ .nic = { .ops = &ops, .interrupt = "INTx" } };
	netd_ports[0] = (struct netd_port){
		.nic = &outside.nic,
		.uplink = &inside.nic,
		.out = { .from = &inside.nic, .to = &outside.nic },
		.in = { .from = &outside.nic, .to = &inside.nic },
		.link = { .up = true },
	};
	netd_port_count = 1;
	sleeps = 0;
	ticks_per_ms = 1000000;
	next_tick = UINT64_MAX;
	failed = NULL;
	fake_link_up = true;
	carrier_told = UINT64_MAX;
	return 0;
}

static unsigned away(const struct fake *f)
{
	unsigned n = 0;

	for (unsigned i = 0; i < BUFFERS; i++)
		n += f->away[i];
	return n;
}

static void moves_bursts(void **state)
{
	(void)state;
	outside.waiting = 2 * NETD_BURST + 5;
	assert_true(netd_forward(&netd_ports[0].in, true));
	assert_int_equal(inside.nic.sending, NETD_BURST);
	assert_int_equal(inside.flushed, 1);
	assert_true(netd_forward(&netd_ports[0].in, true));
	assert_true(netd_forward(&netd_ports[0].in, true));
	assert_false(netd_forward(&netd_ports[0].in, true));
	assert_int_equal(inside.nic.sending, 2 * NETD_BURST + 5);
	assert_int_equal(away(&outside), 2 * NETD_BURST + 5);
	inside.sent = 2 * NETD_BURST + 5;
	assert_true(netd_forward(&netd_ports[0].in, true));
	assert_int_equal(away(&outside), 0);
	assert_int_equal(netd_ports[0].in.dropped, 0);
}

static void gives_dropped_buffers_back(void **state)
{
	(void)state;
	inside.waiting = 10;
	outside.refused = 4;
	assert_true(netd_forward(&netd_ports[0].out, true));
	assert_int_equal(netd_ports[0].out.dropped, 4);
	assert_int_equal(away(&inside), 6);
	inside.waiting = 10;
	assert_true(netd_forward(&netd_ports[0].out, false));
	assert_int_equal(netd_ports[0].out.link_dropped, 10);
	assert_int_equal(away(&inside), 6);
	assert_int_equal(outside.nic.sending, 6);
}

/* With a receiver that gives nothing back, the sender runs out of buffers and no more is taken. */
static void stops_without_buffers(void **state)
{
	(void)state;
	outside.waiting = 10 * BUFFERS;
	while (netd_forward(&netd_ports[0].in, true))
		;
	assert_int_equal(inside.nic.sending, BUFFERS);
	assert_int_equal(outside.waiting, 9 * BUFFERS);
}

static void sleeps_only_without_work(void **state)
{
	(void)state;
	sleep();
	assert_int_equal(sleeps, 1);
	inside.waiting = 1; /* came after the last look */
	sleep();
	assert_int_equal(sleeps, 1);
	assert_int_equal(inside.armed + outside.armed, 0);
}

/* A NIC without an interrupt is looked at again soon. */
static void polls_what_cannot_interrupt(void **state)
{
	(void)state;
	sleep();
	assert_true(slept_until == UINT64_MAX);
	outside.nic.interrupt = NULL;
	sleep();
	assert_int_equal(sleeps, 2);
	assert_true(slept_until <= rdtsc() + clock_us(POLL_US));
}

/* Buffers that are out, a link, and no frame sent for so many ticks: however long one of them takes. */
static void ends_when_a_nic_is_stuck(void **state)
{
	(void)state;
	ticks_per_ms = 0; /* no time passes */
	outside.nic.stats.tx_frames = 3;
	if (!setjmp(end)) {
		for (unsigned i = 0; i < 2 * STUCK_MS / TICK_MS; i++)
			check_stuck(&netd_ports[0]); /* nothing is out */
		outside.nic.sending = 2;
		for (unsigned i = 0; i <= STUCK_MS / TICK_MS; i++)
			check_stuck(&netd_ports[0]);
		outside.nic.sending = 1;
		check_stuck(&netd_ports[0]); /* one was sent */
		for (unsigned i = 0; i < STUCK_MS / TICK_MS; i++)
			check_stuck(&netd_ports[0]);
		netd_ports[0].link.up = false;
		check_stuck(&netd_ports[0]);
		netd_ports[0].link.up = true;
		for (unsigned i = 0; i < STUCK_MS / TICK_MS; i++)
			check_stuck(&netd_ports[0]);
		assert_null(failed);
		check_stuck(&netd_ports[0]);
	}
	assert_non_null(failed);
}

/* The wire behind the second port comes and goes: told once each time. */
static void tells_of_carrier(void **state)
{
	(void)state;
	netd_ports[1] = netd_ports[0];
	netd_port_count = 2;
	check_link(&netd_ports[1]);
	assert_true(carrier_told == UINT64_MAX);
	fake_link_up = false;
	check_link(&netd_ports[1]);
	assert_int_equal(carrier_told, 2);
	carrier_told = UINT64_MAX;
	check_link(&netd_ports[1]);
	assert_true(carrier_told == UINT64_MAX);
	fake_link_up = true;
	check_link(&netd_ports[1]);
	assert_int_equal(carrier_told, 3);
}

static void ends_when_a_device_misbehaves(void **state)
{
	(void)state;
	inside.nic.trouble = "it lies";
	if (!setjmp(end))
		(void)poll();
	assert_non_null(failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(moves_bursts, start),
		cmocka_unit_test_setup(gives_dropped_buffers_back, start),
		cmocka_unit_test_setup(stops_without_buffers, start),
		cmocka_unit_test_setup(sleeps_only_without_work, start),
		cmocka_unit_test_setup(polls_what_cannot_interrupt, start),
		cmocka_unit_test_setup(ends_when_a_nic_is_stuck, start),
		cmocka_unit_test_setup(tells_of_carrier, start),
		cmocka_unit_test_setup(ends_when_a_device_misbehaves, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
