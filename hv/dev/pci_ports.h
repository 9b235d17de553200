/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Configuration space through ports 0xcf8 and 0xcfc (PCI Local Bus Specification 3.0, 3.2.2.3.2):
 * Linux complains of a machine without it before it has found ECAM. Port 0xcf9, among them, is the
 * reset control register.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "hv/dev/bus.h"

struct pcie;

struct pci_ports {
	struct bus_region region;
	struct pcie *pcie;	  /* (c) */
	_Atomic uint32_t address; /* CONFIG_ADDRESS */
};

int pci_ports_init(struct pci_ports *ports, struct pcie *pcie, struct bus *io);
