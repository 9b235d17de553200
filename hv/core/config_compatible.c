/* SPDX-License-Identifier: BSD-2-Clause */
/* The compatible strings of a config's nodes: which belongs to which, and what a wrong one means. */
#include <libfdt.h>

#include "hv/core/config_impl.h"

const char *config_compatible(const void *dtb, int node)
{
	int length;
	const char *first = fdt_getprop(dtb, node, "compatible", &length);

	if (!first || length <= 0 || !memchr(first, 0, (size_t)length))
		return "";
	return first;
}

static const char *const compatible_of[] = {
	[NODE_ROOT] = CONFIG_COMPATIBLE,
	[NODE_SWITCH] = CONFIG_SWITCH_COMPATIBLE,
	[NODE_VM] = CONFIG_VM_COMPATIBLE,
	[NODE_NET] = CONFIG_NET_COMPATIBLE,
	[NODE_PASSTHROUGH] = CONFIG_PASSTHROUGH_COMPATIBLE,
	[NODE_VMS] = "",
	[NODE_POLICY] = "",
};

/* The kind of node that a compatible string belongs to, NULL if to none. */
static const char *other_node(const char *given)
{
	for (enum config_node type = NODE_ROOT; type <= NODE_POLICY; type++)
		if (given[0] && !strcmp(compatible_of[type], given))
			return config_node_name(type);
	return NULL;
}

bool config_misplaced(struct config_parser *p, int node, enum config_node in)
{
	const char *given = config_compatible(p->dtb, node);

	if (in != NODE_ROOT && !strcmp(given, CONFIG_SWITCH_COMPATIBLE))
		config_fail(&p->reporter, "", "a switch belongs into the root node, beside vms");
	else if (in != NODE_VMS && !strcmp(given, CONFIG_VM_COMPATIBLE))
		config_fail(&p->reporter, "", "a VM belongs into the node vms");
	else if (in != NODE_VM && !strcmp(given, CONFIG_NET_COMPATIBLE))
		config_fail(&p->reporter, "", "a net device belongs into a VM");
	else if (in != NODE_VM && !strcmp(given, CONFIG_PASSTHROUGH_COMPATIBLE))
		config_fail(&p->reporter, "", "a device that is passed through belongs into a VM");
	else
		return false;
	return true;
}

void config_check_compatible(struct config_parser *p, const char *given)
{
	const char *want = compatible_of[p->type];

	if (!strcmp(given, want))
		return;
	if (p->type == NODE_ROOT && !strncmp(given, "lasthop,config-", 15))
		config_fail(&p->reporter, "compatible",
			    "\"%.40s\" is another version of the binding: this one reads \"%s\"",
			    given, want);
	else if (other_node(given))
		config_fail(&p->reporter, "compatible",
			    "\"%s\" is that of a %s node: here \"%s\" is wanted", given,
			    other_node(given), want);
	else
		config_unknown_word(&p->reporter, "compatible", given, want, NULL);
}
