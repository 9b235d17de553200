/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * See virtio_net.h. Receive buffer i is descriptor i. A transmit slot owns `per_slot` descriptors
 * that are written once; a frame changes only a length. All buffers are static.
 */
#include "guest/lib/virtio_net.h"

#include <stddef.h>

#include "guest/lib/apic.h"
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/string.h"
#include "guest/lib/virtio_pci.h"

enum { RX_QUEUE = 0, TX_QUEUE = 1, CONTROL_QUEUE = 2 }; /* without MQ: 5.1.2 */
enum { MTU_MAX = 9000, FRAME_EXTRA = 18, STATUS_MS = 10 };
enum { RX_SMALL = 2048, RX_PAGE = 4096, RX_POOL = VQ_MAX * RX_PAGE, REFILL_BATCH = 16 };
enum { SLOT_BYTES = (NET_HEADER + MTU_MAX + FRAME_EXTRA + 63) / 64 * 64 };

static struct virtio_device device;
static struct net_info info;
static const char *trouble;

static uint64_t wanted_more;
static struct vq rx, tx, control;
static struct vq_memory rx_memory, tx_memory, control_memory;
static struct pci_region rx_notify, tx_notify, control_notify;
static struct {
	uint8_t class, number, data[NET_COMMAND_BYTES], answer;
} command;
static uint8_t rx_pool[RX_POOL] __attribute__((aligned(4096)));
static uint8_t tx_pool[VQ_MAX][SLOT_BYTES] __attribute__((aligned(4096)));
static struct vq_desc tx_indirect[VQ_MAX][2] __attribute__((aligned(16)));
static uint32_t rx_buffer_bytes;
static enum net_tx_mode tx_mode;
static unsigned per_slot; /* descriptors in the ring */
static uint16_t tx_free[VQ_MAX];
static unsigned tx_free_count;

static void notify(const struct pci_region *where, uint16_t queue)
{
	region_write16(where, 0, queue);
}

static void read_config(void)
{
	info.features = device.features;
	for (unsigned i = 0; i < 6; i++)
		info.mac[i] = region_read8(&device.config, NET_CONFIG_MAC + i);
	info.mtu = 1500;
	if (device.features & NET_F_MTU)
		info.mtu = region_read16(&device.config, NET_CONFIG_MTU);
	if (info.mtu > MTU_MAX)
		info.mtu = MTU_MAX;
}

static void setup_rx(void)
{
	/* As Linux does: a page at most; a larger frame is spread over several */
	rx_buffer_bytes = NET_HEADER + info.mtu + FRAME_EXTRA <= RX_SMALL ? RX_SMALL : RX_PAGE;
	if (device.features & (NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6 | NET_F_GUEST_USO4 |
			       NET_F_GUEST_USO6)) /* 64 KiB in NET_MAX_SEGMENTS */
		rx_buffer_bytes = RX_PAGE;
	if (!(device.features & NET_F_MRG_RXBUF))
		rx_buffer_bytes = (NET_HEADER + info.mtu + FRAME_EXTRA + 63) / 64 * 64;
	info.rx_buffers = RX_POOL / rx_buffer_bytes;
	if (info.rx_buffers > rx.size)
		info.rx_buffers = rx.size;
	for (unsigned i = 0; i < info.rx_buffers; i++) {
		rx_memory.desc[i] = (struct vq_desc){
			.address = (uintptr_t)rx_pool + i * rx_buffer_bytes,
			.bytes = rx_buffer_bytes,
			.flags = VQ_DESC_WRITE,
		};
		vq_push(&rx, (uint16_t)i);
	}
}

/* desc[0] holds the header, desc[1] the frame; a single descriptor holds both. */
static void describe(unsigned slot, enum net_tx_mode mode)
{
	uint64_t header = (uintptr_t)tx_pool[slot];
	struct vq_desc *desc =
		mode == NET_TX_INDIRECT ? tx_indirect[slot] : &tx_memory.desc[slot * per_slot];

	desc[0] = (struct vq_desc){ .address = header };
	if (mode == NET_TX_SINGLE)
		return;
	desc[0].bytes = NET_HEADER;
	desc[0].flags = VQ_DESC_NEXT;
	desc[0].next = mode == NET_TX_INDIRECT ? 1 : (uint16_t)(slot * per_slot + 1);
	desc[1] = (struct vq_desc){ .address = header + NET_HEADER };
	if (mode == NET_TX_INDIRECT)
		tx_memory.desc[slot] = (struct vq_desc){
			.address = (uintptr_t)tx_indirect[slot],
			.bytes = sizeof(tx_indirect[slot]),
			.flags = VQ_DESC_INDIRECT,
		};
}

static void setup_tx(void)
{
	per_slot = tx_mode == NET_TX_CHAIN ? 2 : 1;
	info.tx_slots = tx.size / per_slot;
	for (unsigned i = 0; i < info.tx_slots; i++) {
		describe(i, tx_mode);
		tx_free[i] = (uint16_t)(info.tx_slots - 1 - i);
	}
	tx_free_count = info.tx_slots;
}

void net_want(uint64_t features)
{
	wanted_more = features;
}

static const char *open_control(void)
{
	if (!(device.features & NET_F_CTRL_VQ))
		return NULL;
	return virtio_queue(&device, CONTROL_QUEUE, VIRTIO_NO_VECTOR, &control_memory, &control,
			    &control_notify);
}

const char *net_open(unsigned index, enum net_tx_mode mode)
{
	static const uint8_t vectors[2] = { IRQ_NET_RX, IRQ_NET_TX };
	uint64_t wanted =
		NET_F_MTU | NET_F_MAC | NET_F_MRG_RXBUF | VIRTIO_F_EVENT_IDX | wanted_more;
	const char *error;
	unsigned devfn;

	tx_mode = mode;
	if (mode == NET_TX_INDIRECT)
		wanted |= VIRTIO_F_INDIRECT_DESC;
	if (!pci_find(VIRTIO_VENDOR, VIRTIO_NET_DEVICE, index, &devfn))
		return "there is no such device";
	error = virtio_open(&device, devfn);
	if (!error)
		error = virtio_negotiate(&device, wanted);
	if (error)
		return error;
	if (!(device.features & NET_F_MAC))
		return "the device tells no MAC address";
	if (mode == NET_TX_INDIRECT && !(device.features & VIRTIO_F_INDIRECT_DESC))
		return "the device does not offer indirect descriptors";
	if (!pci_msix(devfn, vectors, 2))
		return "the device has no MSI-X with two vectors";
	read_config();
	error = virtio_queue(&device, RX_QUEUE, 0, &rx_memory, &rx, &rx_notify);
	if (!error)
		error = virtio_queue(&device, TX_QUEUE, 1, &tx_memory, &tx, &tx_notify);
	if (!error)
		error = open_control();
	if (error)
		return error;
	setup_rx();
	setup_tx();
	virtio_ready(&device);
	net_refill();
	return NULL;
}

const struct net_info *net_info(void)
{
	return &info;
}

/* A used element as a piece of the frame: false if it cannot be one. */
static bool take(struct net_frame *frame, uint32_t skip)
{
	struct net_segment *s = &frame->segment[frame->segments];
	struct vq_used_elem elem;

	if (!vq_pop(&rx, &elem))
		return false;
	if (elem.id >= info.rx_buffers || elem.bytes > rx_buffer_bytes || elem.bytes < skip) {
		trouble = "the device returned a receive buffer with a wrong id or length";
		return false;
	}
	s->buffer = (uint16_t)elem.id;
	s->data = rx_pool + elem.id * rx_buffer_bytes + skip;
	s->bytes = elem.bytes - skip;
	frame->bytes += s->bytes;
	frame->segments++;
	return true;
}

bool net_receive(struct net_frame *frame)
{
	unsigned buffers = 1;

	frame->bytes = frame->segments = 0;
	if (!take(frame, NET_HEADER))
		return false;
	frame->header = (const void *)(frame->segment[0].data - NET_HEADER);
	if (device.features & NET_F_MRG_RXBUF)
		buffers = frame->header->num_buffers;
	if (!buffers || buffers > NET_MAX_SEGMENTS)
		trouble = "a received frame names an impossible number of buffers";
	while (!trouble && frame->segments < buffers) {
		if (!take(frame, 0) && !trouble)
			trouble = "a received frame lacks buffers that its header names";
	}
	return !trouble;
}

void net_release(const struct net_frame *frame)
{
	for (unsigned i = 0; i < frame->segments; i++)
		vq_push(&rx, frame->segment[i].buffer);
	if ((uint16_t)(rx.avail - rx.published) >= REFILL_BATCH)
		net_refill();
}

void net_refill(void)
{
	if (vq_publish(&rx))
		notify(&rx_notify, RX_QUEUE);
}

int net_tx_slot(void)
{
	if (!tx_free_count)
		return -1;
	return tx_free[--tx_free_count];
}

uint8_t *net_tx_buffer(unsigned slot)
{
	return tx_pool[slot] + NET_HEADER;
}

void net_tx_push(unsigned slot, uint32_t bytes)
{
	if (tx_mode == NET_TX_INDIRECT)
		tx_indirect[slot][1].bytes = bytes;
	else if (tx_mode == NET_TX_CHAIN)
		tx_memory.desc[slot * per_slot + 1].bytes = bytes;
	else
		tx_memory.desc[slot].bytes = NET_HEADER + bytes;
	vq_push(&tx, (uint16_t)(slot * per_slot));
}

void net_tx_push_from(unsigned slot, const struct net_header *header, const void *frame,
		      uint32_t bytes)
{
	struct vq_desc *desc = &tx_memory.desc[slot * per_slot + 1];

	if (tx_mode != NET_TX_CHAIN) {
		describe(slot, NET_TX_INDIRECT);
		desc = &tx_indirect[slot][1];
	}
	memcpy(tx_pool[slot], header, NET_HEADER);
	desc->address = (uintptr_t)frame;
	desc->bytes = bytes;
	vq_push(&tx, (uint16_t)(slot * per_slot));
}

void net_tx_own(unsigned slot)
{
	memset(tx_pool[slot], 0, NET_HEADER);
	describe(slot, tx_mode);
}

void net_tx_flush(void)
{
	if (vq_publish(&tx))
		notify(&tx_notify, TX_QUEUE);
}

void net_tx_reclaim(void)
{
	struct vq_used_elem elem;

	while (vq_pop(&tx, &elem)) {
		if (elem.id % per_slot || elem.id / per_slot >= info.tx_slots ||
		    tx_free_count == info.tx_slots) {
			trouble = "the device returned a transmit buffer that it did not have";
			return;
		}
		tx_free[tx_free_count++] = (uint16_t)(elem.id / per_slot);
	}
}

unsigned net_tx_free(void)
{
	return tx_free_count;
}

void net_tx_sleep(uint64_t deadline)
{
	unsigned out = info.tx_slots - tx_free_count;

	if (out && vq_arm(&tx, (uint16_t)(out - out / 2)))
		clock_wait(deadline);
	vq_disarm(&tx);
}

void net_sleep(uint64_t deadline)
{
	if (vq_arm(&rx, 1))
		clock_wait(deadline);
	vq_disarm(&rx);
}

const char *net_command(uint8_t class, uint8_t number, const void *data, uint32_t bytes)
{
	uint64_t deadline = rdtsc() + clock_ms(1000);
	struct vq_desc *d = control_memory.desc;
	struct vq_used_elem elem;

	if (!(device.features & NET_F_CTRL_VQ) || bytes > sizeof(command.data))
		return "there is no control queue, or the command is too long";
	command.class = class;
	command.number = number;
	memcpy(command.data, data, bytes);
	command.answer = 0xff;
	d[0] = (struct vq_desc){ (uintptr_t)&command.class, 2, VQ_DESC_NEXT, 1 };
	d[1] = (struct vq_desc){ (uintptr_t)command.data, bytes, VQ_DESC_NEXT, 2 };
	d[2] = (struct vq_desc){ (uintptr_t)&command.answer, 1, VQ_DESC_WRITE, 0 };
	vq_push(&control, 0);
	if (vq_publish(&control))
		notify(&control_notify, CONTROL_QUEUE);
	while (!vq_pop(&control, &elem)) {
		if (rdtsc() > deadline)
			return "the device does not answer a command";
	}
	return *(volatile uint8_t *)&command.answer ? "the device refuses a command" : NULL;
}

/* Reading the status is a VM exit, more than a transaction should cost: not at every call. */
static bool needs_reset(void)
{
	static uint64_t next;
	uint64_t now = rdtsc();

	if (now < next)
		return false;
	next = now + clock_ms(STATUS_MS);
	return virtio_status(&device) & VIRTIO_NEEDS_RESET;
}

const char *net_trouble(void)
{
	if (!trouble && (rx.broken || tx.broken))
		trouble = "the device returned a descriptor that does not exist";
	if (!trouble && needs_reset())
		trouble = "the device needs a reset: it took exception to what the driver did";
	return trouble;
}
