/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio over PCI, modern, driver side (virtio 1.2, section 4.1): capabilities, set-up, queues. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guest/lib/pci.h"
#include "guest/lib/vq.h"

enum { VIRTIO_VENDOR = 0x1af4, VIRTIO_NET_DEVICE = 0x1041, VIRTIO_NO_VECTOR = 0xffff };

/* virtio 1.2, 2.1 */
enum {
	VIRTIO_ACKNOWLEDGE = 1,
	VIRTIO_DRIVER = 2,
	VIRTIO_DRIVER_OK = 4,
	VIRTIO_FEATURES_OK = 8,
	VIRTIO_NEEDS_RESET = 64,
	VIRTIO_FAILED = 128,
};

#define VIRTIO_F_INDIRECT_DESC	 (1ull << 28)
#define VIRTIO_F_EVENT_IDX	 (1ull << 29)
#define VIRTIO_F_VERSION_1	 (1ull << 32)
#define VIRTIO_F_ACCESS_PLATFORM (1ull << 33)
#define VIRTIO_F_RING_PACKED	 (1ull << 34)

/* Offsets in the common configuration (virtio 1.2, 4.1.4.3) */
enum {
	COMMON_DEVICE_FEATURE_SELECT = 0,
	COMMON_DEVICE_FEATURE = 4,
	COMMON_DRIVER_FEATURE_SELECT = 8,
	COMMON_DRIVER_FEATURE = 12,
	COMMON_CONFIG_VECTOR = 16,
	COMMON_NUM_QUEUES = 18,
	COMMON_STATUS = 20,
	COMMON_GENERATION = 21,
	COMMON_QUEUE_SELECT = 22,
	COMMON_QUEUE_SIZE = 24,
	COMMON_QUEUE_VECTOR = 26,
	COMMON_QUEUE_ENABLE = 28,
	COMMON_QUEUE_NOTIFY_OFF = 30,
	COMMON_QUEUE_DESC = 32,
	COMMON_QUEUE_DRIVER = 40,
	COMMON_QUEUE_DEVICE = 48,
};

struct virtio_device {
	unsigned devfn;
	struct pci_region common, notify, isr, config;
	uint32_t notify_multiplier;
	uint64_t features; /* negotiated */
	uint64_t
		dma_offset; /* added to each address that the device is told; 0 after virtio_open() */
};

/* These return NULL, or a sentence: what is wrong with the device. */

/* Finds the capabilities and the BARs behind them, enables the device, resets it. */
const char *virtio_open(struct virtio_device *dev, unsigned devfn);

uint64_t virtio_offered(struct virtio_device *dev); /* features, after virtio_open() */

/* ACKNOWLEDGE to FEATURES_OK, with those of `wanted` that are offered. VERSION_1 is a must. */
const char *virtio_negotiate(struct virtio_device *dev, uint64_t wanted);

/* Sets queue `index` up with at most VQ_MAX entries and enables it; `vector` is its MSI-X entry.
 * *notify is then where to write the index to notify the device. */
const char *virtio_queue(struct virtio_device *dev, unsigned index, uint16_t vector,
			 struct vq_memory *memory, struct vq *vq, struct pci_region *notify);

void virtio_ready(struct virtio_device *dev); /* DRIVER_OK */
uint8_t virtio_status(const struct virtio_device *dev);
