/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver domain that misbehaves. It has a NIC, an uplink, and nothing to lose: by seed it makes the
 * NIC read and write what is not its own, forges interrupts, plays with configuration space, and dies in
 * one of several ways; it is started again, and begins with looking whether its last life has left
 * anything behind. What the acts do to it alone, attempt() of guest/abuse mends.
 */
#pragma once

#include "guest/abuse/abuse.h"
#include "guest/lib/pci.h"
#include "tests/boot/attack/claimed.h"

/* The NIC: one of Intel's, or the second virtio-net device, which act_vq() finds as it does the uplink.
 * False: there is none. */
bool nic_find(void);
extern unsigned nic_devfn;
extern bool nic_is_intel;	   /* else it has no registers that are known here */
extern struct pci_region nic_regs; /* of Intel's */

/* At the start of a life: the NIC's receiver and transmitter are off, and it is no bus master. */
bool nic_is_silent(void);

/* … and its PHY is not in loopback, as the last life may have left it. */
bool nic_phy_is_plain(void);

/* Between two acts: reset, silent, its interrupts off. */
void nic_calm(void);

/* dma.c: a 82574L that receives what it sends. */
abuse_act act_dma_read, act_dma_write, act_dma_rings, act_dma_message;
/* Frames under way, into memory of ours, and more to come. */
void dma_leave_running(void);

/* The worst, which must be asked for: a message in the old format. */
void dma_old_message(void);

/* borrow.c: keeps what the switch lends to its uplink, or gives it back too early. */
abuse_act act_borrow;

/* irq.c */
abuse_act act_forge, act_storm_messages, act_storm_pin, act_reset_flood, act_bar_walk;
