/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The config of driver domains: devices of the machine for a VM, what a role asks for, and uplinks as others
 * see them.
 */
#include <libfdt.h>

#include "hv/core/config_impl.h"

void config_set_pci_id(struct config_parser *p, const struct config_value *v)
{
	uint32_t vendor = config_cell(v, 0), device = v->length == 8 ? config_cell(v, 1) : 0;

	if (v->length != 8)
		config_fail(&p->reporter, "pci-id",
			    "has one cell; wanted are two, vendor and device: "
			    "pci-id = <0x8086 0x10d3>");
	else if (!vendor || vendor >= 0xffff || device > 0xffff)
		config_fail(&p->reporter, "pci-id",
			    "0x%x 0x%x is no PCI ID: each has 16 bits, as in <0x8086 0x10d3>",
			    vendor, device);
	else {
		p->passthrough->vendor = (uint16_t)vendor;
		p->passthrough->device = (uint16_t)device;
	}
}

/* A number of hexadecimal digits, which end at `end`; false: not so, or larger than max. */
static bool hex(const char **text, char end, unsigned max, unsigned *number)
{
	const char *at = *text;

	*number = 0;
	for (; *at && *at != end; at++) {
		char c = config_lower(*at);

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
			return false;
		*number = *number * 16 + (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
		if (*number > max)
			return false;
	}
	if (at == *text || *at != end)
		return false;
	*text = at + (end != 0);
	return true;
}

void config_set_pci_address(struct config_parser *p, const struct config_value *v)
{
	const char *text = (const char *)v->data;
	unsigned bus, device, function;

	if (!strncmp(text, "0000:", 5)) /* segment 0, as lspci -D writes it */
		text += 5;
	if (!hex(&text, ':', 0xff, &bus) || !hex(&text, '.', 0x1f, &device) ||
	    !hex(&text, 0, 7, &function)) {
		config_fail(&p->reporter, "pci-address",
			    "\"%.15s\" is no PCI address: wanted is BUS:DEVICE.FUNCTION, as lspci "
			    "shows it: \"00:03.0\"",
			    (const char *)v->data);
		return;
	}
	p->passthrough->by_address = true;
	p->passthrough->bus = (uint8_t)bus;
	p->passthrough->devfn = (uint8_t)(device << 3 | function);
}

void config_set_interrupt_gsi(struct config_parser *p, const struct config_value *v)
{
	p->passthrough->interrupt_gsi = (int)config_cell(v, 0);
}

static bool same_device(const struct config_passthrough *a, const struct config_passthrough *b)
{
	return a->by_address && b->by_address && a->bus == b->bus && a->devfn == b->devfn;
}

/* A function can be one VM's only, even of one that is not started at boot. */
static void check_taken(struct config_parser *p)
{
	for (unsigned i = 0; i < p->config->vm_count; i++) {
		const struct config_vm *vm = &p->config->vms[i];

		for (unsigned j = 0; j < vm->passthrough_count; j++)
			if (same_device(&vm->passthroughs[j], p->passthrough))
				config_fail(&p->reporter, "pci-address",
					    "is the device of %s/%s already: a device can be given "
					    "once",
					    vm->name, vm->passthroughs[j].name);
	}
}

bool config_device_named(const struct config_vm *vm, const char *name)
{
	for (unsigned i = 0; i < vm->net_count; i++)
		if (!strcmp(vm->nets[i].name, name))
			return true;
	for (unsigned i = 0; i < vm->passthrough_count; i++)
		if (!strcmp(vm->passthroughs[i].name, name))
			return true;
	return false;
}

void config_passthrough_node(struct config_parser *p, int node)
{
	struct config_vm *vm = p->vm;
	unsigned errors = p->reporter.errors;
	int child = fdt_first_subnode(p->dtb, node);

	if (vm->passthrough_count == CONFIG_MAX_PASSTHROUGHS) {
		config_fail(&p->reporter, "",
			    "is one passthrough device too many: a VM can have %u",
			    CONFIG_MAX_PASSTHROUGHS);
		return;
	}
	p->passthrough = &vm->passthroughs[vm->passthrough_count];
	p->passthrough->interrupt_gsi = -1;
	config_take_name(p, node, p->passthrough->name);
	if (config_device_named(vm, p->passthrough->name))
		config_fail(&p->reporter, "", "the name is given twice in this VM");
	config_properties(p, node, NODE_PASSTHROUGH);
	if (fdt_getprop(p->dtb, node, "pci-id", NULL) &&
	    fdt_getprop(p->dtb, node, "pci-address", NULL))
		config_fail(&p->reporter, "pci-id", "is given beside pci-address: leave one out");
	else if (p->reporter.errors == errors && !p->passthrough->by_address &&
		 !p->passthrough->vendor)
		config_fail(&p->reporter, "pci-address",
			    "missing, and so is pci-id: add pci-address = \"00:03.0\"; or "
			    "pci-id = <0x8086 0x10d3>;");
	check_taken(p);
	vm->passthrough_count++;
	if (child >= 0)
		config_fail(&p->reporter, "",
			    "unknown node %.40s: a passthrough node has none inside",
			    fdt_get_name(p->dtb, child, NULL));
}

void config_check_role(struct config_parser *p)
{
	const struct config_vm *vm = p->vm;

	if (vm->allow_unsafe_dma && !vm->driver_domain)
		config_fail(&p->reporter, "allow-unsafe-dma",
			    "is for driver domains: add role = \"driver-domain\";");
	else if (vm->allow_unsafe_dma && vm->passthrough_count == 0)
		config_fail(&p->reporter, "allow-unsafe-dma",
			    "allows nothing: the VM has no passthrough node, so no device of the "
			    "machine: remove it, or add the node");
	for (unsigned i = 0; i < vm->net_count && !vm->driver_domain; i++)
		if (vm->nets[i].uplink)
			config_fail(&p->reporter, "role",
				    "missing, since %s is an uplink: add role = \"driver-domain\";",
				    vm->nets[i].name);
}

void config_set_uplink(struct config_parser *p, const struct config_value *v)
{
	(void)v;
	p->net->uplink = true;
}

void config_set_link_follows_uplink(struct config_parser *p, const struct config_value *v)
{
	(void)v;
	p->net->link_follows_uplink = true;
}

static bool has_uplink(const struct config *config, unsigned switch_index)
{
	for (unsigned i = 0; i < config->vm_count; i++) {
		const struct config_vm *vm = &config->vms[i];

		for (unsigned j = 0; j < vm->net_count; j++)
			if (vm->nets[j].uplink && vm->nets[j].switch_index == switch_index)
				return true;
	}
	return false;
}

static void check_link(struct config_parser *p, const struct config_vm *vm,
		       const struct config_net *net)
{
	config_format(p->reporter.node, sizeof(p->reporter.node), "/vms/%s/%s", vm->name,
		      net->name);
	if (net->uplink)
		config_fail(&p->reporter, "link-follows-uplink",
			    "is given to an uplink, which others follow: leave it out");
	else if (!has_uplink(p->config, net->switch_index))
		config_fail(&p->reporter, "link-follows-uplink",
			    "finds no uplink on %s: add one, or leave it out",
			    p->config->switches[net->switch_index].name);
}

void config_check_links(struct config_parser *p)
{
	for (unsigned i = 0; i < p->config->vm_count; i++) {
		const struct config_vm *vm = &p->config->vms[i];

		for (unsigned j = 0; j < vm->net_count; j++)
			if (vm->nets[j].link_follows_uplink)
				check_link(p, vm, &vm->nets[j]);
	}
}
