/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * COM1 as a 16550 (PC16550D data sheet) and port 0xE9. The UART is looked for at the first use by
 * its scratch register. A byte takes 87 us at 115200, so the wait for room is long in port reads,
 * but bounded: a UART without a reader behind it must not stop the machine.
 */
#include "hv/core/serial.h"

#include "hv/cpu/x86.h"

#define COM1 0x3f8

enum uart_register { /* PC16550D, "Registers"; the first two change under DLAB */
		     UART_DATA = COM1 + 0,
		     UART_DIVISOR_LOW = COM1 + 0,
		     UART_IER = COM1 + 1,
		     UART_DIVISOR_HIGH = COM1 + 1,
		     UART_FCR = COM1 + 2,
		     UART_IIR = COM1 + 2,
		     UART_LCR = COM1 + 3,
		     UART_MCR = COM1 + 4,
		     UART_LSR = COM1 + 5,
		     UART_SCRATCH = COM1 + 7,
};

#define LSR_DATA_READY	 0x01
#define LSR_THR_EMPTY	 0x20
#define LCR_8N1		 0x03
#define LCR_DLAB	 0x80
#define FCR_ENABLE_CLEAR 0x07
#define IIR_FIFO	 0xc0
#define MCR_DTR_RTS	 0x03

#define FIFO_BYTES 16
#define WAIT_READS 1000000u /* about a second on a real port */

#define DEBUG_PORT 0xe9

static enum { UNKNOWN, ABSENT, PRESENT } uart;
static unsigned fifo_bytes = 1;
static unsigned fifo_room; /* bytes that fit without looking again */

static bool scratch_holds(uint8_t value)
{
	outb(UART_SCRATCH, value);
	return inb(UART_SCRATCH) == value;
}

static bool uart_present(void)
{
	if (uart != UNKNOWN)
		return uart == PRESENT;
	if (!scratch_holds(0x5a) || !scratch_holds(0xa5)) {
		uart = ABSENT;
		return false;
	}
	outb(UART_IER, 0);
	outb(UART_LCR, LCR_DLAB);
	outb(UART_DIVISOR_LOW, 1);
	outb(UART_DIVISOR_HIGH, 0);
	outb(UART_LCR, LCR_8N1);
	outb(UART_FCR, FCR_ENABLE_CLEAR);
	if ((inb(UART_IIR) & IIR_FIFO) == IIR_FIFO)
		fifo_bytes = FIFO_BYTES;
	outb(UART_MCR, MCR_DTR_RTS);
	uart = PRESENT;
	return true;
}

static void put_byte(char c)
{
	for (unsigned i = 0; fifo_room == 0; i++) {
		if (inb(UART_LSR) & LSR_THR_EMPTY)
			fifo_room = fifo_bytes;
		if (i == WAIT_READS) {
			uart = ABSENT;
			return;
		}
	}
	fifo_room--;
	outb(UART_DATA, (uint8_t)c);
}

void serial_write(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes && uart_present(); i++) {
		if (text[i] == '\n')
			put_byte('\r');
		put_byte(text[i]);
	}
}

void serial_write_raw(const char *bytes, size_t count)
{
	for (size_t i = 0; i < count && uart_present(); i++)
		put_byte(bytes[i]);
}

size_t serial_write_some(const char *bytes, size_t count)
{
	size_t n = 0;

	if (!uart_present())
		return count;
	for (; n < count; n++) {
		if (fifo_room == 0 && inb(UART_LSR) & LSR_THR_EMPTY)
			fifo_room = fifo_bytes;
		if (fifo_room == 0)
			break;
		fifo_room--;
		outb(UART_DATA, (uint8_t)bytes[n]);
	}
	return n;
}

bool serial_present(void)
{
	return uart_present();
}

int serial_read(void)
{
	if (!uart_present() || !(inb(UART_LSR) & LSR_DATA_READY))
		return -1;
	return inb(UART_DATA);
}

bool debug_port_present(void)
{
	return inb(DEBUG_PORT) == DEBUG_PORT;
}

void debug_port_write(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		outb(DEBUG_PORT, (uint8_t)text[i]);
}
