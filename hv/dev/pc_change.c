/* SPDX-License-Identifier: BSD-2-Clause */
/* What outlasts a VM's lives, when the running config changes: uplinks, and its place in the address space of
 * devices that read guests' pages. */
#include "hv/dev/pc_impl.h"

#include <string.h>

#include "hv/core/lifecycle.h"
#include "hv/dev/reuse.h"
#include "hv/dev/uplink.h"

struct leaving {
	const struct config *next;
	unsigned id;
};

static const struct config_net *uplink_named(const struct config_vm *vm, const char *name)
{
	for (unsigned i = 0; i < vm->net_count; i++)
		if (vm->nets[i].uplink && !strcmp(vm->nets[i].name, name))
			return &vm->nets[i];
	return NULL;
}

/* The same port would be made again. */
static bool keep(const void *context, const char *name)
{
	const struct leaving *l = context;
	const struct config_vm *from = &vm_config->vms[l->id], *to = &l->next->vms[l->id];
	const struct config_net *a = uplink_named(from, name), *b = uplink_named(to, name);

	return a && b && !strcmp(from->name, to->name) && !memcmp(a->mac, b->mac, sizeof(a->mac)) &&
	       a->mtu == b->mtu && a->queue_pairs == b->queue_pairs &&
	       !strcmp(vm_config->switches[a->switch_index].name,
		       l->next->switches[b->switch_index].name);
}

void pc_vm_leave(const struct config *next, unsigned id)
{
	const struct leaving leaving = { next, id };

	uplinks_destroy(&vm_config->vms[id], keep, &leaving);
}

int pc_vm_enter(unsigned id)
{
	reuse_vm_changed(id);
	return uplinks_create(&vm_config->vms[id]);
}
