/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's two address spaces of devices, ports and memory: a bounded, sorted table of regions,
 * each embedded in its device. A region can be moved while other vCPUs access it (BARs): the lookup
 * is under the bus's lock, the access itself is not; devices live as long as the VM, so that one
 * that was just unmapped is merely late.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/core/lock.h"

#define BUS_MAX_REGIONS 128

struct vcpu;

struct bus_access {
	struct vcpu *vcpu; /* who does it */
	uint64_t offset;   /* into the region */
	unsigned bytes;	   /* 1, 2, 4, 8; at most the region's `widest` */
	bool write;
	uint64_t value; /* written, or to be answered; zero before a read */
};

/* (c) constant once mapped the first time [b] under the bus's lock */
struct bus_region {
	uint64_t base;	 /* [b] */
	uint64_t bytes;	 /* (c) */
	bool mapped;	 /* [b] */
	unsigned widest; /* (c) largest access the device takes; larger ones come in pieces */
	/* (c) Any CPU, several at once. The access lies inside the region; it may be misaligned. */
	void (*access)(struct bus_region *region, struct bus_access *access);
};

struct bus {
	struct spinlock lock;
	unsigned count;				     /* [b] */
	struct bus_region *regions[BUS_MAX_REGIONS]; /* [b] by base */
};

/* Maps the region at base. false: it would overlap another one, or the table is full. */
bool bus_map(struct bus *bus, struct bus_region *region, uint64_t base);
void bus_unmap(struct bus *bus, struct bus_region *region); /* harmless if it is not mapped */

/* Carries out an access at an address; false: nobody is there, *value untouched. An access that
 * leaves its region reads all ones and writes nothing. */
bool bus_access(struct bus *bus, struct vcpu *vcpu, uint64_t address, unsigned bytes, bool write,
		uint64_t *value);

/* The same for a region already found; offset + bytes within it. */
void bus_region_access(struct bus_region *region, struct bus_access *access);

/* All ones of a width. */
static inline uint64_t bus_ones(unsigned bytes)
{
	return bytes >= 8 ? ~0ull : (1ull << (8 * bytes)) - 1;
}
