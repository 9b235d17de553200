/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtio devices of the machine are another hypervisor's: they know what it made them. Which of them go
 * through the IOMMU is told by a feature that they offer.
 */
#include "hv/dev/pci_virtio.h"

#include <stddef.h>

#define VENDOR	      0x1af4u
#define DEVICE_FIRST  0x1000u
#define DEVICE_LAST   0x107fu
#define TYPE	      3u /* of its capability, and what follows */
#define BAR	      4u
#define OFFSET	      8u
#define COMMON	      1u /* type: common configuration */
#define COMMON_BYTES  56u
#define FEATURE_WORD  0u  /* device_feature_select in it */
#define FEATURE	      4u  /* device_feature */
#define STATUS	      20u /* device_status */
#define PLATFORM_WORD 1u
#define PLATFORM      0x2u /* VIRTIO_F_ACCESS_PLATFORM, 33 */
#define MOST	      48u  /* capabilities */

volatile uint8_t *virtio_common(const struct host_function *f)
{
	unsigned at = host_pci_read(f->address, PCI_CAPABILITIES, 1) & 0xfc;

	if (f->vendor != VENDOR)
		return NULL;
	for (unsigned i = 0; at >= PCI_FIRST_CAPABILITY && i < MOST; i++) {
		const unsigned bar = host_pci_read(f->address, at + BAR, 1);
		const uint64_t where = host_pci_read(f->address, at + OFFSET, 4);

		if (host_pci_read(f->address, at, 1) == PCI_CAP_VENDOR &&
		    host_pci_read(f->address, at + TYPE, 1) == COMMON)
			return bar < PCI_BARS && f->bar[bar].mmio && where % 4 == 0 &&
					       where + COMMON_BYTES <= f->bar[bar].bytes
				       ? f->bar[bar].mmio + where
				       : NULL;
		at = host_pci_read(f->address, at + 1, 1) & 0xfc;
	}
	return NULL;
}

volatile uint8_t *virtio_status(const struct host_function *f)
{
	volatile uint8_t *common = virtio_common(f);

	return common ? common + STATUS : NULL;
}

/* A word that cannot be chosen is none: what does not answer reads as all ones. */
bool virtio_bypasses_iommu(const struct host_function *f)
{
	const uint32_t command = host_pci_read(f->address, PCI_COMMAND, 2);
	volatile uint8_t *common;
	bool offers;

	if (f->vendor != VENDOR || f->device < DEVICE_FIRST || f->device > DEVICE_LAST)
		return false;
	common = virtio_common(f);
	if (!common)
		return true;
	host_pci_write(f->address, PCI_COMMAND, 2, command | PCI_COMMAND_MEMORY);
	*(volatile uint32_t *)(common + FEATURE_WORD) = PLATFORM_WORD;
	offers = *(volatile uint32_t *)(common + FEATURE_WORD) == PLATFORM_WORD &&
		 *(volatile uint32_t *)(common + FEATURE) & PLATFORM;
	host_pci_write(f->address, PCI_COMMAND, 2, command);
	return !offers;
}
