/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtio entropy device (virtio 1.2, section 5.4): one in each VM, behind its other devices.
 */
#pragma once

#include "hv/core/lock.h"
#include "hv/cpu/entropy.h"
#include "hv/dev/virtio_pci.h"
#include "vswitch/vq.h"

struct virtio_rng {
	struct virtio_pci virtio;
	struct spinlock lock; /* inside the transport's */
	bool running;	      /* under lock, as all below */
	struct vq vq;
	uint16_t next; /* position */
	struct entropy entropy;
	uint64_t stirred_tsc;
};

int virtio_rng_init(struct virtio_rng *rng, struct vm *vm, struct pcie *pcie);
void virtio_rng_finish(struct virtio_rng *rng);
