/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the drivers of Intel's gigabit controllers share: rings, link, interrupts and statistics. A
 * driver resets its device and finds its address by itself, then calls intel_start().
 */
#pragma once

#include <stddef.h>

#include "drivers/intel/regs.h"
#include "drivers/nic.h"
#include "guest/lib/pci.h"

/* Of the receive ring one descriptor stays empty: a full one would look like an empty one. A frame to
 * be sent takes one more than its segments at most. In a receive buffer, what the device writes begins
 * a cache line, behind room for a header. */
enum { INTEL_RX_RING = 256, INTEL_TX_RING = 1024, INTEL_RX_BYTES = 2048, INTEL_RX_AT = 64 };
_Static_assert((int)INTEL_RX_AT >= (int)NET_HEADER, "a frame has room for a header in front");
_Static_assert((int)INTEL_RX_AT + INTEL_RX_BYTES <= (int)NIC_BUFFER, "and fits into its buffer");

/* One for each descriptor that is out */
struct intel_tx_slot {
	uint16_t buffer; /* NIC_FOREIGN; NIC_NO_BUFFER: a context, or what follows of a segment */
	uint16_t last;	 /* the frame's last descriptor, which tells that all are done */
};

struct intel {
	struct nic nic;
	struct pci_region regs;
	uint32_t causes_receive, causes_send; /* that arm() asks for; the link's always */
	bool rx_partial;		      /* nic.frame holds the beginning of a frame */
	bool rx_bad;			      /* … that is to be dropped */
	uint16_t rx_next;		      /* descriptor that the device fills next */
	uint16_t rx_tail;		      /* … that gets the next released buffer */
	uint16_t tx_clean, tx_next;	      /* oldest that is out; next to be written */
	uint16_t rx_buffer[INTEL_RX_RING];    /* in the descriptor */
	struct intel_tx_slot tx_slot[INTEL_TX_RING];
	struct intel_rx_desc rx_ring[INTEL_RX_RING] __attribute__((aligned(128)));
	struct intel_tx_desc tx_ring[INTEL_TX_RING] __attribute__((aligned(128)));
};

static inline struct intel *intel_of(struct nic *nic)
{
	return (struct intel *)((char *)nic - offsetof(struct intel, nic));
}

static inline uint32_t intel_read(const struct intel *dev, uint32_t reg)
{
	return region_read32(&dev->regs, reg);
}

static inline void intel_write(const struct intel *dev, uint32_t reg, uint32_t value)
{
	region_write32(&dev->regs, reg, value);
}

/* Waits until the bits of the register are as wanted; false: they are not, after all the time. */
bool intel_wait(const struct intel *dev, uint32_t reg, uint32_t mask, uint32_t value, unsigned us);

/* Lets memory accesses and bus mastering of the function through, and finds its registers. */
const char *intel_open_pci(struct intel *dev);

/* Interrupts and DMA off, whoever used the device before; then the reset (CTRL.RST). */
const char *intel_reset(struct intel *dev);

/* Rings, filters, receiver and transmitter, with the address in nic.mac. */
void intel_start(struct intel *dev);

void intel_rx_start(struct intel *dev); /* rings.c: called by intel_start() */
void intel_tx_start(struct intel *dev);

/* What goes into struct nic_ops */
struct nic_link intel_link(struct nic *nic);
struct nic_frame *intel_receive(struct nic *nic);
void intel_release(struct nic *nic, uint16_t buffer);
void intel_refill(struct nic *nic);
bool intel_send(struct nic *nic, struct nic_frame *frame);
void intel_flush(struct nic *nic);
bool intel_sent(struct nic *nic, uint16_t *buffer);
bool intel_arm(struct nic *nic);
void intel_disarm(struct nic *nic);
void intel_count(struct nic *nic);

/* Anything to receive, or to take back of what was sent? */
bool intel_has_work(const struct intel *dev, bool send);
