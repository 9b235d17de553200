/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control queue of a virtio-net device. Lock order: the transport's, the queue's, the switch's
 * control lock. It starts with the queue and ends, all it has set undone, with it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/dev/device_queue.h"
#include "vswitch/filter.h"

/* virtio 1.2, 5.1.3 */
#define VIRTIO_NET_F_CTRL_GUEST_OFFLOADS (1ull << 2)
#define VIRTIO_NET_F_CTRL_VQ		 (1ull << 17)
#define VIRTIO_NET_F_CTRL_RX		 (1ull << 18)
#define VIRTIO_NET_F_CTRL_VLAN		 (1ull << 19)
#define VIRTIO_NET_F_CTRL_RX_EXTRA	 (1ull << 20)
#define VIRTIO_NET_F_MQ			 (1ull << 22)
#define VIRTIO_NET_F_CTRL_MAC_ADDR	 (1ull << 23)

/* Feature bits of the commands there are, but MQ. */
#define NET_CTRL_FEATURES                                                                          \
	(VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_CTRL_RX | VIRTIO_NET_F_CTRL_VLAN |                    \
	 VIRTIO_NET_F_CTRL_RX_EXTRA | VIRTIO_NET_F_CTRL_MAC_ADDR |                                 \
	 VIRTIO_NET_F_CTRL_GUEST_OFFLOADS)

struct virtio_net;

/* All under the queue's lock. */
struct net_ctrl {
	struct device_queue queue;
	uint8_t mode; /* a bit for each of the receive modes */
	bool too_many_unis, too_many_multis;
	uint8_t mac[6]; /* the guest's choice, at first the config's */
	struct filter filter, draft;
};

void virtio_net_ctrl_init(struct virtio_net *net);

/* false, and logged: the rings cannot be used. */
bool virtio_net_ctrl_start(struct virtio_net *net, unsigned number);
void virtio_net_ctrl_stop(struct virtio_net *net);
