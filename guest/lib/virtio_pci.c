/* SPDX-License-Identifier: BSD-2-Clause */
/* See virtio_pci.h. The steps are those of virtio 1.2, 3.1.1 "Driver Requirements: Device
 * Initialization". */
#include "guest/lib/virtio_pci.h"

#include <stddef.h>

#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"

/* virtio 1.2, 4.1.4: struct virtio_pci_cap */
enum { CAP_TYPE = 3, CAP_BAR = 4, CAP_OFFSET = 8, CAP_NOTIFY_MULTIPLIER = 16 };
enum { CAP_MOST = 48 }; /* that fit behind the header: a list may lead in a circle */
enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4, CAP_KINDS = 5 };

static const char *find_regions(struct virtio_device *dev)
{
	struct pci_region *const place[CAP_KINDS] = {
		[CAP_COMMON] = &dev->common,
		[CAP_NOTIFY] = &dev->notify,
		[CAP_ISR] = &dev->isr,
		[CAP_DEVICE] = &dev->config,
	};
	unsigned seen = 0;
	uint8_t at = pci_capability(dev->devfn, PCI_CAP_VENDOR, 0);

	for (unsigned i = 0; at && i < CAP_MOST;
	     i++, at = pci_capability(dev->devfn, PCI_CAP_VENDOR, at)) {
		uint8_t type = pci_read8(dev->devfn, at + CAP_TYPE);

		if (!type || type >= CAP_KINDS || seen & 1u << type)
			continue; /* the first of a kind counts: 4.1.4.1 */
		if (!pci_region(dev->devfn, pci_read8(dev->devfn, at + CAP_BAR),
				pci_read32(dev->devfn, at + CAP_OFFSET), place[type]))
			return "a capability names a BAR that has no address";
		if (type == CAP_NOTIFY)
			dev->notify_multiplier = pci_read32(dev->devfn, at + CAP_NOTIFY_MULTIPLIER);
		seen |= 1u << type;
	}
	return seen == 0x1e ? NULL : "common, notify, ISR or device capability is missing";
}

static void set_status(struct virtio_device *dev, uint8_t bits)
{
	region_write8(&dev->common, COMMON_STATUS, bits ? virtio_status(dev) | bits : 0);
}

const char *virtio_open(struct virtio_device *dev, unsigned devfn)
{
	uint64_t deadline = rdtsc() + clock_ms(1000);
	const char *error;

	*dev = (struct virtio_device){ .devfn = devfn };
	pci_write16(devfn, PCI_COMMAND,
		    PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_NO_INTX);
	error = find_regions(dev);
	if (error)
		return error;
	set_status(dev, 0);
	while (virtio_status(dev)) {
		if (rdtsc() > deadline)
			return "the device does not finish its reset";
	}
	return NULL;
}

uint64_t virtio_offered(struct virtio_device *dev)
{
	uint64_t features;

	region_write32(&dev->common, COMMON_DEVICE_FEATURE_SELECT, 1);
	features = (uint64_t)region_read32(&dev->common, COMMON_DEVICE_FEATURE) << 32;
	region_write32(&dev->common, COMMON_DEVICE_FEATURE_SELECT, 0);
	return features | region_read32(&dev->common, COMMON_DEVICE_FEATURE);
}

const char *virtio_negotiate(struct virtio_device *dev, uint64_t wanted)
{
	set_status(dev, VIRTIO_ACKNOWLEDGE);
	set_status(dev, VIRTIO_DRIVER);
	dev->features = virtio_offered(dev) & (wanted | VIRTIO_F_VERSION_1);
	if (!(dev->features & VIRTIO_F_VERSION_1))
		return "the device does not offer VERSION_1";
	for (unsigned i = 0; i < 2; i++) {
		region_write32(&dev->common, COMMON_DRIVER_FEATURE_SELECT, i);
		region_write32(&dev->common, COMMON_DRIVER_FEATURE,
			       (uint32_t)(dev->features >> 32 * i));
	}
	set_status(dev, VIRTIO_FEATURES_OK);
	if (!(virtio_status(dev) & VIRTIO_FEATURES_OK))
		return "the device refuses the features that it offered";
	region_write16(&dev->common, COMMON_CONFIG_VECTOR, VIRTIO_NO_VECTOR);
	return NULL;
}

static void write_address(struct virtio_device *dev, uint32_t offset, const void *at)
{
	uint64_t address = (uintptr_t)at + dev->dma_offset;

	region_write32(&dev->common, offset, (uint32_t)address);
	region_write32(&dev->common, offset + 4, (uint32_t)(address >> 32));
}

const char *virtio_queue(struct virtio_device *dev, unsigned index, uint16_t vector,
			 struct vq_memory *memory, struct vq *vq, struct pci_region *notify)
{
	bool packed = dev->features & VIRTIO_F_RING_PACKED;
	uint16_t size;

	region_write16(&dev->common, COMMON_QUEUE_SELECT, (uint16_t)index);
	size = region_read16(&dev->common, COMMON_QUEUE_SIZE);
	if (!size || size & (size - 1))
		return "a queue is missing or its size is no power of two";
	if (size > VQ_MAX) {
		size = VQ_MAX;
		region_write16(&dev->common, COMMON_QUEUE_SIZE, size);
	}
	vq_init(vq, memory, size, dev->features & VIRTIO_F_EVENT_IDX,
		packed ? VQ_PACKED : VQ_SPLIT);
	region_write16(&dev->common, COMMON_QUEUE_VECTOR, vector);
	if (region_read16(&dev->common, COMMON_QUEUE_VECTOR) != vector)
		return "the device refuses an MSI-X vector";
	write_address(dev, COMMON_QUEUE_DESC, packed ? (void *)memory->ring : memory->desc);
	write_address(dev, COMMON_QUEUE_DRIVER,
		      packed ? (void *)&memory->driver_event : memory->avail);
	write_address(dev, COMMON_QUEUE_DEVICE,
		      packed ? (void *)&memory->device_event : &memory->used);
	*notify = dev->notify;
	notify->base += (uint64_t)region_read16(&dev->common, COMMON_QUEUE_NOTIFY_OFF) *
			dev->notify_multiplier;
	region_write16(&dev->common, COMMON_QUEUE_ENABLE, 1);
	return NULL;
}

void virtio_ready(struct virtio_device *dev)
{
	set_status(dev, VIRTIO_DRIVER_OK);
}

uint8_t virtio_status(const struct virtio_device *dev)
{
	return region_read8(&dev->common, COMMON_STATUS);
}
