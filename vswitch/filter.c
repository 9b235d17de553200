/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The order of the rules: promiscuous mode overrides all; a VLAN that is not wanted is out; then
 * "none of this kind" goes before "all of this kind", and that before the table.
 */
#include "vswitch/filter.h"

#include "vswitch/frame.h"

#define BROADCAST 0xffffffffffffull

static bool in_table(const uint64_t *table, unsigned count, uint64_t mac)
{
	for (unsigned i = 0; i < count && i < FILTER_ADDRESSES; i++)
		if (table[i] == mac)
			return true;
	return false;
}

bool filter_wants(const struct filter *f, uint64_t dst, unsigned vlan)
{
	if (f->promisc)
		return true;
	if (f->vlans && vlan != FILTER_UNTAGGED &&
	    !(f->vlan[vlan % FILTER_VLANS / 64] >> vlan % 64 & 1))
		return false;
	if (dst == BROADCAST)
		return !f->nobcast;
	if (mac_is_group(dst))
		return !f->nomulti && (f->allmulti || in_table(f->multi, f->multis, dst));
	return !f->nouni && (f->alluni || dst == f->mac || in_table(f->uni, f->unis, dst));
}
