/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Intel 82540EM: what QEMU and Bochs call e1000. It interrupts by a line (INTx) only. Rings and all
 * that it shares with its successors are in drivers/intel. Sections are those of the 8254x manual.
 */
#include "drivers/intel/intel.h"
#include "drivers/nic_impl.h"
#include "guest/lib/ioapic.h"
#include "lasthop/nics.h"

enum { DEVICES = 4 };

/* 13.4.4 EEPROM Read */
#define EERD_START	(1u << 0)
#define EERD_DONE	(1u << 4)
#define EERD_WORD_SHIFT 8
#define EERD_DATA_SHIFT 16
enum { EERD_US = 10000 };

enum { INTERRUPT_GAP = 195 }; /* ITR, 256 ns each: 20,000 a second at most */
enum { LINE_NONE = 0xff };    /* PCI 3.0, 6.2.4: not connected */

static struct intel devices[DEVICES];
static unsigned count;

/* 5.6.1 "Ethernet Address": words 0 to 2. Loaded into RAL and RAH by the device, but not by every
 * emulation. */
static const char *read_address(struct intel *dev)
{
	for (uint32_t word = 0; word < 3; word++) {
		uint32_t value;

		intel_write(dev, REG_EERD, word << EERD_WORD_SHIFT | EERD_START);
		if (!intel_wait(dev, REG_EERD, EERD_DONE, EERD_DONE, EERD_US))
			return "its EEPROM does not answer";
		value = intel_read(dev, REG_EERD) >> EERD_DATA_SHIFT;
		dev->nic.mac[2 * word] = (uint8_t)value;
		dev->nic.mac[2 * word + 1] = (uint8_t)(value >> 8);
	}
	return NULL;
}

static void route_interrupt(struct nic *nic)
{
	uint8_t line = pci_read8(nic->devfn, PCI_INTERRUPT_LINE);

	nic->interrupt = NULL;
	if (pci_read8(nic->devfn, PCI_INTERRUPT_PIN) && line && line != LINE_NONE &&
	    ioapic_route(line, nic->vector))
		nic->interrupt = "INTx";
}

static const char *e1000_reset(struct nic *nic)
{
	const char *error = intel_open_pci(intel_of(nic));

	return error ? error : intel_reset(intel_of(nic));
}

static const char *e1000_start(struct nic *nic)
{
	struct intel *dev = intel_of(nic);
	const char *error = read_address(dev);

	if (error)
		return error;
	intel_write(dev, REG_ITR, INTERRUPT_GAP);
	intel_start(dev);
	route_interrupt(nic);
	return NULL;
}

static const struct nic_ops ops = {
	.name = "e1000",
	.reset = e1000_reset,
	.start = e1000_start,
	.link = intel_link,
	.receive = intel_receive,
	.release = intel_release,
	.refill = intel_refill,
	.send = intel_send,
	.flush = intel_flush,
	.sent = intel_sent,
	.arm = intel_arm,
	.disarm = intel_disarm,
	.count = intel_count,
};

struct nic *e1000_probe(unsigned devfn, const char **error)
{
	struct intel *dev = &devices[count];

	if (pci_read16(devfn, PCI_VENDOR) != NIC_VENDOR_e1000 ||
	    pci_read16(devfn, PCI_DEVICE) != NIC_DEVICE_e1000)
		return NULL;
	if (count == DEVICES) {
		*error = "there are more of its kind than the driver takes (4)";
		return NULL;
	}
	count++;
	dev->nic = (struct nic){
		.ops = &ops,
		.devfn = devfn,
		.can_send = NIC_CSUM | NIC_TSO4, /* TSO6: emulations get the IPv6 length wrong */
		.mtu_max = NIC_MTU_MAX,
	};
	dev->causes_receive = CAUSE_RXT0 | CAUSE_RXDMT0 | CAUSE_RXO;
	dev->causes_send = CAUSE_TXDW;
	return &dev->nic;
}
