/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walk over the config's device tree, three levels deep: root (switches, vms), vms (VMs), VM
 * (net and passthrough devices). The blob is checked as a whole before anything in it is
 * believed, so that afterwards libfdt stays inside it. Every error is told, and the walk goes on.
 * Properties: config_property.c. Images and the machine's limits: config_image.c.
 */
#include <libfdt.h>

#include "hv/core/config_impl.h"
#include "hv/core/config_policy.h"

enum { DTB_HEADER_BYTES = 40 }; /* of version 17, which dtc writes since 2007 */

static bool too_deep(const void *dtb)
{
	int depth = 0;

	for (int node = 0; node >= 0; node = fdt_next_node(dtb, node, &depth))
		if (depth > CONFIG_MAX_DEPTH)
			return true;
	return false;
}

/* Of pieces to be put into another tree, as dtc makes of &LABEL { } after /plugin/; */
static bool is_overlay(const void *dtb)
{
	int child;

	fdt_for_each_subnode(child, dtb, 0)
		if (fdt_subnode_offset(dtb, child, "__overlay__") >= 0)
			return true;
	return false;
}

static bool good_blob(struct config_parser *p, size_t bytes)
{
	struct config_reporter *r = &p->reporter;

	if (bytes < DTB_HEADER_BYTES || fdt_magic(p->dtb) != FDT_MAGIC)
		config_fail(r, "",
			    "this is no device tree blob: compile the .dts with "
			    "dtc -O dtb -o lasthop.dtb FILE.dts");
	else if (fdt_totalsize(p->dtb) > CONFIG_MAX_DTB_BYTES)
		config_fail(r, "", "the blob says it has %u bytes, the limit is %u",
			    fdt_totalsize(p->dtb), CONFIG_MAX_DTB_BYTES);
	else if (fdt_totalsize(p->dtb) > bytes)
		config_fail(r, "",
			    "the file is cut off: the blob says it has %u bytes, %lu are there",
			    fdt_totalsize(p->dtb), (unsigned long)bytes);
	else if (fdt_version(p->dtb) < 17)
		config_fail(r, "", "the blob has version %u: compile it with dtc -V 17",
			    fdt_version(p->dtb));
	else if (fdt_check_full(p->dtb, bytes))
		config_fail(r, "", "the blob is damaged: compile it again with dtc");
	else if (too_deep(p->dtb))
		config_fail(r, "",
			    "has nodes nested more than %u deep: a config has no more than 3",
			    CONFIG_MAX_DEPTH);
	else if (is_overlay(p->dtb))
		config_fail(r, "",
			    "this is an overlay: leave out /plugin/; and write one whole tree");
	else
		return true;
	return false;
}

void config_take_name(struct config_parser *p, int node, char out[CONFIG_MAX_NAME + 1])
{
	int length;
	const char *name = fdt_get_name(p->dtb, node, &length);

	config_format(out, CONFIG_MAX_NAME + 1, "%s", name ? name : "");
	if (!name || length <= 0) {
		config_fail(&p->reporter, "", "the node has no name");
		return;
	}
	if (length > CONFIG_MAX_NAME) {
		config_fail(&p->reporter, "", "the name is %u characters long, the limit is %u",
			    (unsigned)length, CONFIG_MAX_NAME);
		return;
	}
	for (int i = 0; i < length; i++) {
		bool letter = (name[i] | 0x20) >= 'a' && (name[i] | 0x20) <= 'z';

		if (name[i] == '@')
			config_fail(&p->reporter, "",
				    "the name has a unit address: leave out \"%s\"", name + i);
		else if (!letter && !(name[i] >= '0' && name[i] <= '9') &&
			 !strchr(",._+-", name[i]))
			config_fail(&p->reporter, "",
				    "the name holds more than letters, digits and , . _ + -");
		else
			continue;
		return;
	}
}

static void net_node(struct config_parser *p, int node)
{
	struct config_vm *vm = p->vm;
	struct config_net *net = &vm->nets[vm->net_count];
	unsigned errors = p->reporter.errors;

	config_format(p->reporter.node, sizeof(p->reporter.node), "/vms/%s/%.40s", vm->name,
		      fdt_get_name(p->dtb, node, NULL));
	net->queue_pairs = 1;
	net->mtu = CONFIG_DEFAULT_MTU;
	config_take_name(p, node, net->name);
	if (config_device_named(vm, net->name))
		config_fail(&p->reporter, "", "the name is given twice in this VM");
	p->net = net;
	config_properties(p, node, NODE_NET);
	if (p->reporter.errors != errors) /* maybe its switch: no more is told of it */
		net->link_follows_uplink = false;
	vm->net_count++;

	int child = fdt_first_subnode(p->dtb, node);
	if (child >= 0)
		config_fail(&p->reporter, "", "unknown node %.40s: a net node has none inside",
			    fdt_get_name(p->dtb, child, NULL));
}

/* A node inside a VM: a net device or one of the machine's own. */
static void vm_child(struct config_parser *p, int node, const char *vm_path)
{
	const char *compatible = config_compatible(p->dtb, node);

	config_format(p->reporter.node, sizeof(p->reporter.node), "%s/%.40s", vm_path,
		      fdt_get_name(p->dtb, node, NULL));
	if (config_misplaced(p, node, NODE_VM))
		return;
	if (p->vm->net_count + p->vm->passthrough_count >= CONFIG_MAX_NETS)
		config_fail(&p->reporter, "", "is one device too many: a VM can have %u",
			    CONFIG_MAX_NETS);
	else if (!strcmp(compatible, CONFIG_PASSTHROUGH_COMPATIBLE))
		config_passthrough_node(p, node);
	else
		net_node(p, node);
}

static void vm_node(struct config_parser *p, int node)
{
	struct config *config = p->config;
	struct config_vm *vm = &config->vms[config->vm_count];
	char path[sizeof(p->reporter.node)];
	int child;

	config_format(path, sizeof(path), "/vms/%.40s", fdt_get_name(p->dtb, node, NULL));
	config_format(p->reporter.node, sizeof(p->reporter.node), "%s", path);
	vm->cpus = 1;
	memset(vm->affinity, 0xff, sizeof(vm->affinity));
	config_take_name(p, node, vm->name);
	for (unsigned i = 0; i < config->vm_count; i++)
		if (!strcmp(config->vms[i].name, vm->name))
			config_fail(&p->reporter, "", "the name is given to two VMs: rename one");
	p->vm = vm;
	config->vm_count++; /* before the nets: their MAC addresses are compared with each other */
	config_properties(p, node, NODE_VM);
	fdt_for_each_subnode(child, p->dtb, node)
		vm_child(p, child, path);
	config_format(p->reporter.node, sizeof(p->reporter.node), "%s", path);
	config_check_role(p);
	config_check_console(p);
}

static void vms_node(struct config_parser *p, int node)
{
	bool misplaced = false;
	int child;

	config_format(p->reporter.node, sizeof(p->reporter.node), "/vms");
	config_properties(p, node, NODE_VMS);
	fdt_for_each_subnode(child, p->dtb, node) {
		if (p->config->vm_count == CONFIG_MAX_VMS) {
			config_format(p->reporter.node, sizeof(p->reporter.node), "/vms");
			config_fail(&p->reporter, "", "has too many VMs: the limit is %u",
				    CONFIG_MAX_VMS);
			return;
		}
		config_format(p->reporter.node, sizeof(p->reporter.node), "/vms/%.40s",
			      fdt_get_name(p->dtb, child, NULL));
		if (config_misplaced(p, child, NODE_VMS))
			misplaced = true;
		else
			vm_node(p, child);
	}
	config_format(p->reporter.node, sizeof(p->reporter.node), "/vms");
	if (!p->config->vm_count && !misplaced)
		config_fail(&p->reporter, "",
			    "has no VM: add a node with compatible = \"" CONFIG_VM_COMPATIBLE "\"");
}

static bool is_switch(const struct config_parser *p, int node)
{
	return !strcmp(config_compatible(p->dtb, node), CONFIG_SWITCH_COMPATIBLE);
}

/* Before all else, since VMs may come first in the file and refer to switches behind them. */
static void collect_switches(struct config_parser *p)
{
	struct config *config = p->config;
	int child;

	fdt_for_each_subnode(child, p->dtb, 0) {
		if (!is_switch(p, child) || config->switch_count == CONFIG_MAX_SWITCHES)
			continue;
		p->switch_phandle[config->switch_count] = fdt_get_phandle(p->dtb, child);
		config_format(config->switches[config->switch_count].name, CONFIG_MAX_NAME + 1,
			      "%s", fdt_get_name(p->dtb, child, NULL));
		config->switch_count++;
	}
}

static void switch_node(struct config_parser *p, int node, unsigned index)
{
	char name[CONFIG_MAX_NAME + 1];
	uint32_t phandle = fdt_get_phandle(p->dtb, node);

	if (index >= CONFIG_MAX_SWITCHES) {
		if (index == CONFIG_MAX_SWITCHES)
			config_fail(&p->reporter, "", "is one switch too many: the limit is %u",
				    CONFIG_MAX_SWITCHES);
		return;
	}
	config_take_name(p, node, name);
	for (unsigned i = 0; i < index; i++) {
		if (!strcmp(p->config->switches[i].name, name))
			config_fail(&p->reporter, "",
				    "the name is given to two switches: rename one");
		else if (phandle && p->switch_phandle[i] == phandle)
			config_fail(&p->reporter, "phandle",
				    "is that of %s already: use labels, "
				    "and dtc gives each its own",
				    p->config->switches[i].name);
	}
	config_properties(p, node, NODE_SWITCH);
	int child = fdt_first_subnode(p->dtb, node);
	if (child >= 0)
		config_fail(&p->reporter, "", "unknown node %.40s: a switch has none inside",
			    fdt_get_name(p->dtb, child, NULL));
}

static const char *root_candidate(const void *context, unsigned index)
{
	(void)context;
	return index == 0 ? "vms" : index == 1 ? "policy" : NULL;
}

static const char *switch_candidate(const void *context, unsigned index)
{
	(void)context;
	return index == 0 ? CONFIG_SWITCH_COMPATIBLE : NULL;
}

static void unknown_root_child(struct config_parser *p, int node, const char *name)
{
	const char *near = config_nearest(name, root_candidate, NULL);
	const char *compatible = config_compatible(p->dtb, node);

	if (config_misplaced(p, node, NODE_ROOT))
		return;
	if (config_nearest(compatible, switch_candidate, NULL))
		config_unknown_word(&p->reporter, "compatible", compatible,
				    CONFIG_SWITCH_COMPATIBLE, NULL);
	else if (near)
		config_fail(&p->reporter, "", "unknown node: did you mean %s?", near);
	else
		config_fail(&p->reporter, "",
			    "unknown node: here are vms, policy, and switches with "
			    "compatible = \"" CONFIG_SWITCH_COMPATIBLE "\"");
}

static void policy_node(struct config_parser *p, int node)
{
	int child = fdt_first_subnode(p->dtb, node);

	config_properties(p, node, NODE_POLICY);
	if (child >= 0)
		config_fail(&p->reporter, "", "unknown node %.40s: the policy node has none inside",
			    fdt_get_name(p->dtb, child, NULL));
}

static void root_node(struct config_parser *p)
{
	unsigned switches = 0;
	bool vms = false, policy = false;
	int child;

	config_format(p->reporter.node, sizeof(p->reporter.node), "/");
	config_properties(p, 0, NODE_ROOT);
	fdt_for_each_subnode(child, p->dtb, 0) {
		const char *name = fdt_get_name(p->dtb, child, NULL);

		config_format(p->reporter.node, sizeof(p->reporter.node), "/%.40s", name);
		if (!strncmp(name, "__", 2))
			continue; /* what dtc -@ adds */
		if (!strcmp(name, "vms") && !vms) {
			vms = true;
			vms_node(p, child);
		} else if (!strcmp(name, "policy") && !policy) {
			policy = true;
			policy_node(p, child);
		} else if (is_switch(p, child)) {
			switch_node(p, child, switches++);
		} else if (!strcmp(name, "vms") || !strcmp(name, "policy")) {
			config_fail(&p->reporter, "", "given twice: once is enough");
		} else {
			unknown_root_child(p, child, name);
		}
	}
	if (!vms) {
		config_format(p->reporter.node, sizeof(p->reporter.node), "/");
		config_fail(&p->reporter, "", "has no node vms: add vms { }; with the VMs in it");
	}
}

static bool mac_used(const struct config *config, const uint8_t mac[6])
{
	for (unsigned i = 0; i < config->vm_count; i++)
		for (unsigned j = 0; j < config->vms[i].net_count; j++)
			if (!memcmp(config->vms[i].nets[j].mac, mac, 6))
				return true;
	return false;
}

/* FNV-1a, over the port's name: the same file gives the same addresses on every boot. */
static uint32_t hash_string(uint32_t hash, const char *s)
{
	for (; *s; s++)
		hash = (hash ^ (uint8_t)*s) * 16777619u;
	return hash;
}

/* Addresses for the net devices that have none: 52:54:00 and a hash of "vm/net". */
static void derive_macs(struct config *config)
{
	static const uint8_t none[6];

	for (unsigned i = 0; i < config->vm_count; i++) {
		struct config_vm *vm = &config->vms[i];

		for (unsigned j = 0; j < vm->net_count; j++) {
			uint32_t hash =
				hash_string(hash_string(hash_string(2166136261u, vm->name), "/"),
					    vm->nets[j].name);

			if (memcmp(vm->nets[j].mac, none, 6))
				continue;
			/* Ends: there are more addresses than net devices. */
			uint8_t mac[6];
			do {
				uint8_t from_hash[6] = { 0x52,
							 0x54,
							 0,
							 (uint8_t)(hash >> 16),
							 (uint8_t)(hash >> 8),
							 (uint8_t)hash };
				memcpy(mac, from_hash, 6);
				hash++;
			} while (mac_used(config, mac));
			memcpy(vm->nets[j].mac, mac, 6);
		}
	}
}

unsigned config_parse(const void *dtb, size_t bytes, struct config *config, config_error_fn *report,
		      void *context)
{
	struct config_parser p = {
		.reporter = { .report = report, .context = context, .node = "/" },
		.dtb = dtb,
		.config = config,
	};

	memset(config, 0, sizeof(*config));
	for (unsigned id = 0; id < POLICY_COUNT; id++)
		config->policy[id] = policies[id].initial;
	if (!good_blob(&p, bytes))
		return p.reporter.errors;
	collect_switches(&p);
	root_node(&p);
	config_check_links(&p);
	derive_macs(config);
	return p.reporter.errors;
}
