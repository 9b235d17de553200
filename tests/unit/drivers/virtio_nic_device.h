/* SPDX-License-Identifier: BSD-2-Clause */
/* A virtio-net device in a few lines: split rings, seen at an offset. For virtio_nic_test.c, behind the driver's
 * files. */
#pragma once

#include "tests/unit/drivers/frames.h"

enum { RING = 256, DMA_OFFSET = 0x40000000, MTU = 9000, FRAME = 70000 };

static struct virtio_nic dev;
static struct nic_buffer receive_buffers[RING], send_buffers[NIC_BUFFERS];
static unsigned rx_seen, tx_seen; /* of the available rings, by the device */

void region_write16(const struct pci_region *r, uint32_t offset, uint16_t value)
{
	(void)r;
	(void)offset;
	(void)value;
}

static uint8_t status;
static unsigned
	at_once; /* how often a buffer was given back as soon as it was there; 0: it is not */

uint8_t virtio_status(const struct virtio_device *device)
{
	(void)device;
	return status;
}

static bool pop(struct vq *vq, struct vq_used_elem *elem)
{
	if (!at_once)
		return vq_pop(vq, elem);
	if (at_once++ > 10 * RING)
		fail_msg("it would be looked at for ever");
	*elem = (struct vq_used_elem){ 0, NET_HEADER };
	return true;
}

static int start(void **state)
{
	(void)state;
	memset(&dev, 0, sizeof(dev));
	dev.device.features = NET_F_MRG_RXBUF;
	dev.nic.dma_offset = DMA_OFFSET;
	dev.nic.buffers = receive_buffers;
	dev.nic.rx_buffers = RING;
	dev.nic.mtu = MTU;
	dev.nic.can_send = NIC_CSUM | NIC_TSO4 | NIC_TSO6;
	vq_init(&dev.rx, &dev.rx_memory, RING, true, VQ_SPLIT);
	vq_init(&dev.tx, &dev.tx_memory, RING, true, VQ_SPLIT);
	rx_seen = tx_seen = at_once = 0;
	virtio_nic_fill(&dev);
	virtio_nic_refill(&dev.nic);
	return 0;
}

static uint8_t *at_device(uint64_t address)
{
	return (uint8_t *)(uintptr_t)(address - DMA_OFFSET);
}

static void use(struct vq_memory *m, uint32_t id, uint32_t bytes)
{
	m->used.ring[m->used.index % RING] = (struct vq_used_elem){ id, bytes };
	m->used.index++;
}

/* Spreads header and frame over as many buffers as they need, in the order of the ring. */
static void device_receive(struct net_header header, const uint8_t *bytes, uint32_t count)
{
	uint32_t at = 0;

	header.num_buffers = (uint16_t)((NET_HEADER + count + NIC_BUFFER - 1) / NIC_BUFFER);
	for (unsigned i = 0; i < header.num_buffers; i++) {
		uint16_t id = dev.rx_memory.avail[2 + rx_seen++ % RING];
		uint8_t *to = at_device(dev.rx_memory.desc[id].address);
		uint32_t skip = i ? 0 : NET_HEADER, now = NIC_BUFFER - skip;

		if (now > count - at)
			now = count - at;
		if (!i)
			memcpy(to, &header, NET_HEADER);
		memcpy(to + skip, bytes + at, now);
		at += now;
		use(&dev.rx_memory, id, skip + now);
	}
}

static uint8_t wire[FRAME];

/* The bytes of the next chain, header and all; *head is to be used. */
static uint32_t device_send(uint16_t *head)
{
	uint32_t count = 0;
	uint16_t id = dev.tx_memory.avail[2 + tx_seen++ % RING];

	*head = id;
	for (unsigned n = 0; n < RING; n++) {
		const struct vq_desc *d = &dev.tx_memory.desc[id];

		assert_true(count + d->bytes <= FRAME);
		memcpy(wire + count, at_device(d->address), d->bytes);
		count += d->bytes;
		if (!(d->flags & VQ_DESC_NEXT))
			return count;
		id = d->next;
	}
	fail_msg("a chain without an end");
	return 0;
}
