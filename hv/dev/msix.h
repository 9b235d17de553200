/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MSI-X of one PCI function (PCI Local Bus Specification 3.0, 6.8.2): capability, table and pending
 * bits in a BAR of their own. Raised from any CPU: the switch does it for the receiver.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/core/lock.h"
#include "hv/dev/bus.h"
#include "hv/dev/pcie.h"

#define MSIX_MAX       32
#define MSIX_NO_VECTOR 0xffffu

struct vm;
struct vcpu;

struct msix;

struct msix_entry { /* as the guest sees it */
	uint64_t address;
	uint32_t data;
	uint32_t control; /* bit 0: masked */
};

/* (c) constant [m] under lock */
struct msix {
	struct spinlock lock;
	struct vm *vm;			   /* (c) */
	unsigned count;			   /* (c) vectors */
	unsigned capability;		   /* (c) its offset in configuration space */
	bool enabled, masked;		   /* [m] of the whole function */
	uint32_t pending;		   /* [m] a bit a vector */
	struct msix_entry entry[MSIX_MAX]; /* [m] */
	/* (c) NULL, or to be told that the guest has changed enables, masks or entries; without the
	 * lock. */
	void (*changed)(struct msix *msix);
	struct bus_region region;
};

/* Adds capability and BAR to a function that is being set up. */
void msix_init(struct msix *msix, struct vm *vm, struct pci_function *f, unsigned bar,
	       unsigned count);

/* The parts, for a function whose table and pending bits are elsewhere: state; the capability; the
 * table and the pending bits, with the offset into them. */
void msix_reset(struct msix *msix, struct vm *vm, unsigned count);
void msix_add_capability(struct msix *msix, struct pci_function *f, uint32_t table, uint32_t pba);
void msix_table_access(struct msix *msix, struct bus_access *access);
void msix_pba_access(struct msix *msix, struct bus_access *access);

/* To be called after each write to the function's configuration space. */
void msix_config_written(struct msix *msix, const struct pci_function *f);

/* Sends the vector's message, or keeps it pending while masked; nothing while MSI-X is off. */
void msix_raise(struct msix *msix, unsigned vector);

bool msix_enabled(struct msix *msix);

/* The vCPU that the vector's message goes to; NULL: nobody. A hint. */
struct vcpu *msix_target(struct msix *msix, unsigned vector);
