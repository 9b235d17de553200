/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The descriptor rings (8254x manual, 3.2 "Packet Reception" and 3.4 "Transmit Descriptor Ring
 * Structure"): the device owns the descriptors from head to tail, and tells that it is done with one
 * by a bit (DD) in it. The rings lie in memory that the device writes: what is needed to give buffers
 * back stands in arrays of ours beside them. Tested on the host.
 */
#include "drivers/intel/intel.h"

#include "drivers/offload.h"

enum {
	DTALEN_MAX = 16288,
	OFFSET_MAX = 255
}; /* 3.3.7: of a data descriptor; 3.3.6: 8-bit fields */

static uint64_t load64(const volatile uint64_t *at)
{
	uint64_t value = *at;

	__asm__ volatile(""
			 :
			 :
			 : "memory"); /* what it tells of is read after it; x86 keeps to that */
	return value;
}

void intel_rx_start(struct intel *dev)
{
	uint64_t at = nic_dma(&dev->nic, dev->rx_ring);

	dev->rx_next = dev->rx_tail = 0;
	dev->rx_partial = false;
	intel_write(dev, REG_RDBAL, (uint32_t)at);
	intel_write(dev, REG_RDBAH, (uint32_t)(at >> 32));
	intel_write(dev, REG_RDLEN, sizeof(dev->rx_ring));
	intel_write(dev, REG_RDH, 0);
	intel_write(dev, REG_RDT, 0);
	dev->nic.rx_buffers = INTEL_RX_RING - 1;
	for (uint16_t i = 0; i < dev->nic.rx_buffers; i++)
		intel_release(&dev->nic, i);
}

void intel_tx_start(struct intel *dev)
{
	uint64_t at = nic_dma(&dev->nic, dev->tx_ring);

	dev->tx_clean = dev->tx_next = 0;
	dev->nic.sending = dev->nic.foreign_out = 0;
	intel_write(dev, REG_TDBAL, (uint32_t)at);
	intel_write(dev, REG_TDBAH, (uint32_t)(at >> 32));
	intel_write(dev, REG_TDLEN, sizeof(dev->tx_ring));
	intel_write(dev, REG_TDH, 0);
	intel_write(dev, REG_TDT, 0);
}

void intel_release(struct nic *nic, uint16_t buffer)
{
	struct intel *dev = intel_of(nic);
	volatile struct intel_rx_desc *d = &dev->rx_ring[dev->rx_tail];

	d->address = nic_dma(nic, nic->buffers[buffer].byte + INTEL_RX_AT);
	d->result = 0;
	dev->rx_buffer[dev->rx_tail] = buffer;
	dev->rx_tail = (dev->rx_tail + 1) % INTEL_RX_RING;
}

void intel_refill(struct nic *nic)
{
	intel_write(intel_of(nic), REG_RDT, intel_of(nic)->rx_tail);
}

/* One descriptor that the device is done with: 0 if there is none. The ring is never full of released
 * buffers, so that the one at rx_tail has none, and is not looked at. */
static uint64_t rx_pop(struct intel *dev, uint16_t *buffer)
{
	uint64_t result;

	if (dev->rx_next == dev->rx_tail)
		return 0;
	result = load64(&dev->rx_ring[dev->rx_next].result);
	if (!(result & RX_DD))
		return 0;
	*buffer = dev->rx_buffer[dev->rx_next];
	dev->rx_next = (dev->rx_next + 1) % INTEL_RX_RING;
	return result;
}

static void append(struct nic_frame *frame, struct nic *nic, uint16_t buffer, uint32_t bytes)
{
	frame->segment[frame->segments++] = (struct nic_segment){
		.data = nic->buffers[buffer].byte + INTEL_RX_AT,
		.bytes = bytes,
		.buffer = buffer,
	};
	frame->bytes += bytes;
}

static void rx_drop(struct intel *dev)
{
	for (unsigned i = 0; i < dev->nic.frame.segments; i++)
		intel_release(&dev->nic, dev->nic.frame.segment[i].buffer);
	dev->nic.stats.rx_errors++;
}

/* A frame's last descriptor has come: whether the frame is good. */
static bool rx_finish(struct intel *dev, uint64_t result)
{
	struct nic *nic = &dev->nic;

	if (dev->rx_bad || result & RX_DAMAGED || nic->frame.bytes < NIC_FRAME_MIN ||
	    nic->frame.bytes > nic->mtu + NIC_FRAME_EXTRA)
		return false;
	if (!(result & (RX_IXSM | RX_TCPE | RX_IPE)) && result & RX_TCPCS)
		nic->frame.header.flags = NET_DATA_VALID;
	nic->stats.rx_frames++;
	nic->stats.rx_bytes += nic->frame.bytes;
	return true;
}

/* A frame that is longer than a segment lies in several descriptors, which may come one by one. */
struct nic_frame *intel_receive(struct nic *nic)
{
	struct intel *dev = intel_of(nic);
	struct nic_frame *frame = &nic->frame;
	uint16_t buffer = 0;
	uint64_t result;

	/* a device that gives each buffer back at once, with nothing in it, is looked at again later */
	for (unsigned n = 0; n < INTEL_RX_RING && (result = rx_pop(dev, &buffer)); n++) {
		if (!dev->rx_partial) {
			frame->header = (struct net_header){ 0 };
			frame->bytes = frame->segments = 0;
			dev->rx_bad = false;
		}
		dev->rx_partial = !(result & RX_EOP);
		if (RX_LENGTH(result) > INTEL_RX_BYTES || frame->segments == NIC_SEGMENTS)
			dev->rx_bad = true;
		if (dev->rx_bad)
			intel_release(nic, buffer);
		else
			append(frame, nic, buffer, RX_LENGTH(result));
		if (dev->rx_partial)
			continue;
		if (rx_finish(dev, result))
			return frame;
		rx_drop(dev);
	}
	return NULL;
}

static unsigned tx_free(const struct intel *dev)
{
	return (dev->tx_clean - dev->tx_next - 1u) % INTEL_TX_RING;
}

static void tx_put(struct intel *dev, uint64_t first, uint64_t second, struct intel_tx_slot slot)
{
	volatile struct intel_tx_desc *d = &dev->tx_ring[dev->tx_next];

	d->first = first;
	d->second = second;
	dev->tx_slot[dev->tx_next] = slot;
	dev->tx_next = (dev->tx_next + 1) % INTEL_TX_RING;
}

/* 3.3.6: where the headers are. The end of what is summed is the frame's (TUCSE 0), and the end of the
 * IPv4 header (IPCSE) its last byte. */
static void tx_context(struct intel *dev, const struct offload *o, uint16_t last)
{
	uint64_t first = (uint64_t)o->l4 << 32 | (uint64_t)o->csum_at << 40;
	uint64_t second = TX_DEXT;

	if (o->tso) {
		first |= o->l3;
		second |= TX_TSE | TX_TCP | o->payload | (uint64_t)o->headers << 40 |
			  (uint64_t)o->segment << 48;
	}
	if (o->tso && o->ipv4) {
		first |= (o->l3 + 10) << 8 | (uint64_t)(o->l4 - 1) << 16;
		second |= TX_IP;
	}
	tx_put(dev, first, second, (struct intel_tx_slot){ NIC_NO_BUFFER, last });
}

/* Whether the device can do what the frame asks for. */
static bool tx_possible(const struct nic *nic, const struct nic_frame *frame, struct offload *o)
{
	if (frame->bytes < NIC_FRAME_MIN || !offload_parse(frame, nic->can_send, o))
		return false;
	if (o->csum && o->csum_at > OFFSET_MAX)
		return false;
	if (o->tso)
		return o->headers <= OFFSET_MAX &&
		       o->headers + o->segment <= nic->mtu + NIC_FRAME_EXTRA;
	return frame->bytes <= nic->mtu + NIC_FRAME_EXTRA;
}

/* Descriptors for a frame's data: a foreign segment may need several. */
static unsigned tx_pieces(const struct nic_frame *frame)
{
	unsigned pieces = 0;

	for (unsigned i = 0; i < frame->segments; i++)
		pieces += (frame->segment[i].bytes + DTALEN_MAX - 1) / DTALEN_MAX;
	return pieces;
}

/* One segment; `end`: what its last descriptor says besides. */
static void tx_segment(struct intel *dev, const struct nic_segment *s, uint64_t command,
		       uint64_t end, uint16_t last)
{
	uint64_t at = nic_segment_dma(&dev->nic, s);
	uint32_t left = s->bytes;

	for (uint16_t buffer = s->buffer; left > 0; buffer = NIC_NO_BUFFER) {
		uint32_t bytes = left < DTALEN_MAX ? left : DTALEN_MAX;

		left -= bytes;
		tx_put(dev, at, command | (left ? 0 : end) | bytes,
		       (struct intel_tx_slot){ buffer, last });
		at += bytes;
	}
}

bool intel_send(struct nic *nic, struct nic_frame *frame)
{
	unsigned pieces = tx_pieces(frame);
	struct intel *dev = intel_of(nic);
	uint64_t command = TX_DEXT | TX_DTYP_DATA | TX_IFCS;
	struct offload o;
	uint16_t last;

	if (!tx_possible(nic, frame, &o)) {
		nic->stats.tx_bad++;
		return false;
	}
	if (pieces + 1u > tx_free(dev)) {
		nic->stats.tx_full++;
		return false;
	}
	last = (uint16_t)((dev->tx_next + pieces - !o.csum) % INTEL_TX_RING);
	if (o.csum) {
		command |= TX_TXSM | (o.tso ? TX_TSE : 0) | (o.tso && o.ipv4 ? TX_IXSM : 0);
		tx_context(dev, &o, last);
	}
	if (o.tso)
		offload_clear_lengths(frame, &o);
	for (unsigned i = 0; i < frame->segments; i++)
		tx_segment(dev, &frame->segment[i], command,
			   i + 1 == frame->segments ? TX_EOP | TX_RS : 0, last);
	nic_frame_out(nic, frame);
	nic->stats.tx_frames++;
	nic->stats.tx_bytes += frame->bytes;
	return true;
}

void intel_flush(struct nic *nic)
{
	intel_write(intel_of(nic), REG_TDT, intel_of(nic)->tx_next);
}

static bool tx_done(const struct intel *dev)
{
	uint16_t last = dev->tx_slot[dev->tx_clean].last;

	return dev->tx_clean != dev->tx_next && load64(&dev->tx_ring[last].second) & TX_DD;
}

bool intel_sent(struct nic *nic, uint16_t *buffer)
{
	struct intel *dev = intel_of(nic);

	while (tx_done(dev)) {
		*buffer = dev->tx_slot[dev->tx_clean].buffer;
		dev->tx_clean = (dev->tx_clean + 1) % INTEL_TX_RING;
		if (*buffer == NIC_FOREIGN) {
			nic->foreign_out--;
		} else if (*buffer != NIC_NO_BUFFER) {
			nic->sending--;
			return true;
		}
	}
	return false;
}

bool intel_has_work(const struct intel *dev, bool send)
{
	if (dev->rx_next != dev->rx_tail && load64(&dev->rx_ring[dev->rx_next].result) & RX_DD)
		return true;
	return send && tx_done(dev);
}
