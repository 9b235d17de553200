/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Begin and end are apart, and the end is asked for again and again, so that a VM is taken down, its successor made,
 * and others run, while the device takes its time. Every wait has a bound; in place there are only those of
 * a millisecond: for the PHY's registers, and for the reset line of a bus. A device that is gone reads as all ones:
 * it has nothing under way.
 */
#include "hv/dev/pci_reset.h"

#include <stddef.h>

#include "hv/core/fail.h"
#include "hv/core/timer.h"
#include "hv/cpu/x86.h"
#include "hv/dev/pci_virtio.h"

/* Of struct host_function ->reset_step. */
enum step {
	STEP_NONE,    /* no reset is under way */
	STEP_ENDS,    /* what was under way before ends, then reset_proper() */
	STEP_SETTLES, /* then it is looked for */
	STEP_WAKES,   /* from D3 */
};

#define ROM_BAR		 0x30u
#define ROM_ENABLE	 1u
#define EXPRESS_FLAGS	 2u
#define EXPRESS_VERSION	 0xfu
#define EXPRESS_DEVCTL	 8u
#define EXPRESS_DEVSTA	 10u
#define EXPRESS_LNKCTL	 16u
#define EXPRESS_DEVCTL2	 40u
#define DEVCTL_FLR	 0x8000u
#define DEVCAP_FLR	 (1u << 28)
#define DEVSTA_PENDING	 0x20u
#define AF_CONTROL	 4u
#define AF_STATUS	 5u
#define AF_INITIATE_FLR	 1u
#define AF_PENDING	 1u
#define BRIDGE_CONTROL	 0x3eu
#define BRIDGE_BUS_RESET 0x40u
#define MSI_CONTROL	 2u /* of MSI-X, too: all zero is off */
#define PM_CONTROL	 4u
#define PM_STATE	 3u
#define D0_WAIT_US	 10000	/* PCI PM 1.2, 5.4: from D3hot */
#define PENDING_US	 100000 /* for what it has under way */
#define BUS_RESET_US	 1000	/* at least 1 ms */
#define SETTLE_US	 100000 /* after either reset: no access at all */
#define OWN_US		 10000
#define BACK_US		 1000000 /* from then on: the function may ask for patience */
#define LOOK_US		 10000	 /* between two looks */
#define E1000_CTRL	 0x0000u
#define E1000_IMC	 0x00d8u
#define E1000_RCTL	 0x0100u
#define E1000_TCTL	 0x0400u
#define E1000_BYTES	 0x20000u
#define E1000_CTRL_RST	 (1u << 26)
#define E1000_MDIC	 0x0020u
#define MDIC_CONTROL	 (0u << 16) /* register 0 */
#define MDIC_PHY_1	 (1u << 21)
#define MDIC_WRITE	 (1u << 26)
#define MDIC_READ	 (2u << 26)
#define MDIC_READY	 (1u << 28)
#define MDIC_US		 1000	 /* it takes 64 us */
#define PHY_PLAIN	 0x1140u /* IEEE 802.3, 22.2.4.1: auto-negotiation, 1000 Mbit/s, full duplex */
#define PHY_RESET	 0x8000u
#define NOT_READY	 0x0001u /* its vendor, as long as it does */

static uint32_t get(const struct host_function *f, unsigned at, unsigned bytes)
{
	return host_pci_read(f->address, at, bytes);
}

static void put(const struct host_function *f, unsigned at, unsigned bytes, uint32_t value)
{
	host_pci_write(f->address, at, bytes, value);
}

const char *reset_name(enum reset_kind kind)
{
	static const char *const names[] = {
		[RESET_SILENT] = "reset by its driver",
		[RESET_FUNCTION] = "function-level reset",
		[RESET_ADVANCED] = "function-level reset (AF)",
		[RESET_BUS] = "bus reset",
		[RESET_OWN] = "reset by its own register",
	};

	return names[kind];
}

static bool alone_on_bus(const struct host_function *f)
{
	unsigned there = 0;

	for (unsigned i = 0; i < host_function_count; i++)
		there += host_functions[i].address.bus == f->address.bus;
	return there == 1;
}

/* 8254x and 82574: Intel's manuals, "CTRL", "RCTL", "TCTL", "IMC". All are in BAR 0. Emulated ones do
 * less at CTRL.RST than they should: so receiver, transmitter and interrupts go off one by one. */
static const uint16_t e1000_devices[] = { 0x1008, 0x100e, 0x100f, 0x10d3 };

static bool is_e1000(const struct host_function *f)
{
	if (f->vendor != 0x8086 || !f->bar[0].mmio || f->bar[0].bytes < E1000_BYTES)
		return false;
	for (unsigned i = 0; i < sizeof(e1000_devices) / sizeof(e1000_devices[0]); i++)
		if (f->device == e1000_devices[i])
			return true;
	return false;
}

static volatile uint32_t *e1000_reg(const struct host_function *f, unsigned at)
{
	return (volatile uint32_t *)(f->bar[0].mmio + at);
}

/* "MDI Control": a register of the PHY; ~0: it does not answer. */
static uint32_t mdic(const struct host_function *f, uint32_t order)
{
	volatile uint32_t *reg = e1000_reg(f, E1000_MDIC);
	uint32_t answer;

	*reg = order | MDIC_PHY_1;
	for (unsigned us = 0; us < MDIC_US; us++) {
		answer = *reg;
		if (answer & MDIC_READY)
			return answer & 0xffff;
		delay_us(1);
	}
	return ~0u;
}

/* As it comes from its own reset. Otherwise somebody has left it in loopback, without power, … */
static bool phy_is_plain(const struct host_function *f)
{
	return mdic(f, MDIC_READ | MDIC_CONTROL) == PHY_PLAIN;
}

/* CTRL.RST leaves the PHY alone, and with it the link. */
static void reset_e1000(const struct host_function *f)
{
	*e1000_reg(f, E1000_IMC) = ~0u;
	*e1000_reg(f, E1000_RCTL) = 0;
	*e1000_reg(f, E1000_TCTL) = 0;
	if (!phy_is_plain(f))
		(void)mdic(f, MDIC_WRITE | MDIC_CONTROL | PHY_RESET | PHY_PLAIN);
	*e1000_reg(f, E1000_CTRL) |= E1000_CTRL_RST;
}

static bool has_own_reset(const struct host_function *f)
{
	return is_e1000(f) || virtio_status(f);
}

/* Its driver cannot have left anything behind that this does not mend, as far as we can see. */
static bool own_reset_will_do(const struct host_function *f)
{
	return is_e1000(f) ? phy_is_plain(f) : virtio_status(f) != NULL;
}

/* Virtio's has ended when zero is read (virtio 1.2, 4.1.4.3.2): pending(). */
static void reset_own(const struct host_function *f)
{
	volatile uint8_t *status = virtio_status(f);

	if (is_e1000(f))
		reset_e1000(f);
	else if (status) /* else it is gone, and its capabilities with it */
		*status = 0;
}

static enum reset_kind best_reset(const struct host_function *f)
{
	if (f->pcie && get(f, f->pcie + 4u, 4) & DEVCAP_FLR)
		return RESET_FUNCTION;
	if (f->resets && f->af)
		return RESET_ADVANCED;
	if (f->above && alone_on_bus(f))
		return RESET_BUS;
	return has_own_reset(f) ? RESET_OWN : RESET_SILENT;
}

/* Capability version 1 ends before it. */
static bool has_devctl2(const struct host_function *f)
{
	return (get(f, f->pcie + EXPRESS_FLAGS, 2) & EXPRESS_VERSION) >= 2;
}

void reset_save(struct host_function *f)
{
	f->reset = (uint8_t)best_reset(f);
	for (unsigned i = 0; i < HEADER_WORDS; i++)
		f->saved[i] = get(f, 4 * i, 4);
	f->saved[ROM_BAR / 4] &= ~ROM_ENABLE; /* its address only */
	if (!f->pcie)
		return;
	f->saved_devctl = (uint16_t)get(f, f->pcie + EXPRESS_DEVCTL, 2);
	f->saved_lnkctl = (uint16_t)get(f, f->pcie + EXPRESS_LNKCTL, 2);
	if (has_devctl2(f))
		f->saved_devctl2 = (uint16_t)get(f, f->pcie + EXPRESS_DEVCTL2, 2);
}

static enum reset_kind kind_of(const struct host_function *f)
{
	return f->lightly ? RESET_OWN : f->reset;
}

/* What it has asked to read, or virtio's own reset, is under way. */
static bool pending(const struct host_function *f)
{
	uint32_t express = f->pcie ? get(f, f->pcie + EXPRESS_DEVSTA, 2) : 0;
	uint32_t af = f->af ? get(f, f->af + AF_STATUS, 1) : 0;
	const volatile uint8_t *status = kind_of(f) == RESET_OWN ? virtio_status(f) : NULL;
	uint8_t virtio = status ? *status : 0;

	return (express != 0xffff && express & DEVSTA_PENDING) || (af != 0xff && af & AF_PENDING) ||
	       (virtio != 0xff && virtio);
}

static void reset_bus(const struct host_function *bridge)
{
	uint32_t control = host_pci_read(bridge->address, BRIDGE_CONTROL, 2);

	host_pci_write(bridge->address, BRIDGE_CONTROL, 2, control | BRIDGE_BUS_RESET);
	delay_us(BUS_RESET_US);
	host_pci_write(bridge->address, BRIDGE_CONTROL, 2, control & ~BRIDGE_BUS_RESET);
}

static void set_step(struct host_function *f, enum step step, uint64_t wait_us, uint64_t bound_us)
{
	f->reset_step = step;
	f->ready_tsc = rdtsc() + tsc_from_us(wait_us);
	f->late_tsc = f->ready_tsc + tsc_from_us(bound_us);
}

static int look_again(struct host_function *f)
{
	f->ready_tsc = rdtsc() + tsc_from_us(LOOK_US);
	return LH_AGAIN;
}

/* It has nothing under way any more, or does not end. Its own reset has begun already. */
static void reset_proper(struct host_function *f)
{
	const enum reset_kind kind = kind_of(f);
	uint64_t settle_us = SETTLE_US;

	put(f, PCI_COMMAND, 2, PCI_COMMAND_INTX_OFF);
	if (kind == RESET_FUNCTION)
		put(f, f->pcie + EXPRESS_DEVCTL, 2, f->saved_devctl | DEVCTL_FLR);
	else if (kind == RESET_ADVANCED)
		put(f, f->af + AF_CONTROL, 1, AF_INITIATE_FLR);
	else if (kind == RESET_BUS)
		reset_bus(f->above);
	else
		settle_us = kind == RESET_OWN && is_e1000(f) ? OWN_US : 0;
	set_step(f, STEP_SETTLES, settle_us, BACK_US);
}

/*
 * The owner's next life has the same function, and is waited for: a NIC's own reset takes ten
 * milliseconds at most instead of a hundred, and its PHY keeps the link.
 */
void reset_begin(struct host_function *f, bool lightly)
{
	put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_OFF);
	f->lightly = lightly && own_reset_will_do(f);
	if (kind_of(f) == RESET_OWN)
		reset_own(f);
	set_step(f, STEP_ENDS, 0, PENDING_US);
	if (!pending(f))
		reset_proper(f);
}

/* LH_AGAIN: not yet; LH_TIMEOUT: not, or another than it was. */
static int is_back(const struct host_function *f)
{
	uint32_t vendor = get(f, PCI_VENDOR, 2);

	if (vendor == f->vendor && get(f, PCI_DEVICE, 2) == f->device)
		return 0;
	return (vendor == 0xffff || vendor == NOT_READY) && rdtsc() < f->late_tsc ? LH_AGAIN
										  : LH_TIMEOUT;
}

/* True: it was in another state than D0. */
static bool power_up(const struct host_function *f)
{
	uint32_t control = f->pm ? get(f, f->pm + PM_CONTROL, 2) : 0;

	if (!(control & PM_STATE))
		return false;
	put(f, f->pm + PM_CONTROL, 2, control & ~PM_STATE);
	return true;
}

/* BARs before the command register, which makes them answer; no message that the last owner left. */
static void restore(const struct host_function *f)
{
	for (unsigned i = HEADER_WORDS; i-- > 0;)
		if (4 * i != PCI_COMMAND)
			put(f, 4 * i, 4, f->saved[i]);
	if (f->msi)
		put(f, f->msi + MSI_CONTROL, 2, 0);
	if (f->msix)
		put(f, f->msix + MSI_CONTROL, 2, 0);
	if (f->pcie) {
		put(f, f->pcie + EXPRESS_DEVCTL, 2, f->saved_devctl & ~DEVCTL_FLR);
		put(f, f->pcie + EXPRESS_LNKCTL, 2, f->saved_lnkctl);
		if (has_devctl2(f))
			put(f, f->pcie + EXPRESS_DEVCTL2, 2, f->saved_devctl2);
	}
	host_acs_on(f);
	put(f, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_OFF);
}

static int ended(struct host_function *f)
{
	if (pending(f) && rdtsc() < f->late_tsc)
		return look_again(f);
	reset_proper(f);
	return LH_AGAIN;
}

static int settled(struct host_function *f)
{
	int err = is_back(f);

	if (err == LH_AGAIN)
		return look_again(f);
	if (err)
		return fail(LH_TIMEOUT,
			    "pci: " PCI_ADDRESS_FORMAT " does not come back from its %s: "
			    "a power cycle may help",
			    PCI_ADDRESS_ARGS(f->address), reset_name(kind_of(f)));
	if (!power_up(f))
		return 0;
	set_step(f, STEP_WAKES, D0_WAIT_US, 0);
	return LH_AGAIN;
}

int reset_end(struct host_function *f)
{
	int err = 0;

	if (f->reset_step == STEP_NONE)
		return 0;
	if (rdtsc() < f->ready_tsc)
		return LH_AGAIN;
	if (f->reset_step == STEP_ENDS)
		err = ended(f);
	else if (f->reset_step == STEP_SETTLES)
		err = settled(f);
	if (err)
		return err;
	restore(f);
	f->reset_step = STEP_NONE;
	return 0;
}
