/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a NIC is to the driver domain: it receives frames into buffers that it was given, and sends
 * frames from buffers that another NIC has received. No frame is copied: of two NICs that are joined
 * (one leads to the world, one to the switch), each names the other's buffers in its rings, and gives
 * them back when it has sent them.
 *
 * One caller, with interrupts off; no function waits longer than it takes to reset the device.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guest/lib/virtio_net.h"

enum {
	NIC_BUFFER = 4096, /* bytes of a buffer */
	NIC_BUFFERS = 256, /* of a NIC, at most */
	NIC_SEGMENTS = 18, /* 64 KiB of TCP with headers, in buffers, and one to spare */
	NIC_MTU_MAX = 9000,
	NIC_FRAME_EXTRA = 18, /* of a frame beyond the MTU: Ethernet header and one VLAN tag */
	NIC_FRAME_MIN = 14,
};

/* Work that a frame's header may leave to the NIC that sends it (virtio 1.2, 5.1.6) */
enum { NIC_CSUM = 1, NIC_TSO4 = 2, NIC_TSO6 = 4 };

struct nic_buffer {
	uint8_t byte[NIC_BUFFER];
};

/* foreign: it lies in no buffer and is not ours to look at, only the device can read it, at this address
 * (lasthop/uplink.h). Never the first segment; the frame's buffers go back together. */
struct nic_segment {
	uint8_t *data;
	uint32_t bytes;
	uint16_t buffer;  /* which of its receiver's; NIC_FOREIGN */
	uint64_t foreign; /* 0: data is where it is */
};
enum { NIC_FOREIGN = 0xfffe, NIC_NO_BUFFER = 0xffff /* for drivers' own use */ };

/* In front of the first segment there are NET_HEADER bytes of its buffer that a sender may use. */
struct nic_frame {
	struct net_header header; /* ours: no device can change it any more */
	uint32_t bytes;
	unsigned segments;
	struct nic_segment segment[NIC_SEGMENTS];
};

struct nic_link {
	bool up, full_duplex;
	unsigned mbit_s; /* 0: not known */
};

/* Frames that were sent or received, and those that were not, by cause. The second half is what the
 * device itself has counted, if it does (nic->counts). */
struct nic_stats {
	uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes;
	uint64_t rx_errors; /* the device says that the frame is damaged, or it is too long */
	uint64_t tx_full;   /* no descriptor was free */
	uint64_t tx_bad;    /* the frame asks for work that makes no sense or was not agreed on */
	uint64_t device_rx_frames, device_tx_frames;
	uint64_t device_missed, device_no_buffer, device_crc_errors;
	uint64_t device_too_short, device_too_long;
};

struct nic {
	const struct nic_ops *ops;
	/* Set by nic_probe() */
	unsigned devfn;
	unsigned can_send;    /* NIC_CSUM …: work on frames sent that it does */
	unsigned can_receive; /* … on frames received that it can leave to whoever sends them on */
	unsigned mtu_max;
	bool mtu_told; /* mtu_max is what the device wants */
	/* Set by the caller between nic_probe() and start */
	uint64_t dma_offset; /* what a device adds to our addresses: nic_dma() */
	struct nic_buffer *buffers;
	unsigned mtu;
	unsigned receive; /* NIC_CSUM …: work of received frames that may be left undone */
	bool foreign;	  /* received frames may have foreign segments */
	uint16_t tx_wake; /* an interrupt for buffers sent is of use when so many are out */
	uint8_t vector;	  /* of its interrupt */
	/* Set by start, and while it runs */
	uint8_t mac[6];
	uint16_t rx_buffers;   /* how many it has taken, from the first on */
	const char *interrupt; /* its kind, for people; NULL: it has none, and must be polled */
	bool counts;	       /* the device has counters of its own */
	bool link_changed;     /* perhaps: link() tells */
	uint16_t sending;      /* buffers that are out */
	uint16_t foreign_out;  /* ... and foreign segments: guests wait for those */
	const char *trouble;   /* a sentence, once the device did what it must not */
	struct nic_frame frame;
	struct nic_stats stats;
};

struct nic_ops {
	const char *name;

	/* Resets the device, whatever state it was left in: from then on it leaves memory alone. Of two
	 * that are joined both are reset before one is started, since each has the other's buffers.
	 * NULL, or a sentence: what is wrong. */
	const char *(*reset)(struct nic *nic);

	/* Gives all buffers to a device that was reset, and starts it. NULL, or what is wrong. */
	const char *(*start)(struct nic *nic);

	struct nic_link (*link)(struct nic *nic);

	/* The next received frame, until the next call; NULL: there is none. Its buffers are the
	 * caller's until they are released, which the device learns at refill. */
	struct nic_frame *(*receive)(struct nic *nic);
	void (*release)(struct nic *nic, uint16_t buffer);
	void (*refill)(struct nic *nic);

	/* Takes a frame to be sent, all of it or nothing (false, counted); may change its headers.
	 * The device learns of it at flush. sent() tells one buffer after the other that is free
	 * again. */
	bool (*send)(struct nic *nic, struct nic_frame *frame);
	void (*flush)(struct nic *nic);
	bool (*sent)(struct nic *nic, uint16_t *buffer);

	/* Interrupts on, until the next one or disarm(). False: there is work already. */
	bool (*arm)(struct nic *nic);
	void (*disarm)(struct nic *nic);

	void (*count)(struct nic *nic); /* adds the device's own counters to the stats */
};

/* A driver's device at this place; NULL: it is none of ours. *error then is NULL, or a sentence: it
 * is, but it cannot be used. */
struct nic *nic_probe(unsigned devfn, const char **error);

/* Of what a device is told, each address comes from here: it is our own behind an IOMMU, which
 * translates it, and shifted by where our memory lies in the machine's without one. */
static inline uint64_t nic_dma(const struct nic *nic, const volatile void *at)
{
	return (uintptr_t)at + nic->dma_offset;
}

/* ... and of a segment, which may be foreign. */
static inline uint64_t nic_segment_dma(const struct nic *nic, const struct nic_segment *s)
{
	return s->foreign ? s->foreign : nic_dma(nic, s->data);
}

/* Is an interrupt for what was sent of use? */
static inline bool nic_wants_sent(const struct nic *nic)
{
	return nic->foreign_out || (nic->sending && nic->sending >= nic->tx_wake);
}

/* Segments that lie in buffers: so many come back by sent(). */
static inline unsigned nic_frame_buffers(const struct nic_frame *frame)
{
	unsigned count = 0;

	for (unsigned i = 0; i < frame->segments; i++)
		count += frame->segment[i].buffer != NIC_FOREIGN;
	return count;
}

/* The frame is the device's now. */
static inline void nic_frame_out(struct nic *nic, const struct nic_frame *frame)
{
	unsigned buffers = nic_frame_buffers(frame);

	nic->sending = (uint16_t)(nic->sending + buffers);
	nic->foreign_out = (uint16_t)(nic->foreign_out + frame->segments - buffers);
}
