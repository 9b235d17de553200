/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does what is typed on the VM's console reach the guest, by the UART's interrupt, and is it told to
 * the right one? Each line is printed back; "flood" prints without end, faster than any serial
 * line; "end" ends the guest. It sleeps in HLT otherwise, for as long as nobody types.
 */
#include <stddef.h>

#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/print.h"
#include "guest/lib/runtime.h"
#include "guest/lib/string.h"
#include "guest/lib/trap.h"

enum { UART = 0x3f8, UART_RBR = 0, UART_IER = 1, UART_FCR = 2, UART_MCR = 4, UART_LSR = 5 };
enum { IER_RECEIVE = 1, FCR_ENABLE_LEVEL_8 = 0x81, MCR_OUT2 = 8, LSR_READY = 1, UART_PIN = 4 };

#define IOAPIC	      0xfec00000u
#define IOAPIC_SELECT (IOAPIC + 0)
#define IOAPIC_WINDOW (IOAPIC + 0x10)

static char line[80];
static unsigned length;
static volatile bool whole; /* line[] is; nothing is taken until it is done */

static void ioapic_write(uint32_t reg, uint32_t value)
{
	mmio_write32(IOAPIC_SELECT, reg);
	mmio_write32(IOAPIC_WINDOW, value);
}

static void take(char c)
{
	if (c == '\r' || c == '\n') {
		line[length] = '\0';
		whole = true;
	} else if (length < sizeof(line) - 1) {
		line[length++] = c;
	}
}

static void on_irq(unsigned vector)
{
	while (vector == IRQ_TEST && !whole && in8(UART + UART_LSR) & LSR_READY)
		take((char)in8(UART + UART_RBR));
}

static _Noreturn void flood(void)
{
	for (uint64_t i = 0;; i++)
		print("flood %lu: the quick brown fox jumps over the lazy dog\n", i);
}

static bool is(const char *word)
{
	return length == strlen(word) && !memcmp(line, word, length);
}

int guest_main(void)
{
	irq_hook = on_irq;
	ioapic_write(0x10 + 2 * UART_PIN + 1, lapic_id() << 24);
	ioapic_write(0x10 + 2 * UART_PIN, IRQ_TEST);
	out8(UART + UART_MCR, MCR_OUT2);
	out8(UART + UART_FCR, FCR_ENABLE_LEVEL_8);
	out8(UART + UART_IER, IER_RECEIVE);
	print("echo: ready\n");
	for (;;) {
		while (!whole)
			cpu_wait();
		print("echo: %s\n", line);
		if (is("end"))
			return 0;
		if (is("flood"))
			flood();
		length = 0;
		whole = false;
		on_irq(IRQ_TEST); /* what came meanwhile has had its interrupt */
	}
}
