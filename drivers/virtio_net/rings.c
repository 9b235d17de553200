/* SPDX-License-Identifier: BSD-2-Clause */
/* See virtio_nic.h. Tested on the host. What the device wrote is read once and checked. */
#include <stddef.h>

#include "drivers/offload.h"
#include "drivers/virtio_net/virtio_nic.h"
#include "guest/lib/string.h"
#include "lasthop/uplink.h"

struct virtio_nic *virtio_nic_of(struct nic *nic)
{
	return (struct virtio_nic *)((char *)nic - offsetof(struct virtio_nic, nic));
}

static void trouble(struct nic *nic, const char *what)
{
	if (!nic->trouble)
		nic->trouble = what;
}

void virtio_nic_fill(struct virtio_nic *dev)
{
	struct nic *nic = &dev->nic;

	for (uint16_t i = 0; i < nic->rx_buffers; i++) {
		dev->rx_memory.desc[i] = (struct vq_desc){
			.address = nic_dma(nic, nic->buffers[i].byte),
			.bytes = NIC_BUFFER,
			.flags = VQ_DESC_WRITE,
		};
		dev->rx_out[i] = false;
		virtio_nic_release(nic, i);
	}
	dev->tx_free_count = 0;
	for (uint16_t i = dev->tx.size; i > 0; i--)
		dev->tx_free[dev->tx_free_count++] = (uint16_t)(i - 1);
	dev->tx_done = VIRTIO_NIC_END;
	dev->tx_chains = 0;
	dev->stopped = false;
	nic->sending = nic->foreign_out = 0;
}

void virtio_nic_release(struct nic *nic, uint16_t buffer)
{
	struct virtio_nic *dev = virtio_nic_of(nic);

	dev->rx_out[buffer] = true;
	vq_push(&dev->rx, buffer);
}

void virtio_nic_refill(struct nic *nic)
{
	struct virtio_nic *dev = virtio_nic_of(nic);

	if (vq_publish(&dev->rx))
		region_write16(&dev->rx_notify, 0, 0);
}

/* A used element becomes a segment of the frame, without its first bytes; false: there is none, or
 * none that can be. */
static bool take(struct virtio_nic *dev, uint32_t skip)
{
	struct nic_frame *frame = &dev->nic.frame;
	struct vq_used_elem e;

	if (!vq_pop(&dev->rx, &e)) {
		if (dev->rx.broken)
			trouble(&dev->nic, "it returned a descriptor that does not exist");
		return false;
	}
	if (e.id >= dev->nic.rx_buffers || !dev->rx_out[e.id]) {
		trouble(&dev->nic, "it returned a receive buffer that it did not have");
		return false;
	}
	dev->rx_out[e.id] = false;
	if (e.bytes < skip || e.bytes > NIC_BUFFER) {
		trouble(&dev->nic, "it wrote more into a receive buffer than fits, or too little");
		return false;
	}
	frame->segment[frame->segments++] = (struct nic_segment){
		.data = dev->nic.buffers[e.id].byte + skip,
		.bytes = e.bytes - skip,
		.buffer = (uint16_t)e.id,
	};
	frame->bytes += e.bytes - skip;
	return true;
}

/* What is behind the headers in the buffer says where the rest of the frame is. */
static bool take_foreign(struct virtio_nic *dev)
{
	struct nic_frame *frame = &dev->nic.frame;
	uint32_t head = frame->header.hdr_len, used = frame->bytes + NET_HEADER;
	uint32_t at = uplink_pieces_at(head);
	const uint8_t *buffer = frame->segment[0].data - NET_HEADER;

	if (at >= used || (used - at) / sizeof(struct uplink_piece) > NIC_SEGMENTS - 1) {
		trouble(&dev->nic, "a lent frame has no pieces, or too many");
		return false;
	}
	frame->bytes = frame->segment[0].bytes = head;
	for (; at + sizeof(struct uplink_piece) <= used; at += sizeof(struct uplink_piece)) {
		struct uplink_piece piece;

		memcpy(&piece, buffer + at, sizeof(piece));
		frame->segment[frame->segments++] = (struct nic_segment){
			.bytes = piece.bytes,
			.buffer = NIC_FOREIGN,
			.foreign = piece.address,
		};
		frame->bytes += piece.bytes;
	}
	return true;
}

/* All buffers of one frame: 5.1.6.4. A device shows them at once. */
static bool assemble(struct virtio_nic *dev)
{
	struct nic_frame *frame = &dev->nic.frame;
	unsigned buffers = 1;
	bool lent;

	frame->bytes = frame->segments = 0;
	if (!take(dev, NET_HEADER))
		return false;
	memcpy(&frame->header, frame->segment[0].data - NET_HEADER, NET_HEADER);
	lent = dev->nic.foreign && frame->header.flags & UPLINK_LENT;
	frame->header.flags &= NET_NEEDS_CSUM | NET_DATA_VALID;
	if (dev->device.features & NET_F_MRG_RXBUF)
		buffers = frame->header.num_buffers;
	if (!buffers || buffers > NIC_SEGMENTS || (lent && buffers > 1)) {
		trouble(&dev->nic, "a received frame names an impossible number of buffers");
		return false;
	}
	while (frame->segments < buffers) {
		if (take(dev, 0))
			continue;
		trouble(&dev->nic, "a received frame lacks buffers that its header names");
		return false;
	}
	return !lent || take_foreign(dev);
}

struct nic_frame *virtio_nic_receive(struct nic *nic)
{
	struct nic_frame *frame = &nic->frame;

	/* a device that gives each buffer back at once, with nothing in it, is looked at again later */
	for (unsigned n = 0; n < nic->rx_buffers && assemble(virtio_nic_of(nic)); n++) {
		bool fits = frame->header.gso_type != NET_GSO_NONE ||
			    frame->bytes <= nic->mtu + NIC_FRAME_EXTRA;

		if (fits && frame->bytes >= NIC_FRAME_MIN) {
			nic->stats.rx_frames++;
			nic->stats.rx_bytes += frame->bytes;
			return frame;
		}
		for (unsigned i = 0; i < frame->segments; i++)
			if (frame->segment[i].buffer != NIC_FOREIGN)
				virtio_nic_release(nic, frame->segment[i].buffer);
		nic->stats.rx_errors++;
	}
	return NULL;
}

/* 5.1.6.2: a driver must not say DATA_VALID; to lasthop's switch it is of use. */
static void write_header(const struct virtio_nic *dev, const struct nic_frame *frame)
{
	struct net_header header = frame->header;

	header.num_buffers = 0;
	if (!dev->is_uplink)
		header.flags &= NET_NEEDS_CSUM;
	memcpy(frame->segment[0].data - NET_HEADER, &header, NET_HEADER);
}

static void describe(struct virtio_nic *dev, uint16_t at, const struct nic_segment *s, bool first)
{
	uint16_t next = dev->tx_slot[at].next;

	dev->tx_slot[at].buffer = s->buffer;
	dev->tx_memory.desc[at] = (struct vq_desc){
		.address = nic_segment_dma(&dev->nic, s) - (first ? NET_HEADER : 0),
		.bytes = s->bytes + (first ? NET_HEADER : 0),
		.flags = next == VIRTIO_NIC_END ? 0 : VQ_DESC_NEXT,
		.next = next == VIRTIO_NIC_END ? 0 : next,
	};
}

bool virtio_nic_send(struct nic *nic, struct nic_frame *frame)
{
	struct virtio_nic *dev = virtio_nic_of(nic);
	struct offload o;
	uint16_t at = VIRTIO_NIC_END;

	if (frame->bytes < NIC_FRAME_MIN || !offload_parse(frame, nic->can_send, &o) ||
	    (!o.tso && frame->bytes > nic->mtu + NIC_FRAME_EXTRA)) {
		nic->stats.tx_bad++;
		return false;
	}
	if (frame->segments > dev->tx_free_count) {
		nic->stats.tx_full++;
		return false;
	}
	write_header(dev, frame);
	for (unsigned i = frame->segments; i-- > 0;) {
		uint16_t next = at;

		at = dev->tx_free[--dev->tx_free_count];
		dev->tx_slot[at] = (struct virtio_tx_slot){ .next = next, .head = !i };
		describe(dev, at, &frame->segment[i], !i);
	}
	vq_push(&dev->tx, at);
	dev->tx_chains++;
	nic_frame_out(nic, frame);
	nic->stats.tx_frames++;
	nic->stats.tx_bytes += frame->bytes;
	return true;
}

void virtio_nic_flush(struct nic *nic)
{
	struct virtio_nic *dev = virtio_nic_of(nic);

	if (vq_publish(&dev->tx))
		region_write16(&dev->tx_notify, 0, 1);
}

/* A chain that the device has sent: its first descriptor, or VIRTIO_NIC_END. */
static uint16_t next_chain(struct virtio_nic *dev)
{
	struct vq_used_elem e;

	if (!vq_pop(&dev->tx, &e)) {
		if (dev->tx.broken)
			trouble(&dev->nic, "it returned a descriptor that does not exist");
		return VIRTIO_NIC_END;
	}
	if (!dev->tx_slot[e.id].head) { /* vq_pop() has checked the range */
		trouble(&dev->nic, "it returned a transmit buffer that it did not have");
		return VIRTIO_NIC_END;
	}
	dev->tx_slot[e.id].head = false;
	dev->tx_chains--;
	return (uint16_t)e.id;
}

bool virtio_nic_sent(struct nic *nic, uint16_t *buffer)
{
	struct virtio_nic *dev = virtio_nic_of(nic);

	for (;;) { /* a frame's first segment has a buffer */
		uint16_t at = dev->tx_done;

		if (at == VIRTIO_NIC_END)
			at = next_chain(dev);
		if (at == VIRTIO_NIC_END)
			return false;
		*buffer = dev->tx_slot[at].buffer;
		dev->tx_done = dev->tx_slot[at].next;
		dev->tx_free[dev->tx_free_count++] = at;
		if (*buffer == NIC_FOREIGN) {
			nic->foreign_out--;
			continue;
		}
		nic->sending--;
		return true;
	}
}

bool virtio_nic_arm(struct nic *nic)
{
	struct virtio_nic *dev = virtio_nic_of(nic);
	bool quiet = vq_arm(&dev->rx, 1);

	if (nic_wants_sent(nic))
		quiet &= vq_arm(&dev->tx, (uint16_t)((dev->tx_chains + 1) / 2));
	return quiet;
}

void virtio_nic_disarm(struct nic *nic)
{
	struct virtio_nic *dev = virtio_nic_of(nic);

	vq_disarm(&dev->rx);
	vq_disarm(&dev->tx);
}

/*
 * It has no counters of its own, but signs that it has given up. Seen twice: a VM that is about to be paused
 * may still see that its device is, and one that goes on is a moment ahead of it.
 */
void virtio_nic_count(struct nic *nic)
{
	struct virtio_nic *dev = virtio_nic_of(nic);
	uint8_t status = virtio_status(&dev->device);
	bool stopped = !(status & VIRTIO_DRIVER_OK);

	if (status & VIRTIO_NEEDS_RESET)
		trouble(nic, "it needs a reset: it took exception to what the driver did");
	else if (stopped && dev->stopped)
		trouble(nic, "it has stopped by itself");
	dev->stopped = stopped;
}
