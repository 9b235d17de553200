/* SPDX-License-Identifier: BSD-2-Clause */
/* Buffer reuse, as the switch asks for it (vswitch/env.h): of the driver domain behind an uplink. */
#include "hv/core/vm.h"
#include "hv/dev/pc_impl.h"
#include "hv/dev/reuse.h"
#include "hv/dev/virtio_net.h"
#include "vswitch/env.h"
#include "vswitch/switch.h"

/* NULL: it has none, or is away. */
static struct reuse *reuse_of(const struct port *uplink)
{
	struct virtio_net *net = port_owner(uplink);

	return net ? net->virtio.vm->platform->reuse : NULL;
}

unsigned env_share(struct port *to, const struct port *from, const struct seg *seg, uint32_t bytes,
		   struct uplink_piece *piece, unsigned room, struct share_cost *cost)
{
	struct virtio_net *sender = port_owner(from);
	struct reuse *reuse = reuse_of(to);

	return reuse ? reuse_share(reuse, sender->virtio.vm, seg, bytes, piece, room, cost) : 0;
}

void env_unshare(struct port *to, const struct uplink_piece *piece, unsigned pieces,
		 struct share_cost *cost)
{
	reuse_unshare(reuse_of(to), piece, pieces, cost);
}

void env_disown(struct port *to, const struct uplink_piece *piece, unsigned pieces)
{
	reuse_disown(reuse_of(to), piece, pieces);
}

void env_unshare_disowned(struct port *to, const struct uplink_piece *piece, unsigned pieces,
			  struct share_cost *cost)
{
	reuse_unshare_disowned(reuse_of(to), piece, pieces, cost);
}

void env_revoke(const struct port *from)
{
	struct virtio_net *sender = port_owner(from);

	reuse_revoke_disowned(sender->virtio.vm);
}

void env_reclaim(struct port *to)
{
	struct reuse *reuse = reuse_of(to);

	if (reuse)
		reuse_reclaim(reuse);
}
