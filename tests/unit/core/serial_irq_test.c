/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does a serial line tell once for each time that it is listened to, at a bounded rate, and is it left to
 * polling where no interrupt comes? Faked: the line, its pin, time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <asm/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/core/fake_clock.h"
#include "hv/core/serial_irq.c"

static struct cpu cpu;
static bool pin_free, routed, wired; /* what the machine can */
static bool masked, taken;
static enum serial_interrupt wants[SERIAL_LINES];
static unsigned data; /* bytes that wait on the second line */
static uint32_t mail;
static struct timer *armed;

static void raise_if_due(void)
{
	if (!masked && wired &&
	    (wants[SERIAL_SECOND] == SERIAL_SENT ||
	     (wants[SERIAL_SECOND] == SERIAL_RECEIVED && data)))
		serial_irq_came(SERIAL_SECOND);
}

void serial_interrupts(enum serial_line line, enum serial_interrupt wanted)
{
	wants[line] = wanted;
}

void interrupts_take(void)
{
	fake_now += 100;
	raise_if_due();
}

uint64_t tsc_from_us(uint64_t us)
{
	return us;
}

void timer_init(struct timer *timer, void (*fire)(struct timer *))
{
	timer->fire = fire;
}

void timer_set(struct timer *timer, uint64_t deadline_tsc)
{
	timer->deadline_tsc = deadline_tsc;
	armed = timer;
}

void cpu_post(struct cpu *to, uint32_t bits)
{
	assert_ptr_equal(to, &cpu);
	mail |= bits;
}

unsigned host_ioapic_gsi(uint8_t irq)
{
	return irq;
}

bool host_ioapic_free(unsigned gsi)
{
	assert_int_equal(gsi, 3);
	return pin_free;
}

int host_ioapic_take(unsigned gsi, const char *owner, uint8_t *id)
{
	(void)gsi, (void)owner;
	taken = true;
	*id = 1;
	return 0;
}

void host_ioapic_give_back(unsigned gsi)
{
	(void)gsi;
	taken = false;
	masked = true;
}

void host_ioapic_write(unsigned gsi, uint64_t redirection)
{
	(void)gsi;
	assert_int_equal(redirection, VECTOR_SERIAL + 1);
	masked = true;
}

void host_ioapic_mask(unsigned gsi, bool on)
{
	(void)gsi;
	masked = on;
}

static int route(uint8_t ioapic_id, uint8_t vector, uint32_t apic_id, uint64_t *redirection)
{
	assert_int_equal(ioapic_id, 1);
	assert_int_equal(apic_id, 0);
	*redirection = vector;
	return routed ? 0 : LH_UNSUPP;
}

static const struct platform_ops ops = { .pin_route = route };
const struct platform_ops *platform = &ops;

static int set_up(void **state)
{
	(void)state;
	cpu.self = &cpu;
	syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu);
	memset(lines, 0, sizeof(lines));
	memset(wants, 0, sizeof(wants));
	pin_free = routed = wired = true;
	masked = taken = false;
	data = mail = 0;
	armed = NULL;
	fake_now = 1000000;
	return 0;
}

static void it_tells_once_until_it_is_listened_to(void **state)
{
	(void)state;
	assert_true(serial_irq_start(SERIAL_SECOND, MB_MGMT));
	assert_true(taken && !masked && mail == 0);
	fake_now += 1000;
	serial_irq_listen(SERIAL_SECOND);
	raise_if_due();
	assert_int_equal(mail, 0);
	data = 3;
	raise_if_due();
	assert_int_equal(mail, MB_MGMT);
	mail = 0;
	raise_if_due(); /* nobody has looked yet */
	assert_int_equal(mail, 0);
	fake_now += 1000;
	serial_irq_listen(SERIAL_SECOND); /* what was not read counts */
	raise_if_due();
	assert_int_equal(mail, MB_MGMT);
	mail = 0;
	serial_irq_listen(SERIAL_SECOND); /* too soon: a little later */
	raise_if_due();
	assert_int_equal(mail, 0);
	assert_non_null(armed);
	assert_int_equal(armed->deadline_tsc, fake_now + GAP_US);
	fake_now += GAP_US;
	armed->fire(armed);
	raise_if_due();
	assert_int_equal(mail, MB_MGMT);
}

static void what_cannot_ring_is_polled(void **state)
{
	bool *const lacks[] = { &pin_free, &routed, &wired };

	for (unsigned i = 0; i < 3; i++) {
		set_up(state);
		*lacks[i] = false;
		assert_false(serial_irq_start(SERIAL_SECOND, MB_MGMT));
		assert_false(taken);
		assert_int_equal(wants[SERIAL_SECOND], SERIAL_QUIET);
		data = 1;
		serial_irq_listen(SERIAL_SECOND);
		assert_int_equal(wants[SERIAL_SECOND], SERIAL_QUIET);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(it_tells_once_until_it_is_listened_to, set_up),
		cmocka_unit_test_setup(what_cannot_ring_is_polled, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
