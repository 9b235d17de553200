/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: do the small devices of the board behave as their data sheets say: UART, I/O APIC,
 * clock, power registers? */
#include "tests/unit/dev/fakes.h"

#include "hv/core/guest_map.h"
#include "hv/core/lifecycle.h"
#include "hv/cpu/x86.h"
#include "hv/dev/ioapic.h"
#include "hv/dev/pci_ports.h"
#include "hv/dev/pcie.h"
#include "hv/dev/power.h"
#include "hv/dev/rtc.h"
#include "hv/dev/uart.h"
#include "hv/dev/vlapic.h"

#include <cmocka.h>

static struct bus io, memory;
static struct ioapic ioapic;
static struct uart uart;
static struct pcie pcie;
static struct pci_ports pci_ports;
static struct pci_function device;
static struct rtc rtc;
static struct power power;
static struct apic_message last;
static unsigned sent;

void apic_deliver(struct vm *vm, const struct apic_message *message)
{
	assert_ptr_equal(vm, &fake_vm);
	last = *message;
	sent++;
}

static int setup(void **state)
{
	(void)state;
	fake_reset(1);
	memset(&io, 0, sizeof(io));
	memset(&memory, 0, sizeof(memory));
	memset(&ioapic, 0, sizeof(ioapic));
	memset(&uart, 0, sizeof(uart));
	memset(&pcie, 0, sizeof(pcie));
	memset(&pci_ports, 0, sizeof(pci_ports));
	memset(&rtc, 0, sizeof(rtc));
	sent = 0;
	pci_function_init(&device, &(struct pci_identity){ .vendor = 0x1234 }, NULL);
	pcie.device[3] = &device;
	return ioapic_init(&ioapic, &fake_vm, &memory) ||
	       uart_init(&uart, &fake_vm, &ioapic, &io) || rtc_init(&rtc, &io) ||
	       power_init(&power, &io) || pci_ports_init(&pci_ports, &pcie, &io);
}

static void out(uint16_t port, unsigned bytes, uint64_t value)
{
	assert_true(bus_access(&io, &fake_vcpu[0], port, bytes, true, &value));
}

static uint8_t in(uint16_t port)
{
	uint64_t value = 0;

	assert_true(bus_access(&io, &fake_vcpu[0], port, 1, false, &value));
	return (uint8_t)value;
}

static uint64_t in_wide(uint16_t port, unsigned bytes)
{
	uint64_t value = 0;

	assert_true(bus_access(&io, &fake_vcpu[0], port, bytes, false, &value));
	return value;
}

static void select_register(uint8_t reg)
{
	uint64_t value = reg;

	assert_true(bus_access(&memory, &fake_vcpu[0], GUEST_IOAPIC_BASE, 4, true, &value));
}

static void ioapic_write(uint8_t reg, uint32_t word)
{
	uint64_t value = word;

	select_register(reg);
	assert_true(bus_access(&memory, &fake_vcpu[0], GUEST_IOAPIC_BASE + 0x10, 4, true, &value));
}

static uint32_t ioapic_read(uint8_t reg)
{
	uint64_t value = 0;

	select_register(reg);
	assert_true(bus_access(&memory, &fake_vcpu[0], GUEST_IOAPIC_BASE + 0x10, 4, false, &value));
	return (uint32_t)value;
}

static void ioapic_registers(void **state)
{
	(void)state;
	assert_int_equal(ioapic_read(1), 0x170020);
	ioapic_write(0, 0xffffffff);
	assert_int_equal(ioapic_read(0), 0x0f000000);
	assert_int_equal(ioapic_read(0x10), 0x10000); /* masked */
	for (unsigned reg = 0; reg < 256; reg++)
		ioapic_write((uint8_t)reg, 0xffffffff);
	assert_int_equal(ioapic_read(0x3e), 0x1afff); /* status and Remote IRR are read-only */
	assert_int_equal(ioapic_read(0x3f), 0xff000000);
	assert_int_equal(ioapic_read(0x40), 0);
	assert_int_equal(ioapic_read(1), 0x170020);
}

static void edges_send_once(void **state)
{
	(void)state;
	ioapic_write(0x10 + 2 * 9 + 1, 2u << 24);
	ioapic_write(0x10 + 2 * 9, 0x0000059);
	ioapic_set_line(&ioapic, 9, true);
	ioapic_set_line(&ioapic, 9, true);
	assert_int_equal(sent, 1);
	assert_int_equal(last.vector, 0x59);
	assert_int_equal(last.dest, 2);
	assert_false(last.level);
	ioapic_set_line(&ioapic, 9, false);
	ioapic_set_line(&ioapic, 9, true);
	assert_int_equal(sent, 2);
	ioapic_set_line(&ioapic, 24, true);
	ioapic_write(0x10 + 2 * 9, 0x0010059); /* masked: the edge is lost */
	ioapic_set_line(&ioapic, 9, false);
	ioapic_set_line(&ioapic, 9, true);
	ioapic_write(0x10 + 2 * 9, 0x0000059);
	assert_int_equal(sent, 2);
}

static void levels_send_again_after_eoi(void **state)
{
	uint64_t vector = 0x5a;

	(void)state;
	ioapic_set_line(&ioapic, 10, true);
	ioapic_write(0x10 + 20, 0x0000885a); /* level, logical: sent when it is unmasked */
	assert_int_equal(sent, 1);
	assert_true(last.level && last.logical);
	assert_int_equal(ioapic_read(0x10 + 20) & 0x4000, 0x4000);
	ioapic_set_line(&ioapic, 10, false);
	ioapic_set_line(&ioapic, 10, true);
	assert_int_equal(sent, 1); /* in service */
	ioapic_eoi(&ioapic, 0x5b);
	assert_int_equal(sent, 1);
	ioapic_eoi(&ioapic, 0x5a);
	assert_int_equal(sent, 2);
	ioapic_set_line(&ioapic, 10, false);
	assert_true(bus_access(&memory, &fake_vcpu[0], GUEST_IOAPIC_BASE + 0x40, 4, true, &vector));
	assert_int_equal(sent, 2);
	assert_int_equal(ioapic_read(0x10 + 20) & 0x4000, 0);
}

static void uart_prints(void **state)
{
	(void)state;
	for (const char *p = "hello\n"; *p; p++) {
		assert_int_equal(in(0x3fd) & 0x60, 0x60);
		out(0x3f8, 1, (uint8_t)*p);
	}
	assert_string_equal(fake_console, "hello\n");
	out(0x3fb, 1, 0x80); /* divisor latch */
	out(0x3f8, 1, 1);
	out(0x3f9, 1, 2);
	assert_int_equal(in(0x3f8), 1);
	assert_int_equal(in(0x3f9), 2);
	out(0x3fb, 1, 3);
	assert_string_equal(fake_console, "hello\n");
	out(0x3f8, 1, 'x');
	uart_finish(&uart);
	uart_finish(&uart);
	assert_string_equal(fake_console, "hello\nx\n");
}

/* What Linux's 8250 driver asks before it believes in a 16550A. */
static void uart_is_recognised(void **state)
{
	(void)state;
	out(0x3f9, 1, 0);
	assert_int_equal(in(0x3f9), 0);
	out(0x3f9, 1, 0xff);
	assert_int_equal(in(0x3f9), 0x0f);
	out(0x3f9, 1, 0);
	out(0x3fc, 1, 0x1a);
	assert_int_equal(in(0x3fe) & 0xf0, 0x90);
	out(0x3f8, 1, 'l'); /* looped back, not printed */
	assert_int_equal(in(0x3fd) & 1, 1);
	assert_int_equal(in(0x3f8), 'l');
	assert_int_equal(in(0x3fd) & 1, 0);
	out(0x3fc, 1, 0);
	out(0x3fa, 1, 1);
	assert_int_equal(in(0x3fa), 0xc1);
	out(0x3ff, 1, 0x5a);
	assert_int_equal(in(0x3ff), 0x5a);
	assert_string_equal(fake_console, "");
}

static void uart_interrupts(void **state)
{
	(void)state;
	ioapic_write(0x10 + 2 * GUEST_UART_IRQ, 0x44);
	out(0x3f9, 1, 2); /* the transmitter is empty: at once */
	assert_int_equal(sent, 1);
	assert_int_equal(in(0x3fa) & 0xf, 2);
	assert_int_equal(in(0x3fa) & 0xf, 1); /* reading acknowledges */
	out(0x3f8, 1, 'a');
	assert_int_equal(sent, 2);
	out(0x3f8, 1, 'b');
	assert_int_equal(sent, 3);
	out(0x3f9, 1, 0);
	out(0x3f8, 1, 'c');
	assert_int_equal(sent, 3);
	assert_int_equal(last.vector, 0x44);
}

static void uart_receives(void **state)
{
	(void)state;
	ioapic_write(0x10 + 2 * GUEST_UART_IRQ, 0x44);
	assert_true(uart_receive(&uart, 'a')); /* without FIFOs: one */
	assert_false(uart_receive(&uart, 'b'));
	assert_int_equal(sent, 0); /* not enabled */
	assert_int_equal(in(0x3fd) & 1, 1);
	out(0x3f9, 1, 1);
	assert_int_equal(sent, 1);
	assert_int_equal(in(0x3fa), 0x04);
	assert_int_equal(in(0x3f8), 'a');
	assert_int_equal(in(0x3fd) & 1, 0);
	assert_int_equal(in(0x3fa), 0x01);
	assert_int_equal(in(0x3f8), 'a'); /* nothing new */
	out(0x3fa, 1, 0x81);		  /* FIFOs, level 8 */
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(in(0x3fa) & 0x3f, i == 0 ? 1 : i < 8 ? 0x0c : 0x04);
		assert_true(uart_receive(&uart, (char)('a' + i)));
		assert_int_equal(sent, 2 + i); /* each is an edge */
	}
	assert_false(uart_receive(&uart, 'z'));
	assert_int_equal(sent, 17);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(in(0x3f8), 'a' + i);
	assert_int_equal(in(0x3fa), 0xc1);
	assert_true(uart_receive(&uart, 'x'));
	out(0x3fa, 1, 0x83); /* clears the receiver's FIFO */
	assert_int_equal(in(0x3fd) & 1, 0);
	assert_true(uart_receive(&uart, 'y'));
	out(0x3fa, 1, 0x80); /* so does switching the FIFOs off */
	assert_int_equal(in(0x3fd) & 1, 0);
	out(0x3fc, 1, 0x10); /* looped back: nothing comes in from outside */
	assert_false(uart_receive(&uart, 'x'));
}

static void rtc_tells_the_date(void **state)
{
	(void)state;
	out(0x70, 1, 0x8a);
	assert_int_equal(in(0x71), 0); /* no update in progress */
	out(0x70, 1, 9);
	assert_int_equal(in(0x71), 0x26);
	assert_int_equal(in(0x70), 0xff);
	assert_int_equal(rtc_register(0, FAKE_DATE + 59), 0x59);
	assert_int_equal(rtc_register(6, FAKE_DATE), 5); /* a Thursday */
	assert_int_equal(rtc_register(7, FAKE_DATE + 58 * 86400), 0x28);
	assert_int_equal(rtc_register(8, FAKE_DATE + 58 * 86400), 2);
	assert_int_equal(rtc_register(7, FAKE_DATE + (365 + 365 + 59) * 86400ull), 0x29); /* 2028 */
	assert_int_equal(rtc_register(8, FAKE_DATE + 364 * 86400), 0x12);
	assert_int_equal(rtc_register(4, FAKE_DATE + 23 * 3600), 0x23);
	assert_int_equal(rtc_register(0x32, FAKE_DATE), 0x20);
	assert_int_equal(rtc_register(13, FAKE_DATE), 0x80);
}

static void power_registers(void **state)
{
	static const struct {
		uint16_t port;
		uint8_t value;
		const char *end;
	} cases[] = {
		{ GUEST_SLEEP_STATUS, 0x80, NULL },
		{ GUEST_SLEEP_CONTROL, 5 << 2, NULL },	      /* not enabled */
		{ GUEST_SLEEP_CONTROL, 0x20 | 3 << 2, NULL }, /* not S5 */
		{ GUEST_SLEEP_CONTROL, 0x34, END_OFF },
		{ GUEST_RESET_PORT, 0, NULL },
		{ GUEST_RESET_PORT, GUEST_RESET_VALUE, END_REBOOT },
		{ 0xcf9, 2, NULL },
		{ 0xcf9, 6, END_REBOOT },
		{ 0x64, 0xd1, NULL },
		{ 0x64, 0xfe, END_REBOOT },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_end = NULL;
		out(cases[i].port, 1, cases[i].value);
		assert_int_equal(fake_end != NULL, cases[i].end != NULL);
		if (fake_end)
			assert_string_equal(fake_end, cases[i].end);
	}
	assert_int_equal(in(GUEST_SLEEP_STATUS), 0);
	assert_int_equal(in(0x64), 0xff);
}

/* Linux's own test of the mechanism (arch/x86/pci/direct.c, pci_check_type1), then accesses. */
static void configuration_ports(void **state)
{
	(void)state;
	out(0xcfb, 1, 1);
	out(0xcf8, 4, 0x80000000);
	assert_int_equal(in_wide(0xcf8, 4), 0x80000000);
	assert_int_equal(in_wide(0xcfc, 4), 0xffffffff); /* no device 0 in this test */
	out(0xcf8, 4, 0x80000000 | 3 << 11);
	assert_int_equal(in_wide(0xcfc, 2), 0x1234);
	assert_int_equal(in_wide(0xcfd, 1), 0x12);
	out(0xcf8, 4, 0x80000000 | 3 << 11 | PCI_CACHE_LINE);
	out(0xcfc, 1, 0x5a);
	assert_int_equal(device.config[PCI_CACHE_LINE], 0x5a);
	out(0xcf8, 4, 0x80000000 | 1 << 16 | 3 << 11); /* another bus */
	assert_int_equal(in_wide(0xcfc, 4), 0xffffffff);
	out(0xcf8, 4, 3 << 11); /* not enabled */
	assert_int_equal(in_wide(0xcfc, 4), 0xffffffff);
}

/* What a guest says of itself on its console decides how its power-off is reported. */
static void console_markers(void **state)
{
	static const struct {
		const char *text, *end;
	} cases[] = {
		{ "hello\n", END_OFF },
		{ "lasthop: end ok\n", END_OK },
		{ "lasthop: end ok\r\n", END_OK },
		{ "lasthop: end okay\n", END_OFF },
		{ " lasthop: end ok\n", END_OFF },
		{ "lasthop: end ok", END_OFF }, /* no whole line */
		{ "lasthop: end failed no network\n", END_FAILED },
		{ "lasthop: end ok\nlasthop: end failed\n", END_FAILED },
		{ "lasthop: result test=tcp\nlasthop: end ok\n", END_OK },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		setup(state);
		for (const char *c = cases[i].text; *c; c++)
			out(0x3f8, 1, (uint8_t)*c);
		out(GUEST_SLEEP_CONTROL, 1, 0x34);
		assert_string_equal(fake_end, cases[i].end);
	}
	assert_string_equal(fake_result, "test=tcp");
}

static void garbage_by_seed(void **state)
{
	static const uint16_t ports[] = { 0x3f8, 0x70, GUEST_SLEEP_CONTROL, 0xcf8, 0xcf9,
					  0xcfc, 0x64 };
	uint64_t seed = 7;

	(void)state;
	for (unsigned i = 0; i < fake_rounds(200000); i++) {
		uint64_t value = fake_random(&seed);
		uint64_t at = fake_random(&seed);
		unsigned bytes = 1u << fake_random(&seed) % 3;
		bool write = fake_random(&seed) & 1;

		if (i & 1)
			bus_access(&io, &fake_vcpu[0], ports[at % 5] + at / 8 % 8, bytes, write,
				   &value);
		else
			bus_access(&memory, &fake_vcpu[0], GUEST_IOAPIC_BASE + at % 0x50, bytes,
				   write, &value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(ioapic_registers, setup),
		cmocka_unit_test_setup(edges_send_once, setup),
		cmocka_unit_test_setup(levels_send_again_after_eoi, setup),
		cmocka_unit_test_setup(uart_prints, setup),
		cmocka_unit_test_setup(uart_is_recognised, setup),
		cmocka_unit_test_setup(uart_interrupts, setup),
		cmocka_unit_test_setup(uart_receives, setup),
		cmocka_unit_test_setup(rtc_tells_the_date, setup),
		cmocka_unit_test_setup(power_registers, setup),
		cmocka_unit_test_setup(configuration_ports, setup),
		cmocka_unit_test_setup(console_markers, setup),
		cmocka_unit_test_setup(garbage_by_seed, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
