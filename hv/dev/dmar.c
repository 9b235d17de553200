/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/dev/dmar.h"

#include <string.h>

enum dmar_offset { /* "DMA Remapping Reporting Structure" */
		   DMAR_FLAGS = 37,
		   DMAR_STRUCTURES = 48,
};
#define FLAG_INTR_REMAP 1u

enum structure { /* "Remapping Structure Types": type and length are the first two words of each */
		 STRUCTURE_UNIT = 0,
		 STRUCTURE_RESERVED = 1,
		 STRUCTURE_HEADER = 4,
};

enum unit_offset { /* "DMA Remapping Hardware Unit Definition Structure" */
		   UNIT_FLAGS = 4,
		   UNIT_SEGMENT = 6,
		   UNIT_BASE = 8,
		   UNIT_SCOPES = 16,
};
#define FLAG_INCLUDE_PCI_ALL 1u

enum reserved_offset { /* "Reserved Memory Region Reporting Structure" */
		       RESERVED_SEGMENT = 6,
		       RESERVED_BASE = 8,
		       RESERVED_LAST = 16,
		       RESERVED_SCOPES = 24,
};

enum scope_offset { /* "Device Scope Structure" */
		    SCOPE_TYPE = 0,
		    SCOPE_LENGTH = 1,
		    SCOPE_ID = 4,
		    SCOPE_BUS = 5,
		    SCOPE_PATH = 6, /* pairs of device and function */
};

enum pci_offset { /* PCI Local Bus Specification 3.0, 6.1; PCI-to-PCI Bridge 1.2, 3.2 */
		  PCI_HEADER_TYPE = 0x0e,
		  PCI_SECONDARY_BUS = 0x19,
		  PCI_SUBORDINATE_BUS = 0x1a,
};
#define HEADER_BRIDGE 1u

static uint64_t load(const uint8_t *p, size_t bytes)
{
	uint64_t value = 0;

	memcpy(&value, p, bytes);
	return value;
}

static int lie(const char *what, size_t number)
{
	return fail(LH_INVAL, "acpi: DMAR: %s (%zu), left out", what, number);
}

/* The buses behind a bridge; false: it is none, or firmware has given it none (both numbers are 0 then). */
static bool buses_behind(struct pci_address a, uint8_t *first, uint8_t *last)
{
	if ((host_pci_read(a, PCI_HEADER_TYPE, 1) & 0x7f) != HEADER_BRIDGE)
		return false;
	*first = (uint8_t)host_pci_read(a, PCI_SECONDARY_BUS, 1);
	*last = (uint8_t)host_pci_read(a, PCI_SUBORDINATE_BUS, 1);
	return *first > a.bus && *last >= *first;
}

/* Follows a path of `hops` pairs through bridges to a device; false: a bridge is not there. */
static bool walk(const uint8_t *path, size_t hops, struct pci_address *at)
{
	uint8_t first, last;

	for (size_t i = 0; i < hops; i++) {
		if (i > 0) {
			if (!buses_behind(*at, &first, &last))
				return false;
			at->bus = first;
		}
		at->devfn = (uint8_t)(path[2 * i] << 3 | path[2 * i + 1]);
	}
	return true;
}

/* One scope; `proto` says whose. Left out: a kind that we don't know, and a device that is not
 * there, which many tables list. */
static int add_scope(struct dmar *d, const uint8_t *p, size_t bytes, struct dmar_scope proto)
{
	const uint8_t *path = p + SCOPE_PATH;
	size_t hops = (bytes - SCOPE_PATH) / 2;
	uint8_t first, last;

	for (size_t i = 0; i < hops; i++)
		if (path[2 * i] > 31 || path[2 * i + 1] > 7)
			return lie("a device scope with an impossible device or function", i);
	proto.type = p[SCOPE_TYPE];
	proto.id = p[SCOPE_ID];
	proto.at.bus = p[SCOPE_BUS];
	proto.first_bus = 1;
	if (proto.type < DMAR_ENDPOINT || proto.type > DMAR_HPET || !walk(path, hops, &proto.at))
		return 0;
	if (proto.type == DMAR_BRIDGE && buses_behind(proto.at, &first, &last)) {
		proto.first_bus = first;
		proto.last_bus = last;
	}
	if (d->scope_count == DMAR_MAX_SCOPES)
		return lie("more device scopes than we have room for", DMAR_MAX_SCOPES);
	d->scope[d->scope_count++] = proto;
	return 0;
}

static int add_scopes(struct dmar *d, const uint8_t *p, size_t bytes, struct dmar_scope proto)
{
	while (bytes > 0) {
		size_t length = bytes > SCOPE_LENGTH ? p[SCOPE_LENGTH] : 0;

		if (length < SCOPE_PATH + 2 || length > bytes || length % 2)
			return lie("a device scope of impossible length", length);
		if (add_scope(d, p, length, proto) < 0)
			return LH_INVAL;
		p += length;
		bytes -= length;
	}
	return 0;
}

static int add_unit(struct dmar *d, const uint8_t *p, size_t bytes)
{
	struct dmar_unit unit;

	if (bytes < UNIT_SCOPES)
		return lie("a unit's structure is too short", bytes);
	unit.base = load(p + UNIT_BASE, 8);
	unit.segment = (uint16_t)load(p + UNIT_SEGMENT, 2);
	unit.all = p[UNIT_FLAGS] & FLAG_INCLUDE_PCI_ALL;
	if (unit.base == 0 || unit.base & 0xfff)
		return lie("a unit's registers are at an impossible address", unit.base);
	for (unsigned i = 0; i < d->unit_count; i++) {
		const struct dmar_unit *other = &d->unit[i];

		if (other->base == unit.base)
			return lie("a unit is there twice", i);
		if (unit.all && other->all && other->segment == unit.segment)
			return lie("two units cover all the rest", i);
	}
	if (d->unit_count == DMAR_MAX_UNITS)
		return lie("more units than we have room for", DMAR_MAX_UNITS);
	d->unit[d->unit_count++] = unit;
	if (unit.segment != 0)
		return 0;
	return add_scopes(d, p + UNIT_SCOPES, bytes - UNIT_SCOPES,
			  (struct dmar_scope){ .owner = (uint8_t)(d->unit_count - 1) });
}

static int add_reserved(struct dmar *d, const uint8_t *p, size_t bytes)
{
	struct dmar_scope proto = { .reserved = true };

	if (bytes < RESERVED_SCOPES)
		return lie("a reserved region's structure is too short", bytes);
	if (load(p + RESERVED_SEGMENT, 2) != 0)
		return 0;
	if (d->region_count == DMAR_MAX_REGIONS)
		return lie("more reserved regions than we have room for", DMAR_MAX_REGIONS);
	proto.owner = (uint8_t)d->region_count;
	d->region[d->region_count++] = (struct dmar_region){
		.base = load(p + RESERVED_BASE, 8),
		.last = load(p + RESERVED_LAST, 8),
	};
	return add_scopes(d, p + RESERVED_SCOPES, bytes - RESERVED_SCOPES, proto);
}

int dmar_parse(struct dmar *d, const void *table, size_t bytes)
{
	const uint8_t *p = table;
	int error = 0;

	memset(d, 0, sizeof(*d));
	if (bytes < DMAR_STRUCTURES)
		return lie("the table is too short", bytes);
	d->interrupts = p[DMAR_FLAGS] & FLAG_INTR_REMAP;
	for (size_t at = DMAR_STRUCTURES; at < bytes && !error;) {
		size_t rest = bytes - at, length = 0;

		if (rest >= STRUCTURE_HEADER)
			length = load(p + at + 2, 2);
		if (length < STRUCTURE_HEADER || length > rest)
			return lie("a structure of impossible length", length);
		switch (load(p + at, 2)) {
		case STRUCTURE_UNIT:
			error = add_unit(d, p + at, length);
			break;
		case STRUCTURE_RESERVED:
			error = add_reserved(d, p + at, length);
			break;
		}
		at += length;
	}
	if (!error && d->unit_count == 0)
		error = lie("there is no unit", 0);
	return error;
}

static bool covers(const struct dmar_scope *s, struct pci_address device)
{
	if (s->type != DMAR_ENDPOINT && s->type != DMAR_BRIDGE)
		return false;
	if (pci_requester(s->at) == pci_requester(device))
		return true;
	return device.bus >= s->first_bus && device.bus <= s->last_bus;
}

int dmar_unit_of(const struct dmar *d, struct pci_address device)
{
	for (unsigned i = 0; i < d->scope_count; i++)
		if (!d->scope[i].reserved && covers(&d->scope[i], device))
			return d->scope[i].owner;
	for (unsigned i = 0; i < d->unit_count; i++)
		if (d->unit[i].all && d->unit[i].segment == 0)
			return (int)i;
	return -1;
}

bool dmar_is_reserved(const struct dmar *d, struct pci_address device)
{
	for (unsigned i = 0; i < d->scope_count; i++)
		if (d->scope[i].reserved && covers(&d->scope[i], device))
			return true;
	return false;
}

bool dmar_source(const struct dmar *d, enum dmar_scope_type type, uint8_t id,
		 struct pci_address *source)
{
	for (unsigned i = 0; i < d->scope_count; i++)
		if (!d->scope[i].reserved && d->scope[i].type == type && d->scope[i].id == id) {
			*source = d->scope[i].at;
			return true;
		}
	return false;
}
