/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host bridge, configuration space by ECAM, and BARs. Every byte of configuration space has a
 * mask of the bits a guest may change; sizing a BAR is nothing but that mask. A BAR answers where
 * its register says, if the command register enables it, it lies inside the bridge's windows
 * (hv/core/guest_map.h, the same as in the DSDT) and nothing else is there.
 */
#include "hv/dev/pcie.h"

#include <stddef.h>
#include <string.h>

#include "hv/core/fail.h"
#include "hv/core/guest_map.h"
#include "hv/core/list.h"

#define ECAM_FUNCTION_BYTES 4096u
#define BAR_IO_FLAG	    0x1u

/* A generic PCIe host bridge; Linux looks at its class only. */
static const struct pci_identity host_bridge_id = {
	.vendor = 0x1b36,
	.device = 0x0008,
	.subsystem_vendor = 0x1af4,
	.subsystem = 0x1100,
	.class_code = 0x060000,
};

uint32_t pci_get(const struct pci_function *f, unsigned at, unsigned bytes)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < bytes && at + i < PCI_CONFIG_BYTES; i++)
		value |= (uint32_t)f->config[at + i] << (8 * i);
	return value;
}

void pci_put(struct pci_function *f, unsigned at, unsigned bytes, uint32_t value)
{
	for (unsigned i = 0; i < bytes && at + i < PCI_CONFIG_BYTES; i++)
		f->config[at + i] = (uint8_t)(value >> (8 * i));
}

void pci_put_writable(struct pci_function *f, unsigned at, unsigned bytes, uint32_t mask)
{
	for (unsigned i = 0; i < bytes && at + i < PCI_CONFIG_BYTES; i++)
		f->writable[at + i] = (uint8_t)(mask >> (8 * i));
}

static unsigned bar_at(unsigned bar)
{
	return PCI_BAR0 + 4 * bar;
}

/* Where the BAR is to answer; false: nowhere. */
static bool bar_wanted(const struct pci_function *f, unsigned bar, uint64_t *base)
{
	uint32_t command = pci_get(f, PCI_COMMAND, 2);
	uint64_t first, end, bytes = f->bar[bar].region->bytes;

	*base = pci_get(f, bar_at(bar), 4) & ~(uint32_t)(bytes - 1);
	if (f->bar[bar].kind == PCI_BAR_IO) {
		first = GUEST_IO_WINDOW;
		end = GUEST_IO_END;
	} else {
		first = GUEST_BAR_WINDOW;
		end = GUEST_BAR_END;
	}
	return (command & (f->bar[bar].kind == PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)) &&
	       *base >= first && *base + bytes <= end;
}

static struct bus *bar_bus(struct pcie *pcie, const struct pci_function *f, unsigned bar)
{
	return f->bar[bar].kind == PCI_BAR_IO ? pcie->io : pcie->memory;
}

static void bar_moved(struct pci_function *f, unsigned bar, bool there)
{
	if (f->ops && f->ops->bar_moved && f->bar[bar].kind == PCI_BAR_MEMORY)
		f->ops->bar_moved(f, bar, there);
}

/* Makes the buses agree with the registers: first everything that leaves, then what comes, so that
 * BARs of one function can change places. A loser of an overlap answers nowhere. */
static void bars_update(struct pcie *pcie, struct pci_function *f)
{
	uint64_t base;

	for (unsigned i = 0; i < PCI_BARS; i++) {
		struct bus_region *region = f->bar[i].region;

		if (region && region->mapped &&
		    !(bar_wanted(f, i, &base) && base == region->base)) {
			bar_moved(f, i, false);
			bus_unmap(bar_bus(pcie, f, i), region);
		}
	}
	for (unsigned i = 0; i < PCI_BARS; i++) {
		struct bus_region *region = f->bar[i].region;

		if (!region || region->mapped || !bar_wanted(f, i, &base))
			continue;
		if (bus_map(bar_bus(pcie, f, i), region, base))
			bar_moved(f, i, true);
		else
			log_limited(pcie->log_limit, "pcie: BAR %u at 0x%llx overlaps another one",
				    i, (unsigned long long)base);
	}
}

static void config_write(struct pcie *pcie, struct pci_function *f, unsigned at,
			 const struct bus_access *access)
{
	bool bars = false;

	for (unsigned i = 0; i < access->bytes; i++) {
		uint8_t mask = f->writable[at + i];
		uint8_t value = (uint8_t)(access->value >> (8 * i));
		uint8_t old = f->config[at + i];

		f->config[at + i] = (uint8_t)((old & ~mask) | (value & mask));
		bars |= at + i == PCI_COMMAND || (at + i >= PCI_BAR0 && at + i < bar_at(PCI_BARS));
	}
	if (bars)
		bars_update(pcie, f);
	if (f->ops && f->ops->after_write)
		f->ops->after_write(f, access->vcpu, at, access->bytes);
}

void pcie_config_access(struct pcie *pcie, unsigned number, unsigned at, struct bus_access *access)
{
	struct pci_function *f = NULL;

	if (number % 8 == 0 && number / 8 < PCI_DEVICES)
		f = pcie->device[number / 8];
	if (!f) {
		access->value = bus_ones(access->bytes);
		return;
	}
	if (at + access->bytes > PCI_CONFIG_BYTES) { /* extended space: nothing there */
		access->value = 0;
		return;
	}
	spin_lock(&pcie->lock);
	if (access->write) {
		config_write(pcie, f, at, access);
	} else {
		if (f->ops && f->ops->before_read)
			f->ops->before_read(f, access->vcpu, at, access->bytes);
		access->value = pci_get(f, at, access->bytes);
	}
	spin_unlock(&pcie->lock);
}

static void ecam_access(struct bus_region *region, struct bus_access *access)
{
	struct pcie *pcie = container_of(region, struct pcie, ecam);

	pcie_config_access(pcie, (unsigned)(access->offset / ECAM_FUNCTION_BYTES),
			   access->offset % ECAM_FUNCTION_BYTES, access);
}

void pci_function_init(struct pci_function *f, const struct pci_identity *id,
		       const struct pci_function_ops *ops)
{
	memset(f, 0, sizeof(*f));
	f->ops = ops;
	f->capabilities_end = PCI_FIRST_CAPABILITY;
	pci_put(f, PCI_VENDOR, 2, id->vendor);
	pci_put(f, PCI_DEVICE, 2, id->device);
	pci_put(f, PCI_REVISION, 1, id->revision);
	pci_put(f, PCI_CLASS, 3, id->class_code);
	pci_put(f, PCI_SUBSYSTEM_VENDOR, 2, id->subsystem_vendor);
	pci_put(f, PCI_SUBSYSTEM, 2, id->subsystem);
	pci_put_writable(f, PCI_COMMAND, 2,
			 PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
				 PCI_COMMAND_INTX_OFF);
	pci_put_writable(f, PCI_CACHE_LINE, 1, 0xff);
	pci_put_writable(f, PCI_INTERRUPT_LINE, 1, 0xff);
}

void pci_add_bar(struct pci_function *f, unsigned bar, enum pci_bar_kind kind,
		 struct bus_region *region)
{
	assert(bar < PCI_BARS && region->bytes >= (kind == PCI_BAR_IO ? 4 : 16) &&
	       !(region->bytes & (region->bytes - 1)));
	f->bar[bar].kind = kind;
	f->bar[bar].region = region;
	pci_put(f, bar_at(bar), 4, kind == PCI_BAR_IO ? BAR_IO_FLAG : 0);
	pci_put_writable(f, bar_at(bar), 4, ~(uint32_t)(region->bytes - 1));
}

unsigned pci_add_capability(struct pci_function *f, uint8_t id, unsigned bytes)
{
	unsigned at = f->capabilities_end;

	assert(at + bytes <= PCI_CONFIG_BYTES);
	pci_put(f, at, 1, id);
	pci_put(f, f->last_capability ? f->last_capability + 1 : PCI_CAPABILITIES, 1, at);
	pci_put(f, PCI_STATUS, 2, pci_get(f, PCI_STATUS, 2) | PCI_STATUS_CAPABILITIES);
	f->last_capability = at;
	f->capabilities_end = (at + bytes + 3) & ~3u;
	return at;
}

static int assign_bars(struct pcie *pcie, struct pci_function *f)
{
	for (unsigned i = 0; i < PCI_BARS; i++) {
		bool io = f->bar[i].kind == PCI_BAR_IO;
		uint64_t *next = io ? &pcie->next_io : &pcie->next_memory;
		uint64_t bytes, base;

		if (f->bar[i].kind == PCI_BAR_NONE)
			continue;
		bytes = f->bar[i].region->bytes;
		base = pci_place_bar(*next, bytes);
		if (base + bytes > (io ? (uint64_t)GUEST_IO_END : GUEST_BAR_END))
			return fail(LH_NOMEM, "pcie: no more %s addresses for BARs",
				    io ? "port" : "memory");
		*next = base + bytes;
		pci_put(f, bar_at(i), 4, (uint32_t)base | (io ? BAR_IO_FLAG : 0));
	}
	return 0;
}

int pcie_attach(struct pcie *pcie, struct pci_function *f)
{
	unsigned number = 0;
	int err;

	while (number < PCI_DEVICES && pcie->device[number])
		number++;
	if (number == PCI_DEVICES)
		return fail(LH_NOMEM, "pcie: more than %u devices", PCI_DEVICES);
	err = assign_bars(pcie, f);
	if (err)
		return err;
	/* As firmware leaves it: decoding, but no bus master. */
	pci_put(f, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	f->number = number;
	pcie->device[number] = f;
	bars_update(pcie, f);
	return 0;
}

int pcie_init(struct pcie *pcie, struct bus *io, struct bus *memory, struct log_limit *limit)
{
	pcie->io = io;
	pcie->memory = memory;
	pcie->log_limit = limit;
	pcie->next_io = GUEST_IO_WINDOW;
	pcie->next_memory = GUEST_BAR_WINDOW;
	pcie->ecam = (struct bus_region){ .bytes = GUEST_ECAM_BYTES,
					  .widest = 4,
					  .access = ecam_access };
	if (!bus_map(memory, &pcie->ecam, GUEST_ECAM_BASE))
		return fail(LH_INVAL, "pcie: the ECAM range overlaps a device");
	pci_function_init(&pcie->host_bridge, &host_bridge_id, NULL);
	return pcie_attach(pcie, &pcie->host_bridge);
}
