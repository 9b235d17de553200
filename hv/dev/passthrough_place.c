/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a BAR lies where a device's may. Its address is the firmware's word, or the device's: a guest
 * gets what is there, so that it must be nobody else's.
 */
#include <stddef.h>

#include "hv/core/acpi.h"
#include "hv/core/log.h"
#include "hv/core/paging.h"
#include "hv/dev/iommu.h"
#include "hv/dev/passthrough_impl.h"

#define FIRST_MIB      0x100000u
#define CHIPSET_FIRST  0xfec00000u /* of every PC: interrupt controllers, timers, TPM, flash */
#define CHIPSET_LAST   0xffffffffu
#define IOAPIC_BYTES   0x1000u
#define LAPIC_BYTES    0x1000u
#define ECAM_SHIFT     20 /* bytes a bus */
#define PORTS	       0x10000u
#define LEGACY_PORTS   0x1000u /* the board's own, and what it decodes of the ISA bus */
#define PM_TIMER_PORTS 4u

static bool meets(const struct host_bar *bar, uint64_t first, uint64_t bytes)
{
	return bar->base <= first + (bytes - 1) && first <= bar->base + (bar->bytes - 1);
}

static const char *board_clash(const struct host_bar *bar)
{
	const uint64_t buses = (uint64_t)acpi.ecam_end_bus - acpi.ecam_start_bus + 1;

	if (bar->base < FIRST_MIB)
		return "lies in the first MiB of memory";
	if (meets(bar, CHIPSET_FIRST, CHIPSET_LAST - CHIPSET_FIRST + 1ull))
		return "lies where the chipset and interrupt controllers are";
	if (meets(bar, acpi.lapic_base, LAPIC_BYTES))
		return "lies on the local APICs";
	for (unsigned i = 0; i < acpi.ioapic_count; i++)
		if (meets(bar, acpi.ioapics[i].base, IOAPIC_BYTES))
			return "lies on an I/O APIC";
	if (acpi.ecam_base && acpi.ecam_end_bus >= acpi.ecam_start_bus &&
	    meets(bar, acpi.ecam_base + ((uint64_t)acpi.ecam_start_bus << ECAM_SHIFT),
		  buses << ECAM_SHIFT))
		return "lies on the configuration space of PCI";
	if (iommu && iommu->owns(bar->base, bar->bytes))
		return "lies on an IOMMU";
	if (!is_foreign(bar->base, bar->bytes))
		return "lies on the machine's memory, or beyond all addresses";
	return NULL;
}

static const char *ports_clash(const struct host_bar *bar)
{
	if (bar->base + bar->bytes > PORTS)
		return "lies beyond the last port";
	if (bar->base < LEGACY_PORTS)
		return "lies on ports of the board";
	if (acpi.pm_timer_port && meets(bar, acpi.pm_timer_port, PM_TIMER_PORTS))
		return "lies on the power management's ports";
	return NULL;
}

/* One that decodes, or will when its owner runs. */
static bool answers(const struct host_function *f, enum pci_bar_kind kind)
{
	unsigned decodes = kind == PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;

	return f->node || host_pci_read(f->address, PCI_COMMAND, 2) & decodes;
}

/* Whose BAR it meets; NULL: nobody's. */
static const struct host_function *neighbour(const struct host_function *f, unsigned own)
{
	for (unsigned i = 0; i < host_function_count; i++)
		for (unsigned n = 0; n < PCI_BARS; n++) {
			const struct host_function *other = &host_functions[i];
			const struct host_bar *bar = &other->bar[n];

			if (bar->kind == f->bar[own].kind && bar->base &&
			    (other != f || n != own) &&
			    meets(&f->bar[own], bar->base, bar->bytes) && answers(other, bar->kind))
				return other;
		}
	return NULL;
}

bool pass_bar_clash(const struct host_function *f, unsigned i, char *out, size_t room)
{
	const struct host_bar *bar = &f->bar[i];
	const struct host_function *other;
	const char *what;

	if (bar->base & (bar->bytes - 1))
		what = "is not aligned to its size";
	else
		what = bar->kind == PCI_BAR_IO ? ports_clash(bar) : board_clash(bar);
	other = what ? NULL : neighbour(f, i);
	if (other)
		snprintf(out, room, "lies on one of " PCI_ADDRESS_FORMAT,
			 PCI_ADDRESS_ARGS(other->address));
	else
		snprintf(out, room, "%s", what ? what : "");
	return what || other;
}
