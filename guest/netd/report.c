/* SPDX-License-Identifier: BSD-2-Clause */
/* What netd says on its console: a line each, for people. */
#include "guest/lib/print.h"
#include "guest/lib/trap.h"
#include "guest/netd/netd.h"

void netd_report_device(unsigned devfn, const char *what)
{
	print("netd: 00:%02x.%x is not used: %s\n", devfn >> 3, devfn & 7, what);
}

static void print_link(const struct nic_link *link)
{
	if (!link->up)
		print("link down");
	else if (link->mbit_s)
		print("link up, %u Mbit/s%s", link->mbit_s,
		      link->full_duplex ? "" : " half duplex");
	else
		print("link up");
}

void netd_report_port(const struct netd_port *port)
{
	const struct nic *nic = port->nic, *uplink = port->uplink;
	const uint8_t *mac = nic->mac;

	print("netd: %s 00:%02x.%x, %02x:%02x:%02x:%02x:%02x:%02x, to uplink 00:%02x.%x, MTU %u, ",
	      nic->ops->name, nic->devfn >> 3, nic->devfn & 7, mac[0], mac[1], mac[2], mac[3],
	      mac[4], mac[5], uplink->devfn >> 3, uplink->devfn & 7, nic->mtu);
	print("%s%s%s%s, ", nic->interrupt ? nic->interrupt : "polled",
	      uplink->receive & NIC_CSUM ? ", sends checksums" : "",
	      uplink->receive & NIC_TSO4 ? " TSO4" : "", uplink->receive & NIC_TSO6 ? " TSO6" : "");
	print_link(&port->link);
	print("\n");
	if (!nic->interrupt)
		print("netd: %s 00:%02x.%x has no interrupt that can be routed: it is polled by a "
		      "timer\n",
		      nic->ops->name, nic->devfn >> 3, nic->devfn & 7);
}

void netd_report_link(const struct netd_port *port)
{
	print("netd: %s 00:%02x.%x ", port->nic->ops->name, port->nic->devfn >> 3,
	      port->nic->devfn & 7);
	print_link(&port->link);
	print(" (change %u)\n", port->link_changes);
}

static void print_path(const char *name, const struct netd_path *path)
{
	const struct nic_stats *from = &path->from->stats, *to = &path->to->stats;

	print("; %s: %lu frames %lu bytes, %lu damaged, dropped %lu (%lu no room, %lu bad request, "
	      "%lu link down)",
	      name, to->tx_frames, to->tx_bytes, from->rx_errors,
	      path->dropped + path->link_dropped, to->tx_full, to->tx_bad, path->link_dropped);
}

void netd_report_stats(const struct netd_port *port)
{
	const struct nic *nic = port->nic;
	const struct nic_stats *s = &nic->stats;

	print("netd: %s 00:%02x.%x", nic->ops->name, nic->devfn >> 3, nic->devfn & 7);
	print_path("out", &port->out);
	print_path("in", &port->in);
	if (nic->counts)
		print("; the device: %lu received, %lu sent, %lu missed, %lu without buffer, %lu "
		      "CRC "
		      "errors, %lu too short, %lu too long",
		      s->device_rx_frames, s->device_tx_frames, s->device_missed,
		      s->device_no_buffer, s->device_crc_errors, s->device_too_short,
		      s->device_too_long);
	print("; %u interrupts, %u of the uplink, %u link changes\n", irq_seen[nic->vector],
	      irq_seen[port->uplink->vector], port->link_changes);
}
