/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CONFIG_ADDRESS is taken as a whole only; its byte at 0xcf9 is another register, as on a PC.
 */
#include "hv/dev/pci_ports.h"

#include "hv/core/fail.h"
#include "hv/core/list.h"
#include "hv/dev/pcie.h"
#include "hv/dev/power.h"

#define PORT_ADDRESS   0xcf8u
#define OFFSET_RESET   1u /* 0xcf9 */
#define OFFSET_DATA    4u /* 0xcfc … 0xcff */
#define ADDRESS_ENABLE 0x80000000u
#define ADDRESS_MASK   0x80fffffcu

static void address_access(struct pci_ports *ports, struct bus_access *access)
{
	if (access->offset == OFFSET_RESET && access->bytes == 1)
		power_reset_control(access);
	else if (access->offset != 0 || access->bytes != 4)
		access->value = bus_ones(access->bytes);
	else if (access->write)
		atomic_store(&ports->address, (uint32_t)access->value & ADDRESS_MASK);
	else
		access->value = atomic_load(&ports->address);
}

static void data_access(struct pci_ports *ports, struct bus_access *access)
{
	uint32_t address = atomic_load(&ports->address);
	unsigned bus = address >> 16 & 0xff, function = address >> 8 & 0xff;
	unsigned at = (address & 0xfc) + (unsigned)(access->offset - OFFSET_DATA);

	if (address & ADDRESS_ENABLE && bus == 0)
		pcie_config_access(ports->pcie, function, at, access);
	else
		access->value = bus_ones(access->bytes);
}

static void ports_access(struct bus_region *region, struct bus_access *access)
{
	struct pci_ports *ports = container_of(region, struct pci_ports, region);

	if (access->offset < OFFSET_DATA)
		address_access(ports, access);
	else
		data_access(ports, access);
}

int pci_ports_init(struct pci_ports *ports, struct pcie *pcie, struct bus *io)
{
	ports->pcie = pcie;
	ports->region = (struct bus_region){ .bytes = 8, .widest = 4, .access = ports_access };
	if (!bus_map(io, &ports->region, PORT_ADDRESS))
		return fail(LH_INVAL, "pci: its configuration ports overlap a device");
	return 0;
}
