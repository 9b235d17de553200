/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PCI functions of the machine (PCI Local Bus Specification 3.0, chapter 6; PCI-to-PCI Bridge
 * Architecture 1.2; PCI Express Base 4.0, 7.5): what there is, what stands above it, and what of it
 * passthrough uses. Read once at start, from hardware that may answer anything: each loop is bounded.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/core/host_pci.h"
#include "hv/dev/pcie.h"

struct config_vm;
struct config_passthrough;

#define HOST_FUNCTIONS 256

enum pci_header { PCI_HEADER_ENDPOINT = 0, PCI_HEADER_BRIDGE = 1 };

/* Capabilities, "Capability IDs" of PCI Code and ID Assignment. */
enum pci_capability {
	PCI_CAP_PM = 0x01,
	PCI_CAP_MSI = 0x05,
	PCI_CAP_VENDOR = 0x09,
	PCI_CAP_PCIE = 0x10,
	PCI_CAP_MSIX = 0x11,
	PCI_CAP_AF = 0x13,
};

/* BARs, as firmware assigned them. */
struct host_bar {
	enum pci_bar_kind kind;
	uint64_t base, bytes;
	bool wide;		/* of 64 bits: takes the next place, too */
	volatile uint8_t *mmio; /* memory: mapped for us; NULL: not yet */
};

#define HEADER_WORDS 16

/* (c) constant after pci_scan() (p) after passthrough_check() (r) between its owners: hv/dev/pci_reset.c */
struct host_function {
	struct pci_address address; /* (c) and what follows */
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint32_t class_code; /* 24 bits */
	uint8_t revision;
	uint8_t header; /* enum pci_header, or another that nobody uses */
	bool multi;	/* others have its device number */
	bool isolates;	/* ACS, switched on: its peers reach it through the IOMMU only */
	const struct host_function *above; /* the bridge that its bus is behind; NULL: a root bus */
	uint8_t secondary;		   /* of a bridge: the bus behind it */
	uint8_t pm, msi, pcie, msix, af;   /* where the capability is; 0: it has none */
	uint16_t acs;			   /* the same, of an extended one */
	uint8_t express_type;		   /* enum express_type, if it has `pcie` */
	bool resets;			   /* function-level reset, by `pcie` or `af` */
	uint8_t pin, line; /* interrupt: 1 for INTA, 0 for none; as firmware left it */

	const struct config_vm *vm; /* (p) the VM that it is passed through to, or NULL */
	const struct config_passthrough *node; /* (p) by this */

	bool past_iommu;	       /* (p) its DMA goes past the IOMMU, if there is one */
	struct host_bar bar[PCI_BARS]; /* (p) */
	uint32_t msix_table, msix_pba; /* (p) as in the capability: offset | BAR */
	uint16_t msix_entries;	       /* (p) 0: it has no MSI-X that we can use */
	uint8_t reset;		       /* (p) enum reset_kind */
	uint32_t saved[HEADER_WORDS];  /* (p) */
	uint16_t saved_devctl, saved_lnkctl, saved_devctl2; /* (p) */
	uint8_t reset_step;				    /* (r) hv/dev/pci_reset.c */
	uint64_t ready_tsc; /* (r) of a reset: until then it is not accessed */
	uint64_t late_tsc;  /* (r) from then on what it does in this step is not waited for */
	bool lightly;	    /* (r) how it was reset last */
};

enum express_type { /* PCI Express Base 4.0, 7.5.3.2 "Device/Port Type" */
		    EXPRESS_ENDPOINT = 0,
		    EXPRESS_ROOT_PORT = 4,
		    EXPRESS_UPSTREAM = 5,
		    EXPRESS_DOWNSTREAM = 6,
		    EXPRESS_TO_PCI = 7,
		    EXPRESS_INTEGRATED_ENDPOINT = 9,
};

#define PCI_CLASS_BRIDGE 0x06u /* the upper byte of class_code */

extern struct host_function host_functions[HOST_FUNCTIONS];
extern unsigned host_function_count;

/*
 * Finds them all. Bus mastering and INTx of every endpoint go off: firmware's drivers are gone, none of
 * ours uses either. Without an IOMMU this is what stops DMA, and a line may be shared with a device that
 * is passed through. Once, after acpi_init().
 */
void pci_scan(void);

/* The function there; NULL: none. */
struct host_function *host_function_at(struct pci_address address);

/*
 * The least set of functions that an IOMMU can tell from all others, by a name: functions of the same
 * name can reach each other, or pass for each other. Root ports are taken to isolate: what is behind
 * them has a link of its own.
 */
struct host_group {
	uint8_t bus;
	uint8_t devfn; /* functions and devices that do not count are zero */
	bool whole_bus;
};
struct host_group host_group_of(const struct host_function *f);

/* Whether it is on a conventional bus behind a bridge: what it sends on has the bridge's name, not its own. */
bool host_is_conventional(const struct host_function *f);

/* Access control services: on, as far as the function has any. A reset switches them off. */
void host_acs_on(const struct host_function *f);

/* Reads the BARs and their sizes, decoding off for that moment: nobody may be using the function. Of a
 * bridge, or a part of the machine itself, only where they begin: it goes on decoding. */
void host_bars_read(struct host_function *f);

/* One line about it: "00:03.0 8086:10d3 class 020000, MSI-X, FLR". */
void host_function_describe(const struct host_function *f, char *out, unsigned room);
