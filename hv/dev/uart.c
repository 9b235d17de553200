/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 16550's registers. A transmitted byte has left the moment it is written, so that the
 * transmitter's interrupt comes at once; lines come out whole, through the log.
 */
#include "hv/dev/uart.h"

#include "hv/core/fail.h"
#include "hv/core/guest_map.h"
#include "hv/core/list.h"
#include "hv/core/log.h"

/* PC16550D, table II: registers, and those that share their addresses */
enum uart_register {
	UART_DATA,   /* RBR, THR; divisor's low byte while LCR bit 7 is set */
	UART_IER,    /* divisor's high byte while LCR bit 7 is set */
	UART_IIR,    /* FCR when written */
	UART_LCR,
	UART_MCR,
	UART_LSR,
	UART_MSR,
	UART_SCRATCH,
	UART_REGISTERS
};

#define IER_RECEIVE    0x01u
#define IER_TRANSMIT   0x02u
#define IER_BITS       0x0fu
#define IIR_NONE       0x01u
#define IIR_TRANSMIT   0x02u
#define IIR_RECEIVE    0x04u
#define IIR_FIFOS      0xc0u
#define FCR_ENABLE     0x01u
#define LCR_DIVISOR    0x80u
#define MCR_DTR        0x01u
#define MCR_RTS        0x02u
#define MCR_OUT1       0x04u
#define MCR_OUT2       0x08u
#define MCR_LOOP       0x10u
#define MCR_BITS       0x1fu
#define LSR_RECEIVED   0x01u
#define LSR_EMPTY      0x60u /* holding register and shifter */
#define MSR_CTS        0x10u
#define MSR_DSR        0x20u
#define MSR_RI         0x40u
#define MSR_DCD        0x80u

static uint8_t interrupt_cause(const struct uart *uart)
{
	if (uart->ier & IER_RECEIVE && uart->have_received)
		return IIR_RECEIVE;
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

static uint8_t uart_read(struct uart *uart, unsigned reg)
{
	bool divisor = uart->lcr & LCR_DIVISOR;

	switch (reg) {
	case UART_DATA:
		if (divisor)
			return (uint8_t)uart->divisor;
		uart->have_received = false;
		return uart->received;
	case UART_IER:
		return divisor ? (uint8_t)(uart->divisor >> 8) : uart->ier;
	case UART_IIR:
		return read_iir(uart);
	case UART_LCR:
		return uart->lcr;
	case UART_MCR:
		return uart->mcr;
	case UART_LSR:
		return LSR_EMPTY | (uart->have_received ? LSR_RECEIVED : 0);
	case UART_MSR:
		return modem_status(uart);
	default:
		return uart->scratch;
	}
}

static void transmit(struct uart *uart, uint8_t value)
{
	if (uart->mcr & MCR_LOOP) {
		uart->received = value;
		uart->have_received = true;
	} else {
		log_guest_char(uart->name, uart->line, &uart->line_fill, sizeof(uart->line),
			       (char)value);
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

static void uart_access(struct bus_region *region, struct bus_access *access)
{
	struct uart *uart = container_of(region, struct uart, region);
	bool before, after;

	spin_lock(&uart->lock);
	before = interrupt_cause(uart) != IIR_NONE;
	if (access->write)
		uart_write(uart, (unsigned)access->offset, (uint8_t)access->value);
	else
		access->value = uart_read(uart, (unsigned)access->offset);
	after = interrupt_cause(uart) != IIR_NONE;
	/* Edge-triggered: a byte written while the interrupt is pending is a new event. */
	if (before && after && access->write && access->offset == UART_DATA)
		ioapic_set_line(uart->ioapic, GUEST_UART_IRQ, false);
	if (before || after)
		ioapic_set_line(uart->ioapic, GUEST_UART_IRQ, after);
	spin_unlock(&uart->lock);
}

int uart_init(struct uart *uart, const char *name, struct ioapic *ioapic, struct bus *io)
{
	uart->name = name;
	uart->ioapic = ioapic;
	uart->region = (struct bus_region){
		.bytes = UART_REGISTERS, .widest = 1, .access = uart_access
	};
	if (!bus_map(io, &uart->region, GUEST_UART_PORT))
		return fail(LH_INVAL, "uart: its ports overlap a device");
	return 0;
}

void uart_finish(struct uart *uart)
{
	if (uart->line_fill)
		log_guest_char(uart->name, uart->line, &uart->line_fill, sizeof(uart->line), '\n');
}
