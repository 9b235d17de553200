/* SPDX-License-Identifier: BSD-2-Clause */
/* What lasthop uses of VT-d's remapping units, and of NICs that are passed through. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/cpu/feature.h"

struct iommu_facts {
	bool present;	 /* the firmware has a table DMAR, and it makes sense */
	bool read;	 /* it could be read: */
	bool interrupts; /* it says that they can be remapped */
	bool known;	 /* what follows: the registers CAP and ECAP, what all units have */
	unsigned units;
	uint64_t cap, ecap;
};

/* What a unit with these registers cannot do without, in words; NULL: nothing. */
const char *vtd_lacks(uint64_t cap, uint64_t ecap);

/* From the table DMAR (NULL: none) and the registers, which are mapped. */
void iommu_facts_read(struct iommu_facts *facts, const void *dmar, size_t bytes);

/* Reports each feature; all are optional, since VMs without devices need none. */
void iommu_features(const struct iommu_facts *facts, feature_fn *report, void *context);

/* Those of each NIC that pci_scan() has found; known: it could read all of their capabilities. */
void nic_features(bool known, feature_fn *report, void *context);
