/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver's side of virtio's transport, for tests of one device, the first on its bus. It aborts where the bus
 * has no such register.
 */
#pragma once

#include "tests/unit/dev/fakes.h"

#include <stdlib.h>

#include "hv/core/guest_map.h"
#include "hv/dev/pcie.h"
#include "hv/dev/virtio_pci.h"

/* virtio 1.2, 4.1.4.3; CONFIG: where our devices have their own */
enum {
	DEV_SELECT = 0,
	DEV_FEATURES = 4,
	DRV_SELECT = 8,
	DRV_FEATURES = 12,
	CONFIG_VECTOR = 16,
	QUEUES = 18,
	STATUS = 20,
	GENERATION = 21,
	Q_SELECT = 22,
	Q_SIZE = 24,
	Q_VECTOR = 26,
	Q_ENABLE = 28,
	Q_NOTIFY = 30,
	Q_DESC = 32,
	Q_DRIVER = 40,
	Q_DEVICE = 48,
	Q_RESET = 58,
	CONFIG = 0x2000
};
enum { DRIVER_FOUND = 3, FEATURES_OK = 11, DRIVER_OK = 15 };
enum { NEXT = 1, WRITE = 2 }; /* flags of a descriptor */

static struct bus io, memory;
static struct pcie pcie;

/* A bus without devices; 0, or why there is none. */
static inline int transport_init(void)
{
	memset(&io, 0, sizeof(io));
	memset(&memory, 0, sizeof(memory));
	memset(&pcie, 0, sizeof(pcie));
	return pcie_init(&pcie, &io, &memory, &fake_vm.log_limit);
}

static inline uint64_t reg(uint64_t at, unsigned bytes, bool write, uint64_t value)
{
	if (!bus_access(&memory, &fake_vcpu[0], GUEST_BAR_WINDOW + at, bytes, write, &value))
		abort();
	return value;
}

static inline void kick(unsigned queue)
{
	uint64_t value = queue;

	if (!bus_access(&io, &fake_vcpu[0], GUEST_IO_WINDOW + 4 * queue, 2, true, &value))
		abort();
}

/* A reset, and all up to FEATURES_OK. */
static inline void negotiate(uint64_t features)
{
	reg(STATUS, 1, true, 0);
	reg(STATUS, 1, true, DRIVER_FOUND);
	for (unsigned i = 0; i < 2; i++) {
		reg(DRV_SELECT, 4, true, i);
		reg(DRV_FEATURES, 4, true, features >> (32 * i) & 0xffffffff);
	}
	reg(STATUS, 1, true, FEATURES_OK);
}

/* Its three areas are below 4 GiB. */
static inline void set_queue(unsigned queue, unsigned size, uint64_t desc, uint64_t driver,
			     uint64_t device)
{
	reg(Q_SELECT, 2, true, queue);
	reg(Q_SIZE, 2, true, size);
	reg(Q_DESC, 4, true, desc);
	reg(Q_DRIVER, 4, true, driver);
	reg(Q_DEVICE, 4, true, device);
	reg(Q_ENABLE, 2, true, 1);
}
