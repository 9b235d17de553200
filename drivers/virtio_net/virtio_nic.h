/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtio-net device (virtio 1.2, 5.1), as NIC and as uplink: one queue pair, split rings. Receive
 * buffer i is descriptor i. A frame to be sent is a chain of descriptors from a stack of free ones;
 * which buffer is behind each, and which comes next, stands beside the ring, where the device cannot
 * change it.
 */
#pragma once

#include "drivers/nic.h"
#include "guest/lib/virtio_pci.h"

enum { VIRTIO_NIC_END = 0xffff };

struct virtio_tx_slot {
	uint16_t buffer, next; /* next: VIRTIO_NIC_END after the chain's last */
	bool head;	       /* the device has a chain that begins here */
};

struct virtio_nic {
	struct nic nic;
	struct virtio_device device;
	struct pci_region rx_notify, tx_notify, control_notify;
	struct vq rx, tx, control;
	bool is_uplink; /* of lasthop */
	bool rx_out[VQ_MAX];
	struct virtio_tx_slot tx_slot[VQ_MAX];
	uint16_t tx_free[VQ_MAX], tx_free_count;
	uint16_t tx_done;   /* rest of a chain that came back */
	uint16_t tx_chains; /* that are out */
	bool stopped;	    /* it was not running when last looked at */
	struct {
		uint8_t class, number, data, answer;
	} command;
	struct vq_memory rx_memory, tx_memory, control_memory;
};

struct virtio_nic *virtio_nic_of(struct nic *nic);

void virtio_nic_fill(struct virtio_nic *dev); /* describes and pushes the receive buffers */

/* rings.c: what goes into struct nic_ops */
struct nic_frame *virtio_nic_receive(struct nic *nic);
void virtio_nic_release(struct nic *nic, uint16_t buffer);
void virtio_nic_refill(struct nic *nic);
bool virtio_nic_send(struct nic *nic, struct nic_frame *frame);
void virtio_nic_flush(struct nic *nic);
bool virtio_nic_sent(struct nic *nic, uint16_t *buffer);
bool virtio_nic_arm(struct nic *nic);
void virtio_nic_disarm(struct nic *nic);
void virtio_nic_count(struct nic *nic);
