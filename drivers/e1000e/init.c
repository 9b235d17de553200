/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Intel 82574L: what QEMU calls e1000e. One queue pair, one MSI-X vector for all causes. Rings and all
 * that it shares with its predecessors are in drivers/intel. Sections are those of its data sheet.
 */
#include "drivers/e1000e/regs.h"
#include "drivers/intel/intel.h"
#include "drivers/nic_impl.h"
#include "lasthop/nics.h"

enum { DEVICES = 4 };
enum { MASTER_US = 100000, ADDRESS_US = 50000 };
enum { INTERRUPT_GAP = 195 }; /* EITR, 256 ns each: 20,000 a second at most */

static struct intel devices[DEVICES];
static unsigned count;

/* 4.6.1 "Interrupts during initialization", 5.2.5.3: no request of the device may be under way while
 * it is reset. One that never ends is reset all the same. */
static const char *e1000e_reset(struct nic *nic)
{
	struct intel *dev = intel_of(nic);
	const char *error = intel_open_pci(dev);

	if (error)
		return error;
	intel_write(dev, REG_IMC, ~0u);
	intel_write(dev, REG_CTRL, intel_read(dev, REG_CTRL) | CTRL_MASTER_DISABLE);
	(void)intel_wait(dev, REG_STATUS, STATUS_MASTER_ENABLE, 0, MASTER_US);
	return intel_reset(dev);
}

/* The device loads entry 0 of its receive addresses from the NVM after a reset. */
static const char *read_address(struct intel *dev)
{
	uint32_t low, high;

	if (!intel_wait(dev, REG_RAH, RAH_AV, RAH_AV, ADDRESS_US))
		return "it does not load its address from the NVM";
	low = intel_read(dev, REG_RAL);
	high = intel_read(dev, REG_RAH);
	for (unsigned i = 0; i < 4; i++)
		dev->nic.mac[i] = (uint8_t)(low >> 8 * i);
	dev->nic.mac[4] = (uint8_t)high;
	dev->nic.mac[5] = (uint8_t)(high >> 8);
	return NULL;
}

/* 7.4 "Interrupts": every cause to vector 0 */
static const char *set_interrupt(struct intel *dev)
{
	if (!pci_msix(dev->nic.devfn, &dev->nic.vector, 1))
		return "it has no MSI-X";
	intel_write(dev, REG_IVAR,
		    IVAR_RXQ0_VALID | IVAR_TXQ0_VALID | IVAR_OTHER_VALID | IVAR_EVERY_WB);
	intel_write(dev, REG_EITR0, INTERRUPT_GAP);
	dev->nic.interrupt = "MSI-X";
	return NULL;
}

static const char *e1000e_start(struct nic *nic)
{
	struct intel *dev = intel_of(nic);
	const char *error = read_address(dev);

	if (!error)
		error = set_interrupt(dev);
	if (error)
		return error;
	intel_write(dev, REG_CTRL_EXT, intel_read(dev, REG_CTRL_EXT) | CTRL_EXT_DRV_LOAD);
	intel_write(dev, REG_TXDCTL, intel_read(dev, REG_TXDCTL) | TXDCTL_GRAN | TXDCTL_MUST);
	intel_start(dev);
	return NULL;
}

static const struct nic_ops ops = {
	.name = "e1000e",
	.reset = e1000e_reset,
	.start = e1000e_start,
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

struct nic *e1000e_probe(unsigned devfn, const char **error)
{
	struct intel *dev = &devices[count];

	if (pci_read16(devfn, PCI_VENDOR) != NIC_VENDOR_e1000e ||
	    pci_read16(devfn, PCI_DEVICE) != NIC_DEVICE_e1000e)
		return NULL;
	if (count == DEVICES) {
		*error = "there are more of its kind than the driver takes (4)";
		return NULL;
	}
	count++;
	dev->nic = (struct nic){
		.ops = &ops,
		.devfn = devfn,
		.can_send = NIC_CSUM | NIC_TSO4 | NIC_TSO6,
		.mtu_max = NIC_MTU_MAX,
	};
	dev->causes_receive = CAUSE_RXQ0 | CAUSE_RXT0 | CAUSE_RXDMT0 | CAUSE_RXO | CAUSE_OTHER;
	dev->causes_send = CAUSE_TXQ0 | CAUSE_TXDW;
	return &dev->nic;
}
