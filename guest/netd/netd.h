/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver domain's program: joins each NIC with the uplink that leads to the switch, and moves
 * frames between them without a copy. Whatever goes wrong ends it with a sentence: the hypervisor
 * starts it again.
 *
 * Boot arguments:
 *   uplink=00:04.0[,00:05.0]  these virtio-net devices lead to the switch, too (without lasthop)
 *   mtu=N                     where the uplink tells none (1500)
 *   dma-offset=0xN            added to addresses that NICs are told (from lasthop, without IOMMU)
 *   offload=none|csum|tso     the most that NICs are left to do (tso); an emulated 82574L whose network
 *                             does not know virtio's header segments wrong (QEMU before 8.0)
 *   watchdog=MS               the hypervisor is to restart us after so long without a sign (1000)
 *
 * Keys on the console: s shows statistics, r resets all devices and goes on.
 */
#pragma once

#include "drivers/nic.h"

enum { NETD_PORTS = 4, NETD_BURST = 32 };

/* Frames of one side, sent by the other */
struct netd_path {
	struct nic *from, *to;
	uint64_t dropped;      /* the sender would not have them: its stats say why */
	uint64_t link_dropped; /* its link was down */
};

struct netd_port {
	struct nic *nic, *uplink;
	struct netd_path out, in; /* to the world; to the switch */
	struct nic_link link;	  /* the NIC's, as last reported */
	unsigned link_changes;
	uint64_t stuck_sent; /* frames sent, of which buffers have been out for … */
	uint64_t stuck_ms;   /* … so long, by our ticks */
};

extern struct netd_port netd_ports[NETD_PORTS];
extern unsigned netd_port_count;

struct netd_args {
	uint64_t dma_offset, mtu, watchdog_ms;
	unsigned offload; /* NIC_CSUM … */
};

/* Finds all devices, and opens them in pairs; ends the guest if there is none. */
void netd_find(const struct netd_args *args);

/* Resets both devices of a port, in whatever state they are, and starts them with all buffers. */
void netd_open(struct netd_port *port);

/* Tells the hypervisor, if there is one, whether the NIC has a link. */
void netd_tell_carrier(const struct netd_port *port);

/* Moves at most a burst; false: there was nothing to do. */
bool netd_forward(struct netd_path *path, bool link_up);

/* Forever. */
_Noreturn void netd_run(uint64_t watchdog_ms);

void netd_report_device(unsigned devfn, const char *what);
void netd_report_port(const struct netd_port *port);
void netd_report_link(const struct netd_port *port);
void netd_report_stats(const struct netd_port *port);
