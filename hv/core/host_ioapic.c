/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A level-triggered pin is masked by its handler before the EOI, and opened when the guest has dealt
 * with the device: nothing then depends on Remote IRR, which Bochs does not have, and a device that
 * keeps its line high interrupts once for each EOI of its guest.
 */
#include "hv/core/host_ioapic.h"

#include <stddef.h>

#include "hv/core/acpi.h"
#include "hv/core/lock.h"
#include "hv/core/log.h"
#include "hv/core/paging.h"
#include "hv/cpu/x86.h"

#define REGISTER_BYTES	32u
#define AT_SELECT	0x00u
#define AT_WINDOW	0x10u
#define REG_VERSION	0x01u
#define REG_REDIRECTION 0x10u
#define RTE_ACTIVE_LOW	BIT(13)
#define RTE_LEVEL	BIT(15)
#define RTE_MASKED	BIT(16)
#define RTE_DEST_SHIFT	56
#define MAX_PINS	120u /* whose registers have numbers of 8 bits */

/* [i] under ioapic_lock (c) after host_ioapic_init() */
struct host_ioapic {
	volatile uint8_t *mmio; /* (c) NULL: not there */
	uint8_t id;		/* (c) */
	unsigned first, pins;	/* (c) the GSIs */
	bool taken[MAX_PINS];	/* [i] */
};

static struct spinlock ioapic_lock; /* an access is two */
static struct host_ioapic ioapics[MAX_IOAPICS];

static uint32_t reg_read(const struct host_ioapic *a, unsigned reg)
{
	*(volatile uint32_t *)(a->mmio + AT_SELECT) = reg;
	return *(volatile uint32_t *)(a->mmio + AT_WINDOW);
}

static void reg_write(const struct host_ioapic *a, unsigned reg, uint32_t value)
{
	*(volatile uint32_t *)(a->mmio + AT_SELECT) = reg;
	*(volatile uint32_t *)(a->mmio + AT_WINDOW) = value;
}

void host_ioapic_init(void)
{
	for (unsigned i = 0; i < acpi.ioapic_count; i++) {
		struct host_ioapic *a = &ioapics[i];

		a->mmio = map_device(acpi.ioapics[i].base, REGISTER_BYTES);
		if (!a->mmio)
			continue;
		a->id = acpi.ioapics[i].id;
		a->first = acpi.ioapics[i].gsi_base;
		a->pins = (reg_read(a, REG_VERSION) >> 16 & 0xff) + 1;
		if (a->pins > MAX_PINS)
			a->pins = MAX_PINS;
		for (unsigned pin = 0; pin < a->pins; pin++)
			reg_write(a, REG_REDIRECTION + 2 * pin, (uint32_t)RTE_MASKED);
	}
}

unsigned host_ioapic_gsi(uint8_t line)
{
	for (unsigned i = 0; i < acpi.override_count; i++)
		if (acpi.overrides[i].irq == line)
			return acpi.overrides[i].gsi;
	return line;
}

static struct host_ioapic *ioapic_of(unsigned gsi)
{
	for (unsigned i = 0; i < acpi.ioapic_count; i++)
		if (ioapics[i].mmio && gsi >= ioapics[i].first &&
		    gsi - ioapics[i].first < ioapics[i].pins)
			return &ioapics[i];
	return NULL;
}

bool host_ioapic_free(unsigned gsi)
{
	const struct host_ioapic *a = ioapic_of(gsi);
	bool is_free;

	spin_lock(&ioapic_lock);
	is_free = a && !a->taken[gsi - a->first];
	spin_unlock(&ioapic_lock);
	return is_free;
}

int host_ioapic_take(unsigned gsi, const char *owner, uint8_t *id)
{
	struct host_ioapic *a = ioapic_of(gsi);
	bool taken;

	if (!a)
		return fail(LH_NOENT,
			    "vm %s: no I/O APIC has input %u: interrupt-gsi names another", owner,
			    gsi);
	spin_lock(&ioapic_lock);
	taken = a->taken[gsi - a->first];
	a->taken[gsi - a->first] = true;
	spin_unlock(&ioapic_lock);
	*id = a->id;
	if (taken)
		return fail(LH_BUSY,
			    "vm %s: I/O APIC input %u is that of another passed-through device, "
			    "too: pass one of them through only, or one that has MSI",
			    owner, gsi);
	return 0;
}

void host_ioapic_give_back(unsigned gsi)
{
	struct host_ioapic *a = ioapic_of(gsi);

	host_ioapic_mask(gsi, true);
	spin_lock(&ioapic_lock);
	a->taken[gsi - a->first] = false;
	spin_unlock(&ioapic_lock);
}

/* PCI's interrupts are levels, active low, ISA's are edges, active high; an override speaks of its pin
 * whatever comes in by it. */
static uint64_t polarity(unsigned gsi, bool level)
{
	uint16_t told = 0;

	for (unsigned i = 0; i < acpi.override_count; i++)
		if (acpi.overrides[i].gsi == gsi)
			told = acpi.overrides[i].flags & ACPI_POLARITY;
	if (told == ACPI_POLARITY_HIGH)
		return 0;
	return level || told == ACPI_POLARITY_LOW ? RTE_ACTIVE_LOW : 0;
}

uint64_t host_ioapic_plain(uint8_t vector, uint32_t apic_id, bool level)
{
	return (uint64_t)apic_id << RTE_DEST_SHIFT | (level ? RTE_LEVEL : 0) | vector;
}

/* Upper half first: the lower one has the mask. */
void host_ioapic_write(unsigned gsi, uint64_t redirection)
{
	const struct host_ioapic *a = ioapic_of(gsi);
	unsigned reg = REG_REDIRECTION + 2 * (gsi - a->first);

	redirection |= RTE_MASKED | polarity(gsi, (redirection & RTE_LEVEL) != 0);
	spin_lock(&ioapic_lock);
	reg_write(a, reg, (uint32_t)RTE_MASKED);
	reg_write(a, reg + 1, (uint32_t)(redirection >> 32));
	reg_write(a, reg, (uint32_t)redirection);
	spin_unlock(&ioapic_lock);
}

void host_ioapic_mask(unsigned gsi, bool masked)
{
	const struct host_ioapic *a = ioapic_of(gsi);
	unsigned reg = REG_REDIRECTION + 2 * (gsi - a->first);
	uint32_t low;

	spin_lock(&ioapic_lock);
	low = reg_read(a, reg);
	reg_write(a, reg, masked ? low | (uint32_t)RTE_MASKED : low & ~(uint32_t)RTE_MASKED);
	spin_unlock(&ioapic_lock);
}
