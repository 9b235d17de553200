/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtio network device (virtio 1.2, section 5.1): configuration and negotiation. Its queues
 * are served by the switch (vswitch/), which asks back through vswitch/env.h.
 */
#pragma once

#include "hv/core/config.h"
#include "hv/core/list.h"
#include "hv/dev/switch_env.h"
#include "hv/dev/virtio_net_ctrl.h"
#include "hv/dev/virtio_pci.h"
#include "vswitch/switch.h"

#define VIRTIO_NET_MAX_QUEUES (2 * CONFIG_MAX_QUEUE_PAIRS + 1) /* the last: control */

struct vm;

struct virtio_net {
	struct virtio_pci virtio;
	struct list all;		 /* under the list's lock: every device there is */
	const struct config_net *config; /* (c) */
	struct port *port;		 /* (c) */
	_Atomic bool
		world_away; /* link-follows-uplink, and none is up; changed under the list's lock */
	struct switch_work work[2 * CONFIG_MAX_QUEUE_PAIRS];
	struct net_ctrl ctrl;
};

/* Around the control calls of its switch. */
void virtio_net_lock_switch(struct virtio_net *net);
void virtio_net_unlock_switch(struct virtio_net *net);

/* The same by a switch's number in the config. */
void virtio_net_lock(unsigned i);
void virtio_net_unlock(unsigned i);

/* Switches and uplinks, from the config; once. */
int virtio_net_switches(const struct config *config);

/* By its number in the config; NULL: there is none. */
struct vswitch *virtio_net_switch(unsigned i);

/* Puts a switch (NULL: none) at that number and returns the one that was there: it has no port, and the new
 * one has none yet. Under vm_table_lock. */
struct vswitch *virtio_net_switch_put(unsigned i, struct vswitch *sw);

/* The device with its port on the config's switch; NULL: an error, logged. Destroying it first
 * stops its queues. */
struct virtio_net *virtio_net_create(struct vm *vm, struct pcie *pcie,
				     const struct config_net *config);
void virtio_net_destroy(struct virtio_net *net);

/* The cable of its device out or in: the guest is told. Any CPU, under vm_table_lock. */
void virtio_net_set_link(struct port *port, bool up);

/* An uplink of that switch is up now, or none is: guests of devices with link-follows-uplink are told, if that
 * is new to them. Under the switch's control lock. */
void virtio_net_follow(unsigned switch_index, bool up);

/* The guest sees its link down since no uplink is up, which it follows. Any CPU, under vm_table_lock. */
bool virtio_net_uplinks_away(struct port *port);

/* The feature bits offered, and those accepted; false: no driver runs. Any CPU, under vm_table_lock. */
bool virtio_net_features(struct port *port, uint64_t *offered, uint64_t *accepted);

/* The port with this MAC, and its VM. */
struct port *virtio_net_port_by_mac(const uint8_t mac[6], struct vm **vm);
