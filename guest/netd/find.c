/* SPDX-License-Identifier: BSD-2-Clause */
/* Which devices there are, which of them belong together, and what the two sides agree on. */
#include <stddef.h>

#include "guest/lib/args.h"
#include "guest/lib/pci.h"
#include "guest/lib/print.h"
#include "guest/lib/runtime.h"
#include "guest/netd/netd.h"
#include "lasthop/uplink.h"

enum { VENDOR_VIRTIO = 0x1af4, CLASS_NETWORK = 0x02, CLASS_SHIFT = 24, MULTI_FUNCTION = 0x80 };
enum { FIRST_VECTOR = 0x70, DEVICE_FUNCTIONS = 8 };

struct netd_port netd_ports[NETD_PORTS];
unsigned netd_port_count;

static struct nic_buffer buffers[2 * NETD_PORTS][NIC_BUFFERS] __attribute__((aligned(4096)));

/* "00:04.0" and more, separated by commas */
static bool named_as_uplink(unsigned devfn)
{
	char text[64], *at = text;
	const char want[3] = { "0123456789abcdef"[devfn >> 7], "0123456789abcdef"[devfn >> 3 & 15],
			       (char)('0' + (devfn & 7)) };

	if (!args_string(guest_cmdline(), "uplink", text, sizeof(text)))
		return false;
	for (; *at; at++) {
		if (at[0] == '0' && at[1] == '0' && at[2] == ':' && at[3] == want[0] &&
		    at[4] == want[1] && at[5] == '.' && at[6] == want[2])
			return true;
		while (*at && *at != ',')
			at++;
		if (!*at)
			break;
	}
	return false;
}

static bool is_uplink(unsigned devfn)
{
	return (pci_read16(devfn, PCI_VENDOR) == VENDOR_VIRTIO &&
		pci_read16(devfn, PCI_SUBSYSTEM) == UPLINK_PCI_SUBSYSTEM) ||
	       named_as_uplink(devfn);
}

static void add(unsigned devfn, unsigned *nics, unsigned *uplinks)
{
	const char *error;
	struct nic *nic = nic_probe(devfn, &error);

	if (!nic) {
		netd_report_device(devfn, error ? error : "there is no driver for it");
		return;
	}
	if (is_uplink(devfn) && *uplinks < NETD_PORTS)
		netd_ports[(*uplinks)++].uplink = nic;
	else if (!is_uplink(devfn) && *nics < NETD_PORTS)
		netd_ports[(*nics)++].nic = nic;
	else
		netd_report_device(devfn, "it is one too many");
}

static void find_all(unsigned *nics, unsigned *uplinks)
{
	for (unsigned devfn = 0; devfn < 256; devfn++) {
		if (devfn % DEVICE_FUNCTIONS &&
		    !(pci_read8(devfn & ~7u, PCI_HEADER) & MULTI_FUNCTION))
			continue;
		if (pci_read16(devfn, PCI_VENDOR) != 0xffff &&
		    pci_read32(devfn, PCI_CLASS) >> CLASS_SHIFT == CLASS_NETWORK)
			add(devfn, nics, uplinks);
	}
}

/* Work that `from` leaves to `to`: segmentation needs checksums. */
static unsigned agreed(const struct nic *from, const struct nic *to, unsigned most)
{
	unsigned work = from->can_receive & to->can_send & most;

	return work & NIC_CSUM ? work : 0;
}

static void need(const struct nic *nic, const char *error)
{
	if (error)
		guest_fail("%s 00:%02x.%x: %s", nic->ops->name, nic->devfn >> 3, nic->devfn & 7,
			   error);
}

static void start(struct nic *nic, unsigned number)
{
	nic->buffers = buffers[number];
	nic->vector = (uint8_t)(FIRST_VECTOR + number);
	need(nic, nic->ops->start(nic));
}

/* What the two sides agree on, once */
static void join(struct netd_port *port, const struct netd_args *args)
{
	struct nic *nic = port->nic, *uplink = port->uplink;
	unsigned mtu = uplink->mtu_told ? uplink->mtu_max : (unsigned)args->mtu;

	nic->mtu = uplink->mtu = mtu < nic->mtu_max ? mtu : nic->mtu_max;
	nic->dma_offset =
		args->dma_offset; /* the uplink's device is software: it has our addresses */
	nic->receive = agreed(nic, uplink, args->offload);
	uplink->receive = agreed(uplink, nic, args->offload);
	uplink->foreign = args->dma_offset == 0; /* lent frames are for devices behind an IOMMU */
	port->out = (struct netd_path){ .from = uplink, .to = nic };
	port->in = (struct netd_path){ .from = nic, .to = uplink };
}

void netd_open(struct netd_port *port)
{
	struct nic *nic = port->nic, *uplink = port->uplink;
	unsigned index = (unsigned)(port - netd_ports);

	need(nic, nic->ops->reset(nic));
	need(uplink, uplink->ops->reset(uplink));
	start(nic, 2 * index);
	port->link = nic->ops->link(nic);
	netd_tell_carrier(port); /* before the uplink is up: guests may follow it */
	start(uplink, 2 * index + 1);
	nic->tx_wake = uplink->rx_buffers / 2;
	uplink->tx_wake = nic->rx_buffers / 2;
	netd_report_port(port);
}

void netd_find(const struct netd_args *args)
{
	unsigned nics = 0, uplinks = 0;

	if (!pci_ecam())
		guest_fail("no PCI configuration space: ACPI has no MCFG table");
	find_all(&nics, &uplinks);
	netd_port_count = nics < uplinks ? nics : uplinks;
	if (nics != uplinks)
		print("netd: %u NICs and %u uplinks: %u of each are used\n", nics, uplinks,
		      netd_port_count);
	if (!netd_port_count)
		guest_fail("nothing to join: a NIC that a driver is there for and an uplink are "
			   "wanted");
	for (unsigned i = 0; i < netd_port_count; i++) {
		join(&netd_ports[i], args);
		netd_open(&netd_ports[i]);
	}
}
