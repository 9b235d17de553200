/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every bus is looked at, not only those behind bridges that we know: firmware knows of root buses
 * that only AML tells of. What a bridge says of itself decides only what is thought to be above a
 * function, and there a bus number must grow on the way down, so that nothing runs in a circle.
 */
#include "hv/dev/pci_scan.h"

#include <stddef.h>

#include "hv/core/log.h"

#define BUSES		  256u
#define DEVICES		  32u
#define MOST_CAPABILITIES 48u  /* that fit behind the header */
#define MOST_EXTENDED	  240u /* that fit behind the first 256 bytes */
#define HEADER_MULTI	  0x80u
#define HEADER_TYPE	  0x7fu
#define BRIDGE_SECONDARY  0x19u
#define INTERRUPT_PIN	  0x3du

#define EXPRESS_FLAGS	    2u
#define EXPRESS_DEVCAP	    4u
#define EXPRESS_DEVCAP_FLR  (1u << 28)
#define AF_CAPABILITIES	    3u
#define AF_TRANSACTIONS_FLR 3u /* both bits */

#define EXTENDED_FIRST 0x100u
#define EXTENDED_ACS   0x000du
#define ACS_CAPABILITY 4u
#define ACS_CONTROL    6u
/* PCI Express Base 4.0, 7.7.7: source validation, request and completion redirect, upstream forward */
#define ACS_NEEDED     0x001cu
#define ACS_WANTED     0x001du

#define BAR_IO	      0x1u
#define BAR_TYPE      0x6u
#define BAR_WIDE      0x4u
#define BAR_IO_MASK   (~0x3u)
#define BAR_MEM_MASK  (~0xfu)
#define BAR_IO_LEAST  4u
#define BAR_MEM_LEAST 16u
#define BRIDGE_BARS   2u

struct host_function host_functions[HOST_FUNCTIONS];
unsigned host_function_count;

static uint32_t get(const struct host_function *f, unsigned at, unsigned bytes)
{
	return host_pci_read(f->address, at, bytes);
}

static void put(const struct host_function *f, unsigned at, unsigned bytes, uint32_t value)
{
	host_pci_write(f->address, at, bytes, value);
}

static void read_capability(struct host_function *f, uint8_t at)
{
	switch (get(f, at, 1)) {
	case PCI_CAP_PM:
		f->pm = at;
		break;
	case PCI_CAP_MSI:
		f->msi = at;
		break;
	case PCI_CAP_MSIX:
		f->msix = at;
		break;
	case PCI_CAP_PCIE:
		f->pcie = at;
		f->express_type = get(f, at + EXPRESS_FLAGS, 2) >> 4 & 0xf;
		f->resets |= f->header == PCI_HEADER_ENDPOINT &&
			     get(f, at + EXPRESS_DEVCAP, 4) & EXPRESS_DEVCAP_FLR;
		break;
	case PCI_CAP_AF:
		f->af = at;
		f->resets |= (get(f, at + AF_CAPABILITIES, 1) & AF_TRANSACTIONS_FLR) ==
			     AF_TRANSACTIONS_FLR;
		break;
	}
}

static void read_capabilities(struct host_function *f)
{
	unsigned at;

	if (!(get(f, PCI_STATUS, 2) & PCI_STATUS_CAPABILITIES))
		return;
	at = get(f, PCI_CAPABILITIES, 1) & 0xfc;
	for (unsigned i = 0; at >= PCI_FIRST_CAPABILITY && i < MOST_CAPABILITIES; i++) {
		read_capability(f, (uint8_t)at);
		at = get(f, at + 1, 1) & 0xfc;
	}
}

static void find_acs(struct host_function *f)
{
	unsigned at = EXTENDED_FIRST;

	for (unsigned i = 0; f->pcie && at >= EXTENDED_FIRST && i < MOST_EXTENDED; i++) {
		uint32_t header = get(f, at, 4);

		if (header == 0 || header == ~0u)
			return;
		if ((header & 0xffff) == EXTENDED_ACS) {
			f->acs = (uint16_t)at;
			return;
		}
		at = header >> 20 & 0xffc;
	}
}

void host_acs_on(const struct host_function *f)
{
	if (f->acs)
		put(f, f->acs + ACS_CONTROL, 2, get(f, f->acs + ACS_CAPABILITY, 2) & ACS_WANTED);
}

/* A bridge with a bus below its own is none that we could go up. */
static const struct host_function *bridge_above(uint8_t bus)
{
	for (unsigned i = 0; i < host_function_count; i++)
		if (host_functions[i].header == PCI_HEADER_BRIDGE &&
		    host_functions[i].secondary == bus && host_functions[i].address.bus < bus)
			return &host_functions[i];
	return NULL;
}

/* Whether or not it has a place among those that count. */
static void silence(struct pci_address address)
{
	uint32_t command = host_pci_read(address, PCI_COMMAND, 2);

	if ((host_pci_read(address, PCI_HEADER_TYPE, 1) & HEADER_TYPE) == PCI_HEADER_ENDPOINT &&
	    host_pci_read(address, PCI_REVISION, 4) >> 24 != PCI_CLASS_BRIDGE)
		host_pci_write(address, PCI_COMMAND, 2,
			       (command & ~PCI_COMMAND_MASTER) | PCI_COMMAND_INTX_OFF);
}

static void read_function(struct host_function *f, struct pci_address address, bool multi)
{
	*f = (struct host_function){ .address = address, .multi = multi };
	f->vendor = (uint16_t)get(f, PCI_VENDOR, 2);
	f->device = (uint16_t)get(f, PCI_DEVICE, 2);
	f->revision = (uint8_t)get(f, PCI_REVISION, 1);
	f->class_code = get(f, PCI_REVISION, 4) >> 8;
	f->header = get(f, PCI_HEADER_TYPE, 1) & HEADER_TYPE;
	f->above = bridge_above(address.bus);
	if (f->header == PCI_HEADER_BRIDGE)
		f->secondary = (uint8_t)get(f, BRIDGE_SECONDARY, 1);
	if (f->header == PCI_HEADER_ENDPOINT) {
		f->subsystem_vendor = (uint16_t)get(f, PCI_SUBSYSTEM_VENDOR, 2);
		f->subsystem = (uint16_t)get(f, PCI_SUBSYSTEM, 2);
		f->line = (uint8_t)get(f, PCI_INTERRUPT_LINE, 1);
		f->pin = (uint8_t)get(f, INTERRUPT_PIN, 1);
	}
	read_capabilities(f);
	find_acs(f);
	host_acs_on(f);
	f->isolates = f->acs && (get(f, f->acs + ACS_CONTROL, 2) & ACS_NEEDED) == ACS_NEEDED;
}

/* False: nothing is there. */
static bool scan_function(struct pci_address address, bool multi)
{
	uint32_t vendor = host_pci_read(address, PCI_VENDOR, 2);

	if (vendor == 0xffff || vendor == 0)
		return false;
	silence(address);
	if (host_function_count < HOST_FUNCTIONS)
		read_function(&host_functions[host_function_count], address, multi);
	host_function_count++;
	return true;
}

static void scan_device(uint8_t bus, unsigned device)
{
	struct pci_address address = { bus, (uint8_t)(device << 3) };
	bool multi;

	multi = host_pci_read(address, PCI_HEADER_TYPE, 1) & HEADER_MULTI;
	if (!scan_function(address, multi) || !multi)
		return;
	for (unsigned function = 1; function < 8; function++) {
		address.devfn = (uint8_t)(device << 3 | function);
		(void)scan_function(address, true);
	}
}

void pci_scan(void)
{
	host_function_count = 0;
	for (unsigned bus = 0; bus < BUSES; bus++)
		for (unsigned device = 0; device < DEVICES; device++)
			scan_device((uint8_t)bus, device);
	if (host_function_count > HOST_FUNCTIONS) {
		log_printf("pci: %u functions, the first %u count", host_function_count,
			   HOST_FUNCTIONS);
		host_function_count = HOST_FUNCTIONS;
	}
	log_printf("pci: %u functions, bus mastering off", host_function_count);
}

struct host_function *host_function_at(struct pci_address address)
{
	for (unsigned i = 0; i < host_function_count; i++)
		if (pci_requester(host_functions[i].address) == pci_requester(address))
			return &host_functions[i];
	return NULL;
}

static bool leads_to_conventional(const struct host_function *bridge)
{
	return !bridge->pcie || bridge->express_type == EXPRESS_TO_PCI;
}

bool host_is_conventional(const struct host_function *f)
{
	for (const struct host_function *b = f->above; b; b = b->above)
		if (leads_to_conventional(b))
			return true;
	return false;
}

/* Whether functions behind the bridge can reach each other past it, or all pass for one. */
static bool joins(const struct host_function *bridge)
{
	if (leads_to_conventional(bridge))
		return true;
	return (bridge->express_type == EXPRESS_UPSTREAM ||
		bridge->express_type == EXPRESS_DOWNSTREAM) &&
	       !bridge->isolates;
}

/* Above a switch's downstream ports is its bus inside: without ACS there, whatever is behind the
 * upstream port belongs together. The walk up ends: bus numbers fall. */
struct host_group host_group_of(const struct host_function *f)
{
	struct host_group group = { .bus = f->address.bus, .devfn = f->address.devfn };

	if (f->multi && !f->isolates)
		group.devfn = f->address.devfn & 0xf8;
	for (const struct host_function *b = f->above; b; b = b->above)
		if (b->express_type == EXPRESS_DOWNSTREAM && b->pcie && !b->isolates)
			group = (struct host_group){ .bus = b->address.bus, .whole_bus = true };
		else if (joins(b) && !(b->pcie && b->express_type == EXPRESS_UPSTREAM))
			group = (struct host_group){ .bus = b->secondary, .whole_bus = true };
	return group;
}

static void read_bar(const struct host_function *f, unsigned i, struct host_bar *bar)
{
	const unsigned at = PCI_BAR0 + 4 * i;
	uint32_t low = get(f, at, 4);

	bar->kind = low & BAR_IO ? PCI_BAR_IO : PCI_BAR_MEMORY;
	bar->wide = bar->kind == PCI_BAR_MEMORY && (low & BAR_TYPE) == BAR_WIDE && i + 1 < PCI_BARS;
	bar->bytes = bar->kind == PCI_BAR_IO ? BAR_IO_LEAST : BAR_MEM_LEAST;
	bar->base = bar->kind == PCI_BAR_IO ? low & 0xffff & BAR_IO_MASK : low & BAR_MEM_MASK;
	if (bar->wide)
		bar->base |= (uint64_t)get(f, at + 4, 4) << 32;
}

static void size_bar(const struct host_function *f, unsigned i, struct host_bar *bar)
{
	const unsigned at = PCI_BAR0 + 4 * i;
	uint32_t low = get(f, at, 4), high;
	uint64_t mask;

	put(f, at, 4, ~0u);
	mask = get(f, at, 4) & (bar->kind == PCI_BAR_IO ? BAR_IO_MASK : BAR_MEM_MASK);
	put(f, at, 4, low);
	if (bar->kind == PCI_BAR_IO)
		mask |= 0xffff0000u; /* some implement 16 bits */
	if (bar->wide) {
		high = get(f, at + 4, 4);
		put(f, at + 4, 4, ~0u);
		mask |= (uint64_t)get(f, at + 4, 4) << 32;
		put(f, at + 4, 4, high);
	} else {
		mask |= mask ? 0xffffffff00000000ull : 0;
	}
	bar->bytes = mask & (0 - mask); /* the lowest bit that can be set */
}

void host_bars_read(struct host_function *f)
{
	const bool device =
		f->header == PCI_HEADER_ENDPOINT && f->class_code >> 16 != PCI_CLASS_BRIDGE;
	const unsigned count = f->header == PCI_HEADER_ENDPOINT ? PCI_BARS
			       : f->header == PCI_HEADER_BRIDGE ? BRIDGE_BARS
								: 0;
	struct host_bar *bars = f->bar;
	uint32_t command = get(f, PCI_COMMAND, 2);

	if (device)
		put(f, PCI_COMMAND, 2, command & ~(PCI_COMMAND_IO | PCI_COMMAND_MEMORY));
	for (unsigned i = 0; i < PCI_BARS; i++) {
		bars[i] = (struct host_bar){ .kind = PCI_BAR_NONE };
		if (i >= count || (i > 0 && bars[i - 1].wide))
			continue;
		read_bar(f, i, &bars[i]);
		if (device)
			size_bar(f, i, &bars[i]);
		if (bars[i].bytes == 0)
			bars[i] = (struct host_bar){ .kind = PCI_BAR_NONE };
	}
	if (device)
		put(f, PCI_COMMAND, 2, command);
}

void host_function_describe(const struct host_function *f, char *out, unsigned room)
{
	snprintf(out, room, PCI_ADDRESS_FORMAT " %04x:%04x class %06x%s%s%s%s",
		 PCI_ADDRESS_ARGS(f->address), f->vendor, f->device, f->class_code,
		 f->msix ? ", MSI-X" : "", f->msi ? ", MSI" : "", f->pin ? ", INTx" : "",
		 f->resets ? ", FLR" : "");
}
