/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by virtio_pci.c and virtio_common.c. */
#pragma once

#include "hv/dev/virtio_pci.h"

#define VIRTIO_COMMON_BYTES 60u /* struct virtio_pci_common_cfg */

/* The registers in the state after a reset; no queue runs. */
void virtio_common_init(struct virtio_pci *v);

/* Bus mastering was taken away, as Linux does before it jumps into the next kernel (kexec) without a
 * reset: queues stop, and DRIVER_OK is gone. Under the pcie lock. */
void virtio_common_halt(struct virtio_pci *v);

/* offset + bytes within VIRTIO_COMMON_BYTES. */
void virtio_common_access(struct virtio_pci *v, struct bus_access *access);
