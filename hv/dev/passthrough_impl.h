/* SPDX-License-Identifier: BSD-2-Clause */
/* A passed-through function, for passthrough*.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/core/host_irq.h"
#include "hv/core/list.h"
#include "hv/core/vm.h"
#include "hv/dev/ioapic.h"
#include "hv/dev/msix.h"
#include "hv/dev/passthrough.h"
#include "hv/dev/pci_scan.h"

/* One interrupt message of the device: its way through the host. */
struct pass_vector {
	struct host_irq irq;
	struct passthrough *of; /* (c) */
	unsigned index;		/* (c) in the table; MSI: 0 */
	int remap;		/* [p] the IOMMU's handle; negative: none */
};

/* The device's INTx pin. */
struct pass_pin {
	struct spinlock lock;
	struct host_irq irq;
	struct ioapic_source source;
	bool taken;	       /* (c) it has one, and it is ours */
	unsigned gsi;	       /* (c) of the host */
	unsigned guest_pin;    /* (c) of the guest's I/O APIC */
	int remap;	       /* (c) */
	bool awaits_eoi, held; /* [l] why the host's pin is masked */
};

struct pass_bar {
	struct bus_region region; /* the whole of it; the pages that exit, if it is memory */
	struct passthrough *of;	  /* (c) */
	unsigned index;		  /* (c) */
};

/* (c) constant after passthrough_join() [p] under lock [l] under the pin's lock */
struct passthrough {
	struct pci_function pci; /* as the guest sees it */
	struct spinlock lock;
	struct vm *vm;		    /* (c) */
	struct ioapic *ioapic;	    /* (c) the guest's */
	struct host_function *host; /* (c) */
	struct pass_bar bar[PCI_BARS];
	bool attached; /* (c) to the domain */

	uint16_t command; /* [p] as the guest wants it */
	bool paused;	  /* [p] */
	uint8_t status;	  /* [p] of a virtio device that is paused: what it was before */

	struct msix msix;	  /* the guest's side */
	volatile uint32_t *table; /* (c) the device's */
	bool msix_on;		  /* [p] */
	struct pass_vector vector[MSIX_MAX];

	struct msix msi;	 /* the guest's side: a table of one */
	unsigned msi_capability; /* (c) the guest's; 0: none */
	bool msi_on;		 /* [p] */
	struct pass_vector msi_vector;

	struct host_irq_window window; /* of all its vectors */
	bool starved;		       /* [p] no vector was to be had: told once */
	struct pass_pin pin;
};

static inline uint32_t pass_read(const struct passthrough *p, unsigned at, unsigned bytes)
{
	return host_pci_read(p->host->address, at, bytes);
}

static inline void pass_write(const struct passthrough *p, unsigned at, unsigned bytes,
			      uint32_t value)
{
	host_pci_write(p->host->address, at, bytes, value);
}

/* passthrough_config.c: the function as the guest sees it, its BARs being known. */
void pass_config_init(struct passthrough *p);
/* The device's command register, after something that counts for it has changed. Under the lock. */
void pass_command_update(struct passthrough *p);

/* passthrough_bar.c */
void pass_bars_init(struct passthrough *p);
void pass_bar_moved(struct pci_function *f, unsigned bar, bool there);

/* passthrough_place.c: whether a BAR of a chosen function, all BARs being read, has the place of something
 * else, or one where none can be; *out says which: "lies on an I/O APIC". */
bool pass_bar_clash(const struct host_function *f, unsigned i, char *out, size_t room);

/* Whether a chosen function can do without its pin. */
static inline bool pass_has_messages(const struct host_function *f)
{
	return f->msix_entries || f->msi;
}

/* passthrough_irq.c. read: of a chosen function, its BARs being known; init: after the BARs are known, before the
 * configuration space; finish: the device is silent. */
void pass_msix_read(struct host_function *f);
void pass_irq_init(struct passthrough *p);
void pass_irq_finish(struct passthrough *p);
/* The guest has written into its MSI capability. Under the pcie lock. */
void pass_msi_written(struct passthrough *p);
/* passthrough_pin.c. The I/O APIC's input that a chosen function's pin leads to; negative: nobody says. */
int pass_pin_input(const struct host_function *f);
int pass_pin_init(struct passthrough *p) __must_check;
void pass_pin_finish(struct passthrough *p);
/* Where the VM's device interrupts go: the first CPU that it may run on. */
uint32_t pass_irq_apic_id(const struct vm *vm);
/* Without an IOMMU, whose messages and pins have 8 bits for it: it cannot be that CPU, told. */
bool pass_irq_refused(const struct vm *vm, uint32_t apic_id);
