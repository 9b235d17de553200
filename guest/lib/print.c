/* SPDX-License-Identifier: BSD-2-Clause */
/* Output on the 16550 UART, polled (National PC16550D data sheet, section 8). */
#include "guest/lib/print.h"

#include <stdarg.h>

#include "guest/lib/cpu.h"
#include "guest/lib/format.h"

enum {
	UART = 0x3f8,
	UART_THR = 0,
	UART_RBR = 0,
	UART_IER = 1,
	UART_FCR = 2,
	UART_LCR = 3,
	UART_LSR = 5
};
enum {
	LCR_8N1 = 0x03,
	LCR_DLAB = 0x80,
	FCR_ENABLE_CLEAR = 0x07,
	LSR_READY = 0x01,
	LSR_THRE = 0x20
};

void uart_init(void)
{
	out8(UART + UART_IER, 0);
	out8(UART + UART_LCR, LCR_DLAB | LCR_8N1);
	out8(UART + 0, 1); /* divisor 1: 115200 baud */
	out8(UART + 1, 0);
	out8(UART + UART_LCR, LCR_8N1);
	out8(UART + UART_FCR, FCR_ENABLE_CLEAR);
}

static void uart_put(char c)
{
	/* A byte takes 87 us; a UART that is stuck must not stop the guest. */
	for (unsigned i = 0; i < 100000 && !(in8(UART + UART_LSR) & LSR_THRE); i++)
		cpu_pause();
	out8(UART + UART_THR, (uint8_t)c);
}

void print(const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	(void)format(text, sizeof(text), fmt, args);
	va_end(args);
	for (const char *s = text; *s; s++) {
		if (*s == '\n')
			uart_put('\r');
		uart_put(*s);
	}
}

char uart_key(void)
{
	return in8(UART + UART_LSR) & LSR_READY ? (char)in8(UART + UART_RBR) : 0;
}
