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
