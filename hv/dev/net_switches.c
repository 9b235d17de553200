/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The switches by their numbers in the config. Their control calls are serialised by one lock per switch. It
 * is taken inside a transport's lock, and by nobody inside the switch.
 */
#include "hv/dev/virtio_net.h"

#include "hv/core/fail.h"
#include "hv/core/lock.h"
#include "hv/dev/uplink.h"
#include "vswitch/policy.h"

static struct switch_slot {
	struct vswitch *sw;	 /* changed under vm_table_lock, while no port is on it */
	struct spinlock control; /* held around port_create/destroy, port_start/stop_queue */
} switches[CONFIG_MAX_SWITCHES];

void virtio_net_lock(unsigned i)
{
	spin_lock(&switches[i].control);
}

void virtio_net_unlock(unsigned i)
{
	spin_unlock(&switches[i].control);
}

struct vswitch *virtio_net_switch(unsigned i)
{
	return switches[i].sw;
}

int virtio_net_switches(const struct config *config)
{
	for (unsigned id = 0; id < POLICY_COUNT; id++)
		policy_set((enum policy_id)id, config->policy[id]);
	for (unsigned i = 0; i < config->switch_count; i++) {
		switches[i].sw = switch_create(config->switches[i].name);
		if (!switches[i].sw)
			return fail(LH_NOMEM, "switch %s: no memory", config->switches[i].name);
	}
	for (unsigned i = 0; i < config->vm_count; i++)
		if (uplinks_create(&config->vms[i]) < 0)
			return LH_NOMEM;
	return 0;
}

struct vswitch *virtio_net_switch_put(unsigned i, struct vswitch *sw)
{
	struct vswitch *old = switches[i].sw;

	switches[i].sw = sw;
	return old;
}
