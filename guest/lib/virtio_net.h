/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-net, driver side (virtio 1.2, section 5.1): one device, one queue pair. Frames go out of
 * and come into buffers of the driver, without a copy. Interrupts: IRQ_NET_RX, IRQ_NET_TX; the
 * caller works with interrupts off and sleeps in net_sleep().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Segments: 64 KiB in pages, with the header */
enum { NET_HEADER = 12, NET_MAX_SEGMENTS = 17, NET_COMMAND_BYTES = 1024 };

/* What the device may leave to the driver, and the other way round (5.1.3): net_want() */
#define NET_F_CSUM	 (1ull << 0)
#define NET_F_GUEST_CSUM (1ull << 1)
#define NET_F_GUEST_TSO4 (1ull << 7)
#define NET_F_GUEST_TSO6 (1ull << 8)
#define NET_F_HOST_TSO4	 (1ull << 11)
#define NET_F_HOST_TSO6	 (1ull << 12)
#define NET_F_GUEST_USO4 (1ull << 54)
#define NET_F_GUEST_USO6 (1ull << 55)
#define NET_F_HOST_USO	 (1ull << 56)

/* struct virtio_net_hdr, 5.1.6 */
struct net_header {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
} __attribute__((may_alias));

_Static_assert(sizeof(struct net_header) == NET_HEADER, "as the device has it");

enum { NET_NEEDS_CSUM = 1, NET_DATA_VALID = 2 };
enum { NET_GSO_NONE = 0, NET_GSO_TCPV4 = 1, NET_GSO_TCPV6 = 4, NET_GSO_UDP_L4 = 5 };

#define NET_F_MTU	    (1ull << 3)
#define NET_F_MAC	    (1ull << 5)
#define NET_F_MRG_RXBUF	    (1ull << 15)
#define NET_F_STATUS	    (1ull << 16)
#define NET_F_CTRL_VQ	    (1ull << 17)
#define NET_F_CTRL_RX	    (1ull << 18)
#define NET_F_CTRL_VLAN	    (1ull << 19)
#define NET_F_CTRL_RX_EXTRA (1ull << 20)
#define NET_F_CTRL_MAC_ADDR (1ull << 23)

/* Offsets in the device configuration (5.1.4) */
enum { NET_CONFIG_MAC = 0, NET_CONFIG_STATUS = 6, NET_CONFIG_MTU = 10, NET_STATUS_LINK_UP = 1 };

/* How a frame to be sent is described to the device */
enum net_tx_mode { NET_TX_SINGLE, NET_TX_CHAIN, NET_TX_INDIRECT };

struct net_info {
	uint8_t mac[6];
	unsigned mtu;
	uint64_t features;
	unsigned rx_buffers, tx_slots;
};

/* A received frame: its header and its pieces in the driver's buffers, until net_release(). */
struct net_frame {
	const struct net_header *header;
	uint32_t bytes;
	unsigned segments;
	struct net_segment {
		const uint8_t *data;
		uint32_t bytes;
		uint16_t buffer;
	} segment[NET_MAX_SEGMENTS];
};

/* Further features for net_open(), used if the device offers them: packed rings, control queue. */
void net_want(uint64_t features);

/* Opens the index'th virtio-net device. NULL, or what is wrong. */
const char *net_open(unsigned index, enum net_tx_mode mode);
const struct net_info *net_info(void);

/* The next frame; false if there is none. */
bool net_receive(struct net_frame *frame);
/* Gives its buffers back; the device sees them at net_refill() or some frames later. */
void net_release(const struct net_frame *frame);
void net_refill(void);

/* Sending: a slot is a buffer for one frame, free or owned by the device. */
int net_tx_slot(void);		       /* a free one, or -1 */
uint8_t *net_tx_buffer(unsigned slot); /* its frame's first byte; mtu + 18 bytes */
void net_tx_push(unsigned slot, uint32_t bytes);
/* A frame of any length from elsewhere; the header asks the device for its part. NET_TX_SINGLE needs
 * VIRTIO_F_INDIRECT_DESC for it, to be wanted. The slot stays so until net_tx_own(). */
void net_tx_push_from(unsigned slot, const struct net_header *header, const void *frame,
		      uint32_t bytes);
/* The slot's frame is in its own buffer again, with nothing for the device to do. */
void net_tx_own(unsigned slot);
void net_tx_flush(void);   /* what was pushed is for the device to send */
void net_tx_reclaim(void); /* takes back the slots that are done */
unsigned net_tx_free(void);

/* Sleeps until about half of the pushed frames are done; at most to the deadline (TSC). */
void net_tx_sleep(uint64_t deadline);

/* Sleeps until a frame is there, another interrupt comes or the deadline is over. */
void net_sleep(uint64_t deadline);

/* A command on the control queue (virtio 1.2, 5.1.6.5), which must have been wanted: waits for the
 * answer. data: at most NET_COMMAND_BYTES. NULL, or what is wrong. */
const char *net_command(uint8_t class, uint8_t number, const void *data, uint32_t bytes);

/* A sentence if the device misbehaved or wants a reset, else NULL. */
const char *net_trouble(void);
