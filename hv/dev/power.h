/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a guest switches itself off or restarts: the sleep and reset registers that the FADT names
 * (ACPI 6.4, 4.8.3.7 and 4.8.3.6), and the two old ways, port 0xcf9 (which lies among the ports of
 * hv/dev/pci_ports.c) and the keyboard controller's 0x64 (guests try them in this order). A reset
 * makes the VM anew.
 */
#pragma once

#include "hv/dev/bus.h"

struct power {
	struct bus_region acpi, keyboard;
};

/* An access to port 0xcf9, one byte. */
void power_reset_control(struct bus_access *access);

int power_init(struct power *power, struct bus *io);
