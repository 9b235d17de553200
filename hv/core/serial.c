/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * COM1 and COM2 as 16550 (PC16550D data sheet) and port 0xE9. A UART is looked for at the first use by
 * its scratch register. A byte takes 87 us at 115200, so the wait for room is long in port reads,
 * but bounded: a UART without a reader behind it must not stop the machine.
 */
#include "hv/core/serial.h"

#include "hv/cpu/x86.h"

#define COM1 0x3f8
#define COM2 0x2f8

enum uart_register { /* PC16550D, "Registers"; the first two change under DLAB */
		     UART_DATA = 0,
		     UART_DIVISOR_LOW = 0,
		     UART_IER = 1,
		     UART_DIVISOR_HIGH = 1,
		     UART_FCR = 2,
		     UART_IIR = 2,
		     UART_LCR = 3,
		     UART_MCR = 4,
		     UART_LSR = 5,
		     UART_SCRATCH = 7,
};

#define LSR_DATA_READY	 0x01
#define LSR_THR_EMPTY	 0x20
#define LCR_8N1		 0x03
#define LCR_DLAB	 0x80
#define FCR_ENABLE_CLEAR 0x87 /* interrupts at 8 bytes, or after a pause */
#define IER_RECEIVED	 0x01
#define IER_THR_EMPTY	 0x02
#define IIR_FIFO	 0xc0
#define MCR_DTR_RTS	 0x03
#define MCR_OUT2	 0x08 /* a PC's interrupt goes through it */

#define FIFO_BYTES 16
#define WAIT_READS 1000000u /* about a second on a real port */

#define DEBUG_PORT 0xe9

struct uart {
	uint16_t base;
	enum { UNKNOWN, ABSENT, PRESENT } state;
	unsigned fifo_bytes;
	unsigned fifo_room; /* bytes that fit without looking again */
};

static struct uart com1 = { .base = COM1 }, com2 = { .base = COM2 };

static void set(const struct uart *u, enum uart_register reg, uint8_t value)
{
	outb((uint16_t)(u->base + reg), value);
}

static uint8_t get(const struct uart *u, enum uart_register reg)
{
	return inb((uint16_t)(u->base + reg));
}

static bool scratch_holds(const struct uart *u, uint8_t value)
{
	set(u, UART_SCRATCH, value);
	return get(u, UART_SCRATCH) == value;
}

static bool uart_present(struct uart *u)
{
	if (u->state != UNKNOWN)
		return u->state == PRESENT;
	if (!scratch_holds(u, 0x5a) || !scratch_holds(u, 0xa5)) {
		u->state = ABSENT;
		return false;
	}
	set(u, UART_IER, 0);
	set(u, UART_LCR, LCR_DLAB);
	set(u, UART_DIVISOR_LOW, 1);
	set(u, UART_DIVISOR_HIGH, 0);
	set(u, UART_LCR, LCR_8N1);
	set(u, UART_FCR, FCR_ENABLE_CLEAR);
	u->fifo_bytes = (get(u, UART_IIR) & IIR_FIFO) == IIR_FIFO ? FIFO_BYTES : 1;
	set(u, UART_MCR, MCR_DTR_RTS | MCR_OUT2);
	u->state = PRESENT;
	return true;
}

static size_t write_some(struct uart *u, const char *bytes, size_t count)
{
	size_t n = 0;

	for (; n < count; n++) {
		if (u->fifo_room == 0 && get(u, UART_LSR) & LSR_THR_EMPTY)
			u->fifo_room = u->fifo_bytes;
		if (u->fifo_room == 0)
			break;
		u->fifo_room--;
		set(u, UART_DATA, (uint8_t)bytes[n]);
	}
	return n;
}

static int read_one(struct uart *u)
{
	if (!uart_present(u) || !(get(u, UART_LSR) & LSR_DATA_READY))
		return -1;
	return get(u, UART_DATA);
}

static void put_byte(char c)
{
	for (unsigned i = 0; write_some(&com1, &c, 1) == 0; i++) {
		if (i == WAIT_READS) {
			com1.state = ABSENT;
			return;
		}
	}
}

void serial_write(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes && uart_present(&com1); i++) {
		if (text[i] == '\n')
			put_byte('\r');
		put_byte(text[i]);
	}
}

void serial_write_raw(const char *bytes, size_t count)
{
	for (size_t i = 0; i < count && uart_present(&com1); i++)
		put_byte(bytes[i]);
}

size_t serial_write_some(const char *bytes, size_t count)
{
	return uart_present(&com1) ? write_some(&com1, bytes, count) : count;
}

bool serial_present(void)
{
	return uart_present(&com1);
}

int serial_read(void)
{
	return read_one(&com1);
}

bool serial2_present(void)
{
	return uart_present(&com2);
}

size_t serial2_write_some(const char *bytes, size_t count)
{
	return uart_present(&com2) ? write_some(&com2, bytes, count) : count;
}

int serial2_read(void)
{
	return read_one(&com2);
}

void serial_interrupts(enum serial_line line, enum serial_interrupt wanted)
{
	static const uint8_t ier[] = {
		[SERIAL_QUIET] = 0, [SERIAL_RECEIVED] = IER_RECEIVED, [SERIAL_SENT] = IER_THR_EMPTY
	};

	set(line == SERIAL_FIRST ? &com1 : &com2, UART_IER, ier[wanted]);
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
