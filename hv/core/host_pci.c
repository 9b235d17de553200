/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/core/host_pci.h"

#include <stddef.h>

#include "hv/core/acpi.h"
#include "hv/core/lock.h"
#include "hv/core/paging.h"
#include "hv/cpu/x86.h"

#define PORT_ADDRESS 0xcf8u
#define PORT_DATA    0xcfcu
#define ADDRESS_ON   BIT(31)

#define ECAM_FUNCTION_BYTES 4096u

static struct spinlock port_lock; /* address and data are two accesses */

/* The function's window; NULL: no ECAM there. */
static volatile uint8_t *ecam(struct pci_address a)
{
	if (!acpi.ecam_base || a.bus < acpi.ecam_start_bus || a.bus > acpi.ecam_end_bus)
		return NULL;
	/* The MCFG's base is that of bus 0, wherever its buses begin (PCI Firmware 3.3, 4.1.2). */
	return map_device(acpi.ecam_base + (uint64_t)pci_requester(a) * ECAM_FUNCTION_BYTES,
			  ECAM_FUNCTION_BYTES);
}

static uint32_t ecam_read(const volatile uint8_t *p, unsigned bytes)
{
	return bytes == 1   ? *p
	       : bytes == 2 ? *(const volatile uint16_t *)p
			    : *(const volatile uint32_t *)p;
}

static void ecam_write(volatile uint8_t *p, unsigned bytes, uint32_t value)
{
	if (bytes == 1)
		*p = (uint8_t)value;
	else if (bytes == 2)
		*(volatile uint16_t *)p = (uint16_t)value;
	else
		*(volatile uint32_t *)p = value;
}

/* Under port_lock. The data port for the place: its low two bits count. */
static uint16_t port_select(struct pci_address a, unsigned at)
{
	outl(PORT_ADDRESS, (uint32_t)(ADDRESS_ON | (uint32_t)pci_requester(a) << 8 | (at & 0xfcu)));
	return (uint16_t)(PORT_DATA + (at & 3));
}

static uint32_t port_read(struct pci_address a, unsigned at, unsigned bytes)
{
	uint32_t value;
	uint16_t port;

	spin_lock(&port_lock);
	port = port_select(a, at);
	value = bytes == 1 ? inb(port) : bytes == 2 ? inw(port) : inl(port);
	spin_unlock(&port_lock);
	return value;
}

static void port_write(struct pci_address a, unsigned at, unsigned bytes, uint32_t value)
{
	uint16_t port;

	spin_lock(&port_lock);
	port = port_select(a, at);
	if (bytes == 1)
		outb(port, (uint8_t)value);
	else if (bytes == 2)
		outw(port, (uint16_t)value);
	else
		outl(port, value);
	spin_unlock(&port_lock);
}

uint32_t host_pci_read(struct pci_address a, unsigned at, unsigned bytes)
{
	volatile uint8_t *window = ecam(a);

	if (window)
		return ecam_read(window + at, bytes);
	return at < 256 ? port_read(a, at, bytes) : ~0u >> (32 - 8 * bytes);
}

void host_pci_write(struct pci_address a, unsigned at, unsigned bytes, uint32_t value)
{
	volatile uint8_t *window = ecam(a);

	if (window)
		ecam_write(window + at, bytes, value);
	else if (at < 256)
		port_write(a, at, bytes, value);
}
