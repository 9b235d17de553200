/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PCI Express as the guest sees it: bus 0 behind a host bridge at 00:00.0, configuration through
 * ECAM only (PCI Express Base Specification, 7.2.2), functions 0 of up to 31 devices. BARs are
 * assigned before the guest starts; it may move them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/core/lock.h"
#include "hv/core/log.h"
#include "hv/dev/bus.h"

#define PCI_BARS	 6
#define PCI_DEVICES	 32
#define PCI_CONFIG_BYTES 256 /* the extended space reads as zero: no extended capability */

/* PCI Local Bus Specification 3.0, 6.1: the type 0 header */
enum pci_register {
	PCI_VENDOR = 0x00,
	PCI_DEVICE = 0x02,
	PCI_COMMAND = 0x04,
	PCI_STATUS = 0x06,
	PCI_REVISION = 0x08,
	PCI_CLASS = 0x09, /* interface, subclass, class */
	PCI_CACHE_LINE = 0x0c,
	PCI_HEADER_TYPE = 0x0e,
	PCI_BAR0 = 0x10,
	PCI_SUBSYSTEM_VENDOR = 0x2c,
	PCI_SUBSYSTEM = 0x2e,
	PCI_CAPABILITIES = 0x34,
	PCI_INTERRUPT_LINE = 0x3c,
	PCI_INTERRUPT_PIN = 0x3d,
	PCI_FIRST_CAPABILITY = 0x40,
};
#define PCI_COMMAND_IO		0x0001u
#define PCI_COMMAND_MEMORY	0x0002u
#define PCI_COMMAND_MASTER	0x0004u
#define PCI_COMMAND_INTX_OFF	0x0400u
#define PCI_STATUS_CAPABILITIES 0x0010u

enum pci_bar_kind { PCI_BAR_NONE, PCI_BAR_MEMORY, PCI_BAR_IO };

struct pci_function;

/* All under the pcie lock; NULL: nothing to do. */
struct pci_function_ops {
	void (*before_read)(struct pci_function *f, struct vcpu *vcpu, unsigned at, unsigned bytes);
	void (*after_write)(struct pci_function *f, struct vcpu *vcpu, unsigned at, unsigned bytes);
	/* A memory BAR answers at its region's base from now on, or not any more. */
	void (*bar_moved)(struct pci_function *f, unsigned bar, bool there);
};

/* (c) constant after pcie_attach() [p] under the pcie lock */
struct pci_function {
	uint8_t config[PCI_CONFIG_BYTES];   /* [p] */
	uint8_t writable[PCI_CONFIG_BYTES]; /* (c) mask of bits the guest may change */
	unsigned number;		    /* (c) its device number on bus 0 */
	unsigned last_capability;	    /* (c) */
	unsigned capabilities_end;	    /* (c) first free byte */
	struct {
		enum pci_bar_kind kind;	   /* (c) */
		struct bus_region *region; /* (c) its bytes: a power of two */
	} bar[PCI_BARS];
	const struct pci_function_ops *ops; /* (c) */
};

struct pcie {
	struct spinlock lock;
	struct bus *io, *memory;     /* (c) */
	struct log_limit *log_limit; /* (c) the VM's */
	struct bus_region ecam;
	struct pci_function *device[PCI_DEVICES]; /* (c) after vm_create; NULL: none */
	uint64_t next_memory, next_io;		  /* for the assignment of BARs */
	struct pci_function host_bridge;
};

/* The host bridge and the ECAM range. */
int pcie_init(struct pcie *pcie, struct bus *io, struct bus *memory, struct log_limit *limit);

/* An access to configuration space, at byte `at` of a function (device * 8 + function) of bus 0. It
 * lies within the function's 4 KiB. */
void pcie_config_access(struct pcie *pcie, unsigned number, unsigned at, struct bus_access *access);

struct pci_identity {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint32_t class_code; /* 24 bits */
	uint8_t revision;
};

/* Setting a function up, in this order: header, BARs and capabilities, then pcie_attach(). */
void pci_function_init(struct pci_function *f, const struct pci_identity *id,
		       const struct pci_function_ops *ops);
void pci_add_bar(struct pci_function *f, unsigned bar, enum pci_bar_kind kind,
		 struct bus_region *region);
/* Room for a capability of `bytes` (the two of its header included); its offset. */
unsigned pci_add_capability(struct pci_function *f, uint8_t id, unsigned bytes);
/* Where a BAR goes whose size is a power of two: at or behind `next`. */
static inline uint64_t pci_place_bar(uint64_t next, uint64_t bytes)
{
	return (next + bytes - 1) & ~(bytes - 1);
}

/* Gives it a device number and addresses for its BARs; negative if there are no more. */
int pcie_attach(struct pcie *pcie, struct pci_function *f);

/* Little-endian fields of the configuration space. */
uint32_t pci_get(const struct pci_function *f, unsigned at, unsigned bytes);
void pci_put(struct pci_function *f, unsigned at, unsigned bytes, uint32_t value);
void pci_put_writable(struct pci_function *f, unsigned at, unsigned bytes, uint32_t mask);
