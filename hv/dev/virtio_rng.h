/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtio entropy device (virtio 1.2, section 5.4): one in each VM, behind its other devices.
 */
#pragma once

#include "hv/cpu/entropy.h"
#include "hv/dev/device_queue.h"

struct virtio_rng {
	struct virtio_pci virtio;
	struct device_queue queue;
	struct entropy entropy; /* under the queue's lock, as the next */
	uint64_t stirred_tsc;
};

int virtio_rng_init(struct virtio_rng *rng, struct vm *vm, struct pcie *pcie);
void virtio_rng_finish(struct virtio_rng *rng);
