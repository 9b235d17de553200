/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Port and memory regions of a guest's devices. The table is sorted by base and free of overlaps,
 * so that a lookup is a binary search: it is on the path of every queue notification.
 */
#include "hv/dev/bus.h"

#include <stddef.h>

/* How many regions start at or below address. Under the lock. */
static unsigned regions_below(const struct bus *bus, uint64_t address)
{
	unsigned low = 0, high = bus->count;

	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (bus->regions[mid]->base <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool overlaps(const struct bus *bus, unsigned at, uint64_t base, uint64_t bytes)
{
	const struct bus_region *before = at > 0 ? bus->regions[at - 1] : NULL;
	const struct bus_region *after = at < bus->count ? bus->regions[at] : NULL;

	return (before && base - before->base < before->bytes) ||
	       (after && after->base - base < bytes);
}

bool bus_map(struct bus *bus, struct bus_region *region, uint64_t base)
{
	unsigned at;
	bool ok;

	spin_lock(&bus->lock);
	at = regions_below(bus, base);
	ok = !region->mapped && region->bytes > 0 && base + (region->bytes - 1) >= base &&
	     bus->count < BUS_MAX_REGIONS && !overlaps(bus, at, base, region->bytes);
	if (ok) {
		for (unsigned i = bus->count; i > at; i--)
			bus->regions[i] = bus->regions[i - 1];
		bus->regions[at] = region;
		bus->count++;
		region->base = base;
		region->mapped = true;
	}
	spin_unlock(&bus->lock);
	return ok;
}

void bus_unmap(struct bus *bus, struct bus_region *region)
{
	unsigned to = 0;

	spin_lock(&bus->lock);
	for (unsigned i = 0; i < bus->count; i++)
		if (bus->regions[i] != region)
			bus->regions[to++] = bus->regions[i];
	bus->count = to;
	region->mapped = false;
	spin_unlock(&bus->lock);
}

void bus_region_access(struct bus_region *region, struct bus_access *access)
{
	struct bus_access piece = *access;
	uint64_t answer = 0;

	piece.bytes = access->bytes < region->widest ? access->bytes : region->widest;
	for (unsigned done = 0; done < access->bytes; done += piece.bytes) {
		piece.offset = access->offset + done;
		piece.value =
			access->write ? access->value >> (8 * done) & bus_ones(piece.bytes) : 0;
		region->access(region, &piece);
		answer |= (piece.value & bus_ones(piece.bytes)) << (8 * done);
	}
	if (!access->write)
		access->value = answer;
}

bool bus_access(struct bus *bus, struct vcpu *vcpu, uint64_t address, unsigned bytes, bool write,
		uint64_t *value)
{
	struct bus_access access = { .vcpu = vcpu, .bytes = bytes, .write = write };
	struct bus_region *region = NULL;
	unsigned at;

	spin_lock(&bus->lock);
	at = regions_below(bus, address);
	if (at > 0) {
		region = bus->regions[at - 1];
		access.offset = address - region->base;
		if (access.offset >= region->bytes)
			region = NULL;
	}
	spin_unlock(&bus->lock);
	if (!region)
		return false;
	access.value = write ? *value & bus_ones(bytes) : bus_ones(bytes);
	if (bytes <= region->bytes - access.offset)
		bus_region_access(region, &access);
	if (!write)
		*value = access.value;
	return true;
}
