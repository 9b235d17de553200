/* SPDX-License-Identifier: BSD-2-Clause */
/* See virtio_nic.h: from the reset to the first buffer (virtio 1.2, 3.1.1 and 5.1.5). */
#include <stddef.h>

#include "drivers/nic_impl.h"
#include "drivers/virtio_net/virtio_nic.h"
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "lasthop/uplink.h"
#include "lasthop/nics.h"

enum { DEVICES = 8, COMMAND_MS = 1000 };
enum { RX_QUEUE = 0, TX_QUEUE = 1, CONTROL_QUEUE = 2 };	   /* without MQ: 5.1.2 */
enum { CLASS_RX = 0, RX_PROMISCUOUS = 0, COMMAND_OK = 0 }; /* 5.1.6.5.1 */

static struct virtio_nic devices[DEVICES];
static unsigned count;

/* Features that go with the work which the driver sends (5.1.3: the device does it) and which it is
 * prepared to receive (the driver does it, which here is whoever sends the frame on). */
static const struct {
	unsigned work;
	uint64_t send, receive;
} offload_features[] = {
	{ NIC_CSUM, NET_F_CSUM, NET_F_GUEST_CSUM },
	{ NIC_TSO4, NET_F_HOST_TSO4, NET_F_GUEST_TSO4 },
	{ NIC_TSO6, NET_F_HOST_TSO6, NET_F_GUEST_TSO6 },
};
enum { OFFLOADS = sizeof(offload_features) / sizeof(offload_features[0]) };

static uint64_t wanted(const struct virtio_nic *dev)
{
	const struct nic *nic = &dev->nic;
	uint64_t features = NET_F_MTU | NET_F_MAC | NET_F_MRG_RXBUF | NET_F_STATUS | NET_F_CTRL_VQ |
			    NET_F_CTRL_RX | VIRTIO_F_EVENT_IDX | VIRTIO_F_ACCESS_PLATFORM;

	if (dev->is_uplink && nic->foreign)
		features |= UPLINK_F_REUSE;
	for (unsigned i = 0; i < OFFLOADS; i++) {
		if (nic->can_send & offload_features[i].work)
			features |= offload_features[i].send;
		if (nic->receive & offload_features[i].work)
			features |= offload_features[i].receive;
	}
	return features;
}

static const char *set_queues(struct virtio_nic *dev)
{
	const char *error =
		virtio_queue(&dev->device, RX_QUEUE, 0, &dev->rx_memory, &dev->rx, &dev->rx_notify);

	if (!error)
		error = virtio_queue(&dev->device, TX_QUEUE, 0, &dev->tx_memory, &dev->tx,
				     &dev->tx_notify);
	if (!error && dev->device.features & NET_F_CTRL_RX)
		error = virtio_queue(&dev->device, CONTROL_QUEUE, VIRTIO_NO_VECTOR,
				     &dev->control_memory, &dev->control, &dev->control_notify);
	return error;
}

/* 5.1.6.5.1: all frames, since they are for others than us */
static const char *set_promiscuous(struct virtio_nic *dev)
{
	uint64_t end = rdtsc() + clock_ms(COMMAND_MS);
	struct vq_desc *d = dev->control_memory.desc;
	struct vq_used_elem e;

	dev->command.class = CLASS_RX;
	dev->command.number = RX_PROMISCUOUS;
	dev->command.data = 1;
	dev->command.answer = 0xff;
	d[0] = (struct vq_desc){ nic_dma(&dev->nic, &dev->command.class), 2, VQ_DESC_NEXT, 1 };
	d[1] = (struct vq_desc){ nic_dma(&dev->nic, &dev->command.data), 1, VQ_DESC_NEXT, 2 };
	d[2] = (struct vq_desc){ nic_dma(&dev->nic, &dev->command.answer), 1, VQ_DESC_WRITE, 0 };
	vq_push(&dev->control, 0);
	if (vq_publish(&dev->control))
		region_write16(&dev->control_notify, 0, CONTROL_QUEUE);
	while (!vq_pop(&dev->control, &e)) {
		if (rdtsc() > end)
			return "it does not answer a command";
		cpu_pause();
	}
	if (*(volatile uint8_t *)&dev->command.answer != COMMAND_OK)
		return "it refuses to receive frames for other addresses than its own";
	return NULL;
}

static const char *negotiate(struct virtio_nic *dev)
{
	struct nic *nic = &dev->nic;
	uint32_t whole = NET_HEADER + nic->mtu + NIC_FRAME_EXTRA;
	const char *error;

	dev->device.dma_offset = nic->dma_offset;
	error = virtio_negotiate(&dev->device, wanted(dev));
	if (error)
		return error;
	if (!(dev->device.features & NET_F_MAC))
		return "it tells no MAC address";
	if (!(dev->device.features & NET_F_MRG_RXBUF) && (nic->receive || whole > NIC_BUFFER))
		return "it cannot spread a received frame over several buffers (MRG_RXBUF)";
	return NULL;
}

static const char *virtio_nic_reset(struct nic *nic)
{
	return virtio_open(&virtio_nic_of(nic)->device, nic->devfn);
}

static const char *virtio_nic_start(struct nic *nic)
{
	struct virtio_nic *dev = virtio_nic_of(nic);
	const char *error = negotiate(dev);

	if (!error && !pci_msix(nic->devfn, &nic->vector, 1))
		error = "it has no MSI-X";
	if (!error)
		error = set_queues(dev);
	if (error)
		return error;
	nic->interrupt = "MSI-X";
	for (unsigned i = 0; i < sizeof(nic->mac); i++)
		nic->mac[i] = region_read8(&dev->device.config, NET_CONFIG_MAC + i);
	nic->rx_buffers = dev->rx.size; /* VQ_MAX at most */
	virtio_nic_fill(dev);
	virtio_ready(&dev->device);
	virtio_nic_refill(nic);
	return dev->device.features & NET_F_CTRL_RX ? set_promiscuous(dev) : NULL;
}

static struct nic_link virtio_nic_link(struct nic *nic)
{
	const struct virtio_device *device = &virtio_nic_of(nic)->device;

	nic->link_changed = false;
	return (struct nic_link){
		.up = !(device->features & NET_F_STATUS) ||
		      region_read16(&device->config, NET_CONFIG_STATUS) & NET_STATUS_LINK_UP,
		.full_duplex = true,
	};
}

static const struct nic_ops ops = {
	.name = "virtio-net",
	.reset = virtio_nic_reset,
	.start = virtio_nic_start,
	.link = virtio_nic_link,
	.receive = virtio_nic_receive,
	.release = virtio_nic_release,
	.refill = virtio_nic_refill,
	.send = virtio_nic_send,
	.flush = virtio_nic_flush,
	.sent = virtio_nic_sent,
	.arm = virtio_nic_arm,
	.disarm = virtio_nic_disarm,
	.count = virtio_nic_count,
};

/* What the device could do, and its MTU, are known before a feature is negotiated. */
static void look_up(struct virtio_nic *dev)
{
	uint64_t offered = virtio_offered(&dev->device);
	struct nic *nic = &dev->nic;

	nic->mtu_max = NIC_MTU_MAX;
	nic->mtu_told = offered & NET_F_MTU;
	if (nic->mtu_told)
		nic->mtu_max = region_read16(&dev->device.config, NET_CONFIG_MTU);
	if (nic->mtu_max > NIC_MTU_MAX)
		nic->mtu_max = NIC_MTU_MAX;
	for (unsigned i = 0; i < OFFLOADS; i++) {
		if (offered & offload_features[i].send)
			nic->can_send |= offload_features[i].work;
		if (offered & offload_features[i].receive)
			nic->can_receive |= offload_features[i].work;
	}
	dev->is_uplink = pci_read16(nic->devfn, PCI_SUBSYSTEM) == UPLINK_PCI_SUBSYSTEM;
}

struct nic *virtio_nic_probe(unsigned devfn, const char **error)
{
	struct virtio_nic *dev = &devices[count];

	if (pci_read16(devfn, PCI_VENDOR) != NIC_VENDOR_virtio_net ||
	    pci_read16(devfn, PCI_DEVICE) != NIC_DEVICE_virtio_net)
		return NULL;
	if (count == DEVICES) {
		*error = "there are more of its kind than the driver takes (8)";
		return NULL;
	}
	dev->nic = (struct nic){ .ops = &ops, .devfn = devfn };
	*error = virtio_open(&dev->device, devfn);
	if (*error)
		return NULL;
	count++;
	look_up(dev);
	return &dev->nic;
}
