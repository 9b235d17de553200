/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PCI functions of the machine that are a VM's: filtered configuration space, BARs mapped or
 * forwarded, interrupts through the host, DMA confined by the IOMMU to the VM's RAM. All that the guest
 * writes is hostile; what reaches the device itself can only make that device misbehave.
 */
#pragma once

#include <stdbool.h>

#include "hv/core/config.h"
#include "hv/core/fail.h"

struct handover_image;
struct ioapic;
struct iommu_domain;
struct passthrough;
struct pcie;
struct vm;

/* (c) constant after the VM is joined with them */
struct passthroughs {
	unsigned count;
	struct passthrough *item[CONFIG_MAX_PASSTHROUGHS];
	struct iommu_domain *domain; /* NULL: none, or no IOMMU */
};

/* Checks the config's passthrough nodes against the machine: which function each one is, whether it can
 * be had, and by whom. Reports and counts as config_check_machine() does. Once, before the first VM. */
unsigned passthrough_check(const struct config *config, config_error_fn *report, void *context);

/* Of that, what another config may change of a VM that has devices: whether it can do without an IOMMU where none
 * confines them. kernel may be NULL: not looked at. After passthrough_check(). */
unsigned passthrough_check_vm(const struct config_vm *vm, const struct handover_image *kernel,
			      config_error_fn *report, void *context);

/* What the DMA of the VM's functions reaches: its RAM, which is there already. They come later. On an error,
 * told, of this and the next, passthrough_destroy() takes away what was made. */
int passthrough_create(struct passthroughs *all, struct vm *vm) __must_check;

/* The functions, on the VM's bus. They come back from their reset first: LH_AGAIN: not yet, to be called again at
 * *again_tsc (hv/dev/pci_reset.h). */
int passthrough_join(struct passthroughs *all, struct vm *vm, struct pcie *pcie,
		     struct ioapic *ioapic, uint64_t *again_tsc) __must_check;

/* Silences and resets them; their DMA is over when it returns. Before the VM's RAM is freed. */
void passthrough_silence(struct passthroughs *all);
/* The same, and their domain goes. */
void passthrough_destroy(struct passthroughs *all);

/* A VM that does not run does no DMA: bus mastering goes off, and on again as the guest had it, unless the VM is
 * ending. */
void passthrough_pause(struct passthroughs *all, bool paused);
