/* SPDX-License-Identifier: BSD-2-Clause */
/* What the core asks of a virtio device of the machine (virtio 1.2, 4.1). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/dev/pci_scan.h"

/* The common configuration of a modern device, all in a BAR that is mapped; NULL: it has none. */
volatile uint8_t *virtio_common(const struct host_function *f);

/* Its device_status in there; NULL: it has none. */
volatile uint8_t *virtio_status(const struct host_function *f);

/* Whether it is a virtio device that does DMA past the IOMMU: one that offers no ACCESS_PLATFORM. */
bool virtio_bypasses_iommu(const struct host_function *f);
