/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The I/O APIC's registers and its pins. A level-triggered pin sends once, sets Remote IRR, and
 * sends again after the EOI if its line is still high.
 */
#include "hv/dev/ioapic.h"

#include <stddef.h>

#include "hv/core/fail.h"
#include "hv/core/guest_map.h"
#include "hv/core/list.h"
#include "hv/cpu/x86.h"
#include "hv/dev/vlapic.h"

#define REGION_BYTES	4096u
#define AT_SELECT	0x00u
#define AT_WINDOW	0x10u
#define AT_EOI		0x40u
#define REG_ID		0x00u
#define REG_VERSION	0x01u
#define REG_ARBITRATION 0x02u
#define REG_REDIRECTION 0x10u
#define VERSION_VALUE	(0x20u | (IOAPIC_PINS - 1) << 16)

/* 82093AA, 3.2.4: the redirection table entry */
#define RTE_LOGICAL    BIT(11)
#define RTE_STATUS     BIT(12)
#define RTE_REMOTE_IRR BIT(14)
#define RTE_LEVEL      BIT(15)
#define RTE_MASKED     BIT(16)
#define RTE_WRITABLE   (0xff0000000001ffffull & ~(RTE_STATUS | RTE_REMOTE_IRR))

/* What a pin sends now, if anything. Under the lock. */
static bool pin_fire(struct ioapic *ioapic, unsigned pin, struct apic_message *out)
{
	uint64_t *entry = &ioapic->redirection[pin];
	uint32_t dest = (uint32_t)(*entry >> 56);

	if (*entry & RTE_MASKED || (*entry & RTE_LEVEL && *entry & RTE_REMOTE_IRR))
		return false;
	if (*entry & RTE_LEVEL)
		*entry |= RTE_REMOTE_IRR;
	*out = (struct apic_message){
		.dest = dest == 0xff ? ~0u : dest,
		.logical = *entry & RTE_LOGICAL,
		.level = *entry & RTE_LEVEL,
		.mode = *entry >> 8 & 7,
		.vector = (uint8_t)*entry,
	};
	return true;
}

/* A level-triggered pin whose line is high, after something about it changed. */
static bool pin_level(struct ioapic *ioapic, unsigned pin, struct apic_message *out)
{
	return ioapic->redirection[pin] & RTE_LEVEL && ioapic->line >> pin & 1 &&
	       pin_fire(ioapic, pin, out);
}

void ioapic_set_line(struct ioapic *ioapic, unsigned pin, bool high)
{
	struct apic_message m;
	bool rises, send = false;

	if (pin >= IOAPIC_PINS)
		return;
	spin_lock(&ioapic->lock);
	rises = high && !(ioapic->line >> pin & 1);
	ioapic->line = (ioapic->line & ~(1u << pin)) | (uint32_t)high << pin;
	if (rises)
		send = pin_fire(ioapic, pin, &m);
	spin_unlock(&ioapic->lock);
	if (send)
		apic_deliver(ioapic->vm, &m);
}

void ioapic_eoi(struct ioapic *ioapic, uint8_t vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		struct ioapic_source *source = NULL;
		struct apic_message m;
		bool send = false;

		spin_lock(&ioapic->lock);
		if (ioapic->redirection[pin] & RTE_REMOTE_IRR &&
		    (uint8_t)ioapic->redirection[pin] == vector) {
			ioapic->redirection[pin] &= ~RTE_REMOTE_IRR;
			source = ioapic->source[pin];
			if (source)
				ioapic->line &= ~(1u << pin); /* it says so if it is still high */
			send = pin_level(ioapic, pin, &m);
		}
		spin_unlock(&ioapic->lock);
		if (send)
			apic_deliver(ioapic->vm, &m);
		if (source)
			source->ended(source);
	}
}

static uint32_t window_read(const struct ioapic *ioapic)
{
	unsigned reg = ioapic->select;
	unsigned pin = (reg - REG_REDIRECTION) / 2;

	if (reg == REG_ID || reg == REG_ARBITRATION)
		return (uint32_t)ioapic->id << 24;
	if (reg == REG_VERSION)
		return VERSION_VALUE;
	if (reg >= REG_REDIRECTION && pin < IOAPIC_PINS)
		return (uint32_t)(ioapic->redirection[pin] >> (reg & 1 ? 32 : 0));
	return 0;
}

/* True: a message is to be sent. Under the lock. */
static bool window_write(struct ioapic *ioapic, uint32_t value, struct apic_message *out)
{
	unsigned reg = ioapic->select;
	unsigned pin = (reg - REG_REDIRECTION) / 2;
	unsigned shift = reg & 1 ? 32 : 0;
	uint64_t mask = RTE_WRITABLE & 0xffffffffull << shift;
	uint64_t *entry;

	if (reg == REG_ID)
		ioapic->id = value >> 24 & 0xf;
	if (reg < REG_REDIRECTION || pin >= IOAPIC_PINS)
		return false;
	entry = &ioapic->redirection[pin];
	*entry = (*entry & ~mask) | ((uint64_t)value << shift & mask);
	if (!(*entry & RTE_LEVEL))
		*entry &= ~RTE_REMOTE_IRR;
	return pin_level(ioapic, pin, out);
}

static void ioapic_access(struct bus_region *region, struct bus_access *access)
{
	struct ioapic *ioapic = container_of(region, struct ioapic, region);
	struct apic_message m;
	bool send = false;

	if (access->write && access->offset == AT_EOI) {
		ioapic_eoi(ioapic, (uint8_t)access->value);
		return;
	}
	spin_lock(&ioapic->lock);
	if (access->offset == AT_SELECT && access->write)
		ioapic->select = (uint8_t)access->value;
	else if (access->offset == AT_SELECT)
		access->value = ioapic->select;
	else if (access->offset == AT_WINDOW && !access->write)
		access->value = window_read(ioapic);
	else if (access->offset == AT_WINDOW && access->bytes == 4)
		send = window_write(ioapic, (uint32_t)access->value, &m);
	else
		access->value = 0;
	spin_unlock(&ioapic->lock);
	if (send)
		apic_deliver(ioapic->vm, &m);
}

int ioapic_init(struct ioapic *ioapic, struct vm *vm, struct bus *memory)
{
	ioapic->vm = vm;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		ioapic->redirection[pin] = RTE_MASKED;
	ioapic->region =
		(struct bus_region){ .bytes = REGION_BYTES, .widest = 4, .access = ioapic_access };
	if (!bus_map(memory, &ioapic->region, GUEST_IOAPIC_BASE))
		return fail(LH_INVAL, "ioapic: its page overlaps a device");
	return 0;
}
