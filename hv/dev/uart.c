/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 16550's registers. A transmitted byte has left the moment it is written, so that the
 * transmitter's interrupt comes at once. A received one waits in the FIFO (or, with the FIFOs off,
 * in the one register) and is refused when that is full: nothing overruns. The time-out of a FIFO
 * filled below its trigger level comes at once.
 */
#include "hv/dev/uart.h"

#include "hv/core/console.h"
#include "hv/core/fail.h"
#include "hv/core/guest_map.h"
#include "hv/core/list.h"
#include "hv/core/marker.h"
#include "hv/core/vm.h"

/* PC16550D, table II: registers, and those that share their addresses */
enum uart_register {
	UART_DATA, /* RBR, THR; divisor's low byte while LCR bit 7 is set */
	UART_IER,  /* divisor's high byte while LCR bit 7 is set */
	UART_IIR,  /* FCR when written */
	UART_LCR,
	UART_MCR,
	UART_LSR,
	UART_MSR,
	UART_SCRATCH,
	UART_REGISTERS
};

#define IER_RECEIVE  0x01u
#define IER_TRANSMIT 0x02u
#define IER_BITS     0x0fu
#define IIR_NONE     0x01u
#define IIR_TRANSMIT 0x02u
#define IIR_RECEIVE  0x04u
#define IIR_TIMEOUT  0x0cu
#define IIR_FIFOS    0xc0u
#define FCR_ENABLE   0x01u
#define FCR_CLEAR    0x02u /* the receiver's */
#define FCR_TRIGGER  6	   /* bits 7:6: level of the receiver's interrupt */
#define LCR_DIVISOR  0x80u
#define MCR_DTR	     0x01u
#define MCR_RTS	     0x02u
#define MCR_OUT1     0x04u
#define MCR_OUT2     0x08u
#define MCR_LOOP     0x10u
#define MCR_BITS     0x1fu
#define LSR_RECEIVED 0x01u
#define LSR_EMPTY    0x60u /* holding register and shifter */
#define MSR_CTS	     0x10u
#define MSR_DSR	     0x20u
#define MSR_RI	     0x40u
#define MSR_DCD	     0x80u

static uint8_t receive_cause(const struct uart *uart)
{
	static const uint8_t level[] = { 1, 4, 8, 14 };

	if (uart->fcr & FCR_ENABLE && uart->waiting < level[uart->fcr >> FCR_TRIGGER])
		return IIR_TIMEOUT;
	return IIR_RECEIVE;
}

static uint8_t interrupt_cause(const struct uart *uart)
{
	if (uart->ier & IER_RECEIVE && uart->waiting)
		return receive_cause(uart);
	if (uart->ier & IER_TRANSMIT && uart->transmit_irq)
		return IIR_TRANSMIT;
	return IIR_NONE;
}

static uint8_t read_iir(struct uart *uart)
{
	uint8_t cause = interrupt_cause(uart);

	if (cause == IIR_TRANSMIT)
		uart->transmit_irq = false; /* reading it is the acknowledgement */
	return cause | (uart->fcr & FCR_ENABLE ? IIR_FIFOS : 0);
}

/* In loop-back mode the modem outputs are wired to the modem inputs. */
static uint8_t modem_status(const struct uart *uart)
{
	uint8_t mcr = uart->mcr;

	if (!(mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	return (mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
	       (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static bool put_received(struct uart *uart, uint8_t value)
{
	if (uart->waiting >= (uart->fcr & FCR_ENABLE ? UART_FIFO : 1u))
		return false;
	uart->received[(uart->first + uart->waiting++) % UART_FIFO] = value;
	return true;
}

/* With nothing there the last one is read again. */
static uint8_t take_received(struct uart *uart)
{
	uint8_t value = uart->received[uart->first];

	if (uart->waiting) {
		uart->waiting--;
		if (uart->waiting)
			uart->first = (uint8_t)((uart->first + 1) % UART_FIFO);
	}
	return value;
}

static uint8_t uart_read(struct uart *uart, unsigned reg)
{
	bool divisor = uart->lcr & LCR_DIVISOR;

	switch (reg) {
	case UART_DATA:
		if (divisor)
			return (uint8_t)uart->divisor;
		return take_received(uart);
	case UART_IER:
		return divisor ? (uint8_t)(uart->divisor >> 8) : uart->ier;
	case UART_IIR:
		return read_iir(uart);
	case UART_LCR:
		return uart->lcr;
	case UART_MCR:
		return uart->mcr;
	case UART_LSR:
		return LSR_EMPTY | (uart->waiting ? LSR_RECEIVED : 0);
	case UART_MSR:
		return modem_status(uart);
	default:
		return uart->scratch;
	}
}

static void transmit(struct uart *uart, uint8_t value)
{
	if (uart->mcr & MCR_LOOP) {
		put_received(uart, value);
	} else {
		marker_char(uart->vm, (char)value);
		console_guest_put(uart->vm->id, (char)value);
	}
	uart->transmit_irq = true;
}

static void set_ier(struct uart *uart, uint8_t value)
{
	if (value & IER_TRANSMIT && !(uart->ier & IER_TRANSMIT))
		uart->transmit_irq = true; /* the register is empty when it is enabled */
	uart->ier = value & IER_BITS;
}

static void uart_write(struct uart *uart, unsigned reg, uint8_t value)
{
	bool divisor = uart->lcr & LCR_DIVISOR;

	switch (reg) {
	case UART_DATA:
		if (divisor)
			uart->divisor = (uint16_t)((uart->divisor & 0xff00) | value);
		else
			transmit(uart, value);
		break;
	case UART_IER:
		if (divisor)
			uart->divisor = (uint16_t)((uart->divisor & 0xff) | value << 8);
		else
			set_ier(uart, value);
		break;
	case UART_IIR:
		if (value & FCR_CLEAR || (value ^ uart->fcr) & FCR_ENABLE)
			uart->waiting = 0;
		uart->fcr = value;
		break;
	case UART_LCR:
		uart->lcr = value;
		break;
	case UART_MCR:
		uart->mcr = value & MCR_BITS;
		break;
	case UART_SCRATCH:
		uart->scratch = value;
		break;
	default: /* LSR and MSR are read-only */
		break;
	}
}

/* The pin is edge-triggered: what comes while it is high already is a new event. */
static void set_line(struct uart *uart, bool before, bool event)
{
	bool after = interrupt_cause(uart) != IIR_NONE;

	if (before && after && event)
		ioapic_set_line(uart->ioapic, GUEST_UART_IRQ, false);
	if (before || after)
		ioapic_set_line(uart->ioapic, GUEST_UART_IRQ, after);
}

static void uart_access(struct bus_region *region, struct bus_access *access)
{
	struct uart *uart = container_of(region, struct uart, region);
	bool before;

	spin_lock(&uart->lock);
	before = interrupt_cause(uart) != IIR_NONE;
	if (access->write)
		uart_write(uart, (unsigned)access->offset, (uint8_t)access->value);
	else
		access->value = uart_read(uart, (unsigned)access->offset);
	set_line(uart, before, access->write && access->offset == UART_DATA);
	spin_unlock(&uart->lock);
}

bool uart_receive(struct uart *uart, char c)
{
	bool before, taken;

	spin_lock(&uart->lock);
	before = interrupt_cause(uart) != IIR_NONE;
	taken = !(uart->mcr & MCR_LOOP) && put_received(uart, (uint8_t)c);
	set_line(uart, before, taken);
	spin_unlock(&uart->lock);
	return taken;
}

int uart_init(struct uart *uart, struct vm *vm, struct ioapic *ioapic, struct bus *io)
{
	uart->vm = vm;
	uart->ioapic = ioapic;
	uart->region =
		(struct bus_region){ .bytes = UART_REGISTERS, .widest = 1, .access = uart_access };
	if (!bus_map(io, &uart->region, GUEST_UART_PORT))
		return fail(LH_INVAL, "uart: its ports overlap a device");
	return 0;
}

void uart_finish(struct uart *uart)
{
	console_guest_end(uart->vm->id);
}
