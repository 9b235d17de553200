/* SPDX-License-Identifier: BSD-2-Clause */
/* All devices of a VM, and what one of them asks of the others. */
#pragma once

#include <stdint.h>

#include "hv/core/config.h"
#include "hv/dev/bus.h"
#include "hv/dev/ioapic.h"
#include "hv/dev/passthrough.h"
#include "hv/dev/pci_ports.h"
#include "hv/dev/pcie.h"
#include "hv/dev/power.h"
#include "hv/dev/rtc.h"
#include "hv/dev/uart.h"
#include "hv/dev/virtio_console.h"
#include "hv/dev/virtio_rng.h"

struct reuse;
struct vm;
struct virtio_net;

/* (c) after vm_create, but for what each device locks itself */
struct platform {
	struct bus io, memory;
	struct bus_region lapic_page;
	struct ioapic ioapic;
	struct pcie pcie;
	struct pci_ports pci_ports;
	struct uart uart;
	struct rtc rtc;
	struct power power;
	unsigned net_count;
	struct virtio_net *nets[CONFIG_MAX_NETS];
	struct virtio_rng rng;
	struct virtio_console console; /* if the config wants one */
	struct passthroughs devices;   /* of the machine */
	struct reuse *reuse;	       /* NULL: its devices read no guests' pages */
};

/* A local APIC ended the service of a level-triggered vector. */
void pc_eoi(struct vm *vm, uint8_t vector);

/* hv/core/platform.h: vm_leave, vm_enter (pc_change.c). */
void pc_vm_leave(const struct config *next, unsigned id);
int pc_vm_enter(unsigned id);
