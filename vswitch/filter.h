/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which frames a port's guest wants: virtio-net's receive filter (virtio 1.2, 5.1.6.5.1 to
 * 5.1.6.5.3). It is a service to the receiver, which would throw the others away itself, not a wall
 * between guests: VLAN tags are read in the sender's memory. Whoever owns the device model keeps one
 * and hands it over as a whole (port_set_filter()).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define FILTER_ADDRESSES 64u /* of each kind; who wants more gets all of that kind */
#define FILTER_VLANS	 4096u

struct filter {
	bool promisc;		      /* everything */
	bool alluni, allmulti;	      /* whatever the tables say */
	bool nouni, nomulti, nobcast; /* none of that kind */
	bool vlans;		      /* tagged frames of the VLANs in vlan[] only */
	uint64_t mac;		      /* the guest's own: as mac_load() */
	unsigned unis, multis;	      /* in the tables */
	uint64_t uni[FILTER_ADDRESSES];
	uint64_t multi[FILTER_ADDRESSES];
	uint64_t vlan[FILTER_VLANS / 64];
};

#define FILTER_UNTAGGED 0u /* 802.1Q: VLAN 0 says "priority only", no VLAN */

bool filter_wants(const struct filter *f, uint64_t dst, unsigned vlan);
