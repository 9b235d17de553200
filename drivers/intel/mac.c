/* SPDX-License-Identifier: BSD-2-Clause */
/* See intel.h: everything but the rings. */
#include "drivers/intel/intel.h"

#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"

enum { RESET_US = 10000, SETTLE_US = 20 }; /* 13.4.1: CTRL.RST takes a microsecond */

bool intel_wait(const struct intel *dev, uint32_t reg, uint32_t mask, uint32_t value, unsigned us)
{
	uint64_t end = rdtsc() + clock_us(us);

	while ((intel_read(dev, reg) & mask) != value) {
		if (rdtsc() > end)
			return false;
		cpu_pause();
	}
	return true;
}

const char *intel_open_pci(struct intel *dev)
{
	pci_write16(dev->nic.devfn, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	if (!pci_region(dev->nic.devfn, 0, 0, &dev->regs) || dev->regs.io)
		return "its registers (BAR 0) have no address";
	return NULL;
}

const char *intel_reset(struct intel *dev)
{
	uint64_t settle;

	intel_write(dev, REG_IMC, ~0u);
	intel_write(dev, REG_RCTL,
		    0); /* some emulations do not know CTRL.RST: stop by hand first */
	intel_write(dev, REG_TCTL, 0);
	intel_write(dev, REG_CTRL, intel_read(dev, REG_CTRL) | CTRL_RST);
	settle = rdtsc() + clock_us(SETTLE_US); /* no access meanwhile */
	while (rdtsc() < settle)
		cpu_pause();
	if (!intel_wait(dev, REG_CTRL, CTRL_RST, 0, RESET_US))
		return "it does not come back from a reset (CTRL.RST)";
	intel_write(dev, REG_IMC, ~0u);
	(void)intel_read(dev, REG_ICR);
	return NULL;
}

/* 14.4 "Receive Initialization": the address, and no multicast hash entry */
static void set_filters(struct intel *dev)
{
	const uint8_t *mac = dev->nic.mac;

	intel_write(dev, REG_RAL,
		    mac[0] | (uint32_t)mac[1] << 8 | (uint32_t)mac[2] << 16 |
			    (uint32_t)mac[3] << 24);
	intel_write(dev, REG_RAH, mac[4] | (uint32_t)mac[5] << 8 | RAH_AV);
	for (uint32_t i = 0; i < MTA_WORDS; i++)
		intel_write(dev, REG_MTA + 4 * i, 0);
}

/* 14.3 to 14.5: link, receiver, transmitter. The PHY is left alone: it has kept its link over the
 * reset, and would need seconds to negotiate again. */
void intel_start(struct intel *dev)
{
	uint32_t rctl = RCTL_EN | RCTL_UPE | RCTL_MPE | RCTL_BAM | RCTL_SECRC;

	dev->nic.counts = true;
	if (dev->nic.mtu > 1500)
		rctl |= RCTL_LPE;
	intel_write(dev, REG_CTRL, intel_read(dev, REG_CTRL) | CTRL_SLU | CTRL_ASDE);
	set_filters(dev);
	intel_write(dev, REG_RDTR, 0); /* an interrupt at once; ITR spaces them */
	intel_write(dev, REG_RXCSUM, RXCSUM_IPOFL | RXCSUM_TUOFL);
	intel_rx_start(dev);
	intel_write(dev, REG_TIPG, TIPG_IEEE);
	intel_tx_start(dev);
	intel_write(dev, REG_TCTL, TCTL_EN | TCTL_PSP | TCTL_CT | TCTL_COLD);
	intel_write(dev, REG_RCTL, rctl);
	intel_refill(&dev->nic);
}

struct nic_link intel_link(struct nic *nic)
{
	static const unsigned mbit_s[4] = { 10, 100, 1000, 1000 };
	uint32_t status = intel_read(intel_of(nic), REG_STATUS);

	nic->link_changed = false;
	return (struct nic_link){
		.up = status & STATUS_LU,
		.full_duplex = status & STATUS_FD,
		.mbit_s = mbit_s[status >> STATUS_SPEED_SHIFT & 3],
	};
}

/* Causes are cleared before the mask is set, and the rings are looked at after it: whatever comes in
 * between is seen here or interrupts. */
bool intel_arm(struct nic *nic)
{
	struct intel *dev = intel_of(nic);
	bool send = nic_wants_sent(nic);
	uint32_t causes = CAUSE_LSC | dev->causes_receive;

	if (intel_read(dev, REG_ICR) & CAUSE_LSC)
		nic->link_changed = true;
	if (send)
		causes |= dev->causes_send;
	intel_write(dev, REG_IMS, causes);
	return !nic->link_changed && !intel_has_work(dev, send);
}

/* Also the interrupt handler's way to make the device release its line (INTx). */
void intel_disarm(struct nic *nic)
{
	intel_write(intel_of(nic), REG_IMC, ~0u);
}

/* 13.7: a counter is cleared by reading. Emulations keep some of them: what a second read still
 * finds is all that there has been. */
static void count(const struct intel *dev, uint32_t reg, uint64_t *sum)
{
	uint32_t first = intel_read(dev, reg), second;

	if (!first)
		return;
	second = intel_read(dev, reg);
	if (second >= first && second >= *sum)
		*sum = second;
	else
		*sum += (uint64_t)first + second;
}

void intel_count(struct nic *nic)
{
	const struct intel *dev = intel_of(nic);
	struct nic_stats *s = &nic->stats;

	count(dev, STAT_GPRC, &s->device_rx_frames);
	count(dev, STAT_GPTC, &s->device_tx_frames);
	count(dev, STAT_MPC, &s->device_missed);
	count(dev, STAT_RNBC, &s->device_no_buffer);
	count(dev, STAT_CRCERRS, &s->device_crc_errors);
	count(dev, STAT_RUC, &s->device_too_short);
	count(dev, STAT_ROC, &s->device_too_long);
}
