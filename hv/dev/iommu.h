/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What passthrough asks of an IOMMU. VT-d stands behind it (hv/dev/vtd.c); AMD-Vi would be a second
 * table. From start() on the DMA of every device is blocked and its interrupts go nowhere, but for
 * what is attached and mapped here; what a device tries all the same is logged with its address and
 * the reason. All members take their own locks; any CPU.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/core/fail.h"
#include "hv/core/host_pci.h"
#include "hv/cpu/addr.h"

/* An address as a device sees it. Behind an IOMMU, of RAM: the guest-physical one. */
typedef struct {
	uint64_t v;
} iova_t;

enum iommu_rights { IOMMU_READ = 1, IOMMU_WRITE = 2 };

/* An address space for devices: those of one VM. */
struct iommu_domain;

/* What a device is to write, and where, so that a host interrupt comes. */
struct msi_message {
	uint64_t address;
	uint32_t data;
};

struct iommu_ops {
	const char *name; /* "vtd" */

	/* NULL: no memory, told. Nothing is mapped. */
	struct iommu_domain *(*domain_create)(void);
	/* No device is attached any more. */
	void (*domain_destroy)(struct iommu_domain *domain);

	/* Addresses and bytes are multiples of 4 KiB; largest pages that fit; rights: enum
	 * iommu_rights. What was mapped there is replaced: flush() is due as after unmap(). An
	 * error if IOVAs that large cannot be had, or memory for tables: a part may be mapped. */
	__must_check int (*map)(struct iommu_domain *domain, iova_t iova, hpa_t hpa, uint64_t bytes,
				unsigned rights);
	/* Clears; a device may use what it has cached until flush() has returned. Until then nothing may be
	 * mapped within the same 2 MiB where nothing was: the device may not see it. */
	void (*unmap)(struct iommu_domain *domain, iova_t iova, uint64_t bytes);
	void (*flush)(struct iommu_domain *domain);

	/* From now on the device's DMA goes through the domain; detach: is blocked again, with
	 * nothing cached. An error that says why for a device that no IOMMU covers, or whose
	 * firmware keeps memory of its own (RMRR). */
	__must_check int (*attach)(struct iommu_domain *domain, struct pci_address device);
	void (*detach)(struct pci_address device);

	/* Interrupts: a remapping entry by which the device (and no other) sends `vector` to the
	 * CPU with that APIC ID; *message is what to put into its MSI or MSI-X registers. Its
	 * handle, or an error. irq_free() leaves nothing cached. */
	__must_check int (*irq_alloc)(struct pci_address device, uint8_t vector, uint32_t apic_id,
				      struct msi_message *message);
	/* The same for a pin of the I/O APIC with this ID; *redirection is the entry to write, edge
	 * or level, active high, masked. */
	__must_check int (*irq_alloc_pin)(uint8_t ioapic_id, uint8_t vector, uint32_t apic_id,
					  bool level, uint64_t *redirection);
	/* Whether it can be had for that I/O APIC at all: firmware may not have named it. */
	bool (*has_ioapic)(uint8_t ioapic_id);
	void (*irq_free)(int handle);
	/* Its interrupts go nowhere, and leave no fault, until this is called with false. */
	void (*irq_cut_off)(int handle, bool on);

	/* Whether a part of these addresses is its own registers. */
	bool (*owns)(uint64_t hpa, uint64_t bytes);

	/* Log lines for faults recorded since; a bounded number of them. Called now and then. */
	void (*poll_faults)(void);
	/* How many a device had, as far as its IOMMU could record them. */
	uint64_t (*faults)(struct pci_address device);
};

/* The machine's, after iommu_start(); NULL: it has none. */
extern const struct iommu_ops *iommu;

/* Finds and starts it: DMA and interrupts of all devices are blocked from here on, faults are
 * polled on this CPU. Once, after acpi_init() and timer_init_cpu(), before any other CPU runs. 0
 * with iommu == NULL: there is none. An error, with iommu == NULL: there is one, and it cannot be
 * used; told. */
int iommu_start(void) __must_check;
