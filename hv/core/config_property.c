/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of config properties (docs/config.md is compared with it) and what is checked of
 * their values: first the kind and the bounds that stand in the table, then what only one
 * property asks for, in its set function. A value is stored only when it is right.
 */
#include <libfdt.h>

#include "hv/core/config_impl.h"
#include "hv/core/config_policy.h"

typedef void set_fn(struct config_parser *p, const struct config_value *v);

struct property {
	enum config_node type;
	set_fn *set;
	struct config_property public;
};

static set_fn set_compatible, set_cpus, set_affinity, set_memory, set_kernel, set_initrd,
	set_bootargs;
static set_fn set_apicv, set_no_fast_strings, set_status, set_switch, set_mac, set_mtu,
	set_queue_pairs, set_role, set_allow_unsafe_dma;
static set_fn set_policy_word, set_policy_number;

#define ROW(type, name, kind, required, min, max, set, effect, example)                            \
	{                                                                                          \
		NODE_##type, set,                                                                  \
		{                                                                                  \
			NULL, name, CONFIG_##kind, required, min, max, CONFIG_##effect, example    \
		}                                                                                  \
	}

/* clang-format off */
static const struct property table[] = {
	ROW(ROOT,   "compatible", STRING, true, 1, 63, set_compatible, NEVER,
	    "compatible = \"" CONFIG_COMPATIBLE "\""),
#define WORD(id, name, words, initial, example, help) \
	ROW(POLICY, name, STRING, false, 1, 15, set_policy_word, LIVE, name " = \"" example "\""),
	POLICY_WORDS(WORD)
#define NUMBER(id, name, least, most, initial, help) \
	ROW(POLICY, name, CELL, false, least, most, set_policy_number, LIVE, name " = <" #initial ">"),
	POLICY_NUMBERS(NUMBER)
	ROW(SWITCH, "compatible", STRING, true, 1, 63, set_compatible, NEVER,
	    "compatible = \"" CONFIG_SWITCH_COMPATIBLE "\""),
	ROW(VM,     "compatible", STRING, true, 1, 63, set_compatible, NEVER,
	    "compatible = \"" CONFIG_VM_COMPATIBLE "\""),
	ROW(VM,     "cpus", CELL, false, 1, CONFIG_MAX_VCPUS, set_cpus, RESTART, "cpus = <1>"),
	ROW(VM,     "cpu-affinity", CELLS, false, 1, CONFIG_MAX_CPUS, set_affinity, RESTART,
	    "cpu-affinity = <0 1>"),
	ROW(VM,     "memory-mib", CELL, true, CONFIG_MIN_MEMORY_MIB, CONFIG_MAX_MEMORY_MIB,
	    set_memory, RESTART, "memory-mib = <64>"),
	ROW(VM,     "kernel", STRING, true, 1, CONFIG_MAX_FILE, set_kernel, RESTART,
	    "kernel = \"bench.elf\""),
	ROW(VM,     "initrd", STRING, false, 1, CONFIG_MAX_FILE, set_initrd, RESTART,
	    "initrd = \"initrd.cpio\""),
	ROW(VM,     "bootargs", STRING, false, 0, CONFIG_MAX_BOOTARGS, set_bootargs, RESTART,
	    "bootargs = \"console=ttyS0\""),
	ROW(VM,     "apicv", STRING, false, 1, 15, set_apicv, RESTART, "apicv = \"off\""),
	ROW(VM,     "console", STRING, false, 1, 15, config_set_console, RESTART,
	    "console = \"virtio\""),
	ROW(VM,     "no-fast-strings", FLAG, false, 0, 0, set_no_fast_strings, RESTART, "no-fast-strings"),
	ROW(VM,     "status", STRING, false, 1, 15, set_status, POWER, "status = \"disabled\""),
	ROW(VM,     "role", STRING, false, 1, 15, set_role, RESTART, "role = \"driver-domain\""),
	ROW(VM,     "allow-unsafe-dma", FLAG, false, 0, 0, set_allow_unsafe_dma, BOOT, "allow-unsafe-dma"),
	ROW(NET,    "compatible", STRING, true, 1, 63, set_compatible, NEVER,
	    "compatible = \"" CONFIG_NET_COMPATIBLE "\""),
	ROW(NET,    "switch", LINK, true, 0, 0, set_switch, RESTART, "switch = <&LABEL>"),
	ROW(NET,    "local-mac-address", BYTES, false, 6, 6, set_mac, RESTART,
	    "local-mac-address = [52 54 00 00 00 01]"),
	ROW(NET,    "max-frame-size", CELL, false, CONFIG_MIN_MTU, CONFIG_MAX_MTU, set_mtu, RESTART,
	    "max-frame-size = <1500>"),
	ROW(NET,    "queue-pairs", CELL, false, 1, CONFIG_MAX_QUEUE_PAIRS, set_queue_pairs, RESTART,
	    "queue-pairs = <1>"),
	ROW(NET,    "uplink", FLAG, false, 0, 0, config_set_uplink, RESTART, "uplink"),
	ROW(NET,    "link-follows-uplink", FLAG, false, 0, 0, config_set_link_follows_uplink, RESTART,
	    "link-follows-uplink"),
	ROW(PASSTHROUGH, "compatible", STRING, true, 1, 63, set_compatible, NEVER,
	    "compatible = \"" CONFIG_PASSTHROUGH_COMPATIBLE "\""),
	ROW(PASSTHROUGH, "pci-id", CELLS, false, 1, 2, config_set_pci_id, BOOT,
	    "pci-id = <0x8086 0x10d3>"),
	ROW(PASSTHROUGH, "pci-address", STRING, false, 1, 15, config_set_pci_address, BOOT,
	    "pci-address = \"00:03.0\""),
	ROW(PASSTHROUGH, "interrupt-gsi", CELL, false, 0, CONFIG_MAX_GSI, config_set_interrupt_gsi,
	    BOOT, "interrupt-gsi = <11>"),
};

/* clang-format on */

enum { ROWS = sizeof(table) / sizeof(table[0]) };

const char *config_node_name(enum config_node type)
{
	static const char *const names[] = { "root", "vms",	    "switch", "vm",
					     "net",  "passthrough", "policy" };

	return names[type];
}

const char *config_kind_name(enum config_kind kind)
{
	static const char names[][8] = { "string", "cell", "cells", "bytes", "flag", "link" };

	return names[kind];
}

bool config_property_at(size_t index, struct config_property *property)
{
	if (index >= ROWS)
		return false;
	*property = table[index].public;
	property->node = config_node_name(table[index].type);
	return true;
}

/*
 * Text also where cells are wanted: four letters read as a number are larger than any that a
 * property here may have.
 */
static bool is_string(const struct config_value *v)
{
	if (v->length < 2 || v->data[v->length - 1])
		return false;
	for (uint32_t i = 0; i + 1 < v->length; i++)
		if (v->data[i] < ' ' || v->data[i] == 0x7f)
			return false;
	return true;
}

/* What a value looks like, for the message that it is not what is wanted. */
static void describe(const struct config_value *v, char *out, size_t room)
{
	if (!v->length)
		config_format(out, room, "has no value");
	else if (is_string(v))
		config_format(out, room, "is a string");
	else if (v->length == 4)
		config_format(out, room, "is a cell");
	else if (v->length % 4 == 0)
		config_format(out, room, "has %u cells", v->length / 4);
	else
		config_format(out, room, "has %u byte%s", v->length, v->length == 1 ? "" : "s");
}

static const struct property *current(enum config_node type, const char *name)
{
	for (unsigned i = 0; i < ROWS; i++)
		if (table[i].type == type && !strcmp(table[i].public.name, name))
			return &table[i];
	return NULL;
}

static bool wrong_kind(struct config_parser *p, const struct property *row,
		       const struct config_value *v)
{
	static const char *const wanted[] = { "is a string", "is one cell", "are cells",
					      "are bytes",   "is no value", "is a reference" };
	char is[32];

	describe(v, is, sizeof(is));
	if (row->public.kind == CONFIG_BYTES)
		config_fail(&p->reporter, row->public.name, "%s; wanted are %u bytes: %s", is,
			    row->public.min, row->public.example);
	else if (row->public.kind == CONFIG_CELLS)
		config_fail(&p->reporter, row->public.name, "%s; wanted are %u to %u cells: %s", is,
			    row->public.min, row->public.max, row->public.example);
	else
		config_fail(&p->reporter, row->public.name, "%s; wanted %s: %s", is,
			    wanted[row->public.kind], row->public.example);
	return false;
}

static bool good_string(struct config_parser *p, const struct property *row,
			const struct config_value *v)
{
	const struct config_property *want = &row->public;

	if (!v->length || v->data[v->length - 1])
		return wrong_kind(p, row, v);
	uint32_t length = v->length - 1;
	if (memchr(v->data, 0, length))
		config_fail(&p->reporter, want->name, "is a list of strings; wanted is one: %s",
			    want->example);
	else if (length && !is_string(v))
		config_fail(&p->reporter, want->name,
			    "holds a control character; wanted is text: %s", want->example);
	else if (length < want->min)
		config_fail(&p->reporter, want->name, "is empty; wanted is text: %s",
			    want->example);
	else if (length > want->max)
		config_fail(&p->reporter, want->name, "is %u characters long, the limit is %u",
			    length, want->max);
	else
		return true;
	return false;
}

static bool good_cell(struct config_parser *p, const struct property *row,
		      const struct config_value *v)
{
	const struct config_property *want = &row->public;

	if (v->length != 4 || is_string(v))
		return wrong_kind(p, row, v);
	uint32_t number = config_cell(v, 0);
	if (number >= want->min && number <= want->max)
		return true;
	config_fail(&p->reporter, want->name, "%u is too %s: %u to %u can be had", number,
		    number < want->min ? "small" : "large", want->min, want->max);
	return false;
}

static bool good_value(struct config_parser *p, const struct property *row,
		       const struct config_value *v)
{
	const struct config_property *want = &row->public;

	switch (want->kind) {
	case CONFIG_STRING:
		return good_string(p, row, v);
	case CONFIG_CELL:
		return good_cell(p, row, v);
	case CONFIG_CELLS:
		if (v->length && v->length % 4 == 0 && v->length / 4 <= want->max && !is_string(v))
			return true;
		break;
	case CONFIG_BYTES:
		if (v->length == want->min)
			return true;
		break;
	case CONFIG_FLAG:
		if (!v->length)
			return true;
		break;
	case CONFIG_LINK:
		if (v->length == 4 && !is_string(v))
			return true;
		break;
	}
	return wrong_kind(p, row, v);
}

static const char *candidate(const void *context, unsigned index)
{
	const enum config_node *type = context;

	for (unsigned i = 0; i < ROWS; i++)
		if (table[i].type == *type && !index--)
			return table[i].public.name;
	return NULL;
}

/* Returns the bit of the row that was probably meant, 0 if none: it is not told as missing too. */
static uint64_t unknown_property(struct config_parser *p, enum config_node type, const char *name)
{
	const char *near = config_nearest(name, candidate, &type);

	for (unsigned i = 0; !near && i < ROWS; i++) {
		if (!strcmp(table[i].public.name, name)) {
			config_fail(&p->reporter, name,
				    "unknown property here: it belongs to a %s node",
				    config_node_name(table[i].type));
			return 0;
		}
	}
	if (near)
		config_fail(&p->reporter, name, "unknown property: did you mean %s?", near);
	else
		config_fail(&p->reporter, name, "unknown property of a %s node: leave it out",
			    config_node_name(type));
	return near ? 1ull << (current(type, near) - table) : 0;
}

void config_properties(struct config_parser *p, int node, enum config_node type)
{
	uint64_t seen = 0, meant = 0; /* bit = row */
	int offset;

	_Static_assert(ROWS <= 64, "seen is a word");
	p->type = type;
	fdt_for_each_property_offset(offset, p->dtb, node) {
		const char *name;
		int length;
		const void *data = fdt_getprop_by_offset(p->dtb, offset, &name, &length);

		if (!data || length < 0)
			break; /* cannot be after fdt_check_full() */
		/* What dtc adds to a node that others refer to. */
		if (!strcmp(name, "phandle") || !strcmp(name, "linux,phandle"))
			continue;
		const struct property *row = current(type, name);
		if (!row) {
			meant |= unknown_property(p, type, name);
			continue;
		}
		struct config_value v = { data, (uint32_t)length };
		uint64_t bit = 1ull << (row - table);
		p->property = name;
		if (seen & bit)
			config_fail(&p->reporter, name, "given twice: once is enough");
		else if (good_value(p, row, &v))
			row->set(p, &v);
		seen |= bit;
	}
	for (unsigned i = 0; i < ROWS; i++)
		if (table[i].type == type && table[i].public.required &&
		    !((seen | meant) & 1ull << i))
			config_fail(&p->reporter, table[i].public.name, "missing: add %s;",
				    table[i].public.example);
}

static void set_compatible(struct config_parser *p, const struct config_value *v)
{
	config_check_compatible(p, (const char *)v->data);
}

static void set_cpus(struct config_parser *p, const struct config_value *v)
{
	p->vm->cpus = config_cell(v, 0);
}

static void set_affinity(struct config_parser *p, const struct config_value *v)
{
	uint64_t mask[CONFIG_MAX_CPUS / 64] = { 0 };
	unsigned before = p->reporter.errors;

	for (uint32_t i = 0; i < v->length / 4; i++) {
		uint32_t cpu = config_cell(v, i);

		if (cpu >= CONFIG_MAX_CPUS)
			config_fail(&p->reporter, "cpu-affinity",
				    "CPU %u is too large: 0 to %u can be had", cpu,
				    CONFIG_MAX_CPUS - 1);
		else if (mask[cpu / 64] & 1ull << cpu % 64)
			config_fail(&p->reporter, "cpu-affinity",
				    "CPU %u is named twice: once is enough", cpu);
		else
			mask[cpu / 64] |= 1ull << cpu % 64;
	}
	if (p->reporter.errors != before)
		return;
	memcpy(p->vm->affinity, mask, sizeof(mask));
	p->vm->affinity_given = true;
}

static void set_memory(struct config_parser *p, const struct config_value *v)
{
	p->vm->memory_mib = config_cell(v, 0);
}

static void set_kernel(struct config_parser *p, const struct config_value *v)
{
	if (config_good_file(p, "kernel", (const char *)v->data))
		memcpy(p->vm->kernel, v->data, v->length);
}

static void set_initrd(struct config_parser *p, const struct config_value *v)
{
	if (config_good_file(p, "initrd", (const char *)v->data))
		memcpy(p->vm->initrd, v->data, v->length);
}

static void set_bootargs(struct config_parser *p, const struct config_value *v)
{
	memcpy(p->vm->bootargs, v->data, v->length);
}

static void set_apicv(struct config_parser *p, const struct config_value *v)
{
	const char *word = (const char *)v->data;

	if (!strcmp(word, "on"))
		p->vm->apicv = CONFIG_APICV_ON;
	else if (!strcmp(word, "off"))
		p->vm->apicv = CONFIG_APICV_OFF;
	else
		config_unknown_word(&p->reporter, "apicv", word, "on", "off");
}

static void set_no_fast_strings(struct config_parser *p, const struct config_value *v)
{
	(void)v;
	p->vm->no_fast_strings = true;
}

static void set_status(struct config_parser *p, const struct config_value *v)
{
	const char *status = (const char *)v->data;

	p->vm->disabled = !strcmp(status, "disabled");
	if (!p->vm->disabled && strcmp(status, "okay"))
		config_unknown_word(&p->reporter, "status", status, "okay", "disabled");
}

static void set_role(struct config_parser *p, const struct config_value *v)
{
	const char *role = (const char *)v->data;

	p->vm->driver_domain = !strcmp(role, "driver-domain");
	if (!p->vm->driver_domain && strcmp(role, "guest"))
		config_unknown_word(&p->reporter, "role", role, "guest", "driver-domain");
}

static void set_allow_unsafe_dma(struct config_parser *p, const struct config_value *v)
{
	(void)v;
	p->vm->allow_unsafe_dma = true;
}

static void set_switch(struct config_parser *p, const struct config_value *v)
{
	uint32_t phandle = config_cell(v, 0);
	char path[64] = "";

	for (unsigned i = 0; phandle && i < p->config->switch_count; i++) {
		struct config_switch *link = &p->config->switches[i];

		if (p->switch_phandle[i] != phandle)
			continue;
		p->net->switch_index = i;
		if (link->ports++ == CONFIG_MAX_PORTS)
			config_fail(&p->reporter, "switch",
				    "is one port too many on %s: a switch has at most %u, use "
				    "another for the others",
				    link->name, CONFIG_MAX_PORTS);
		return;
	}
	int node = phandle ? fdt_node_offset_by_phandle(p->dtb, phandle) : -1;
	if (node >= 0 && fdt_get_path(p->dtb, node, path, sizeof(path)) != 0)
		memcpy(path, "a node", sizeof("a node")); /* its path is too long to tell */
	if (path[0])
		config_fail(&p->reporter, "switch",
			    "refers to %s, which is no switch: wanted is <&LABEL> "
			    "of a node with compatible = \"" CONFIG_SWITCH_COMPATIBLE "\"",
			    path);
	else
		config_fail(&p->reporter, "switch",
			    "refers to no node: wanted is <&LABEL> of a node "
			    "with compatible = \"" CONFIG_SWITCH_COMPATIBLE "\"");
}

static void set_mac(struct config_parser *p, const struct config_value *v)
{
	static const uint8_t zero[6];
	const uint8_t *mac = v->data;

	if (mac[0] & 1) {
		config_fail(&p->reporter, "local-mac-address",
			    "is a multicast address: the first byte must be even, as in 52 54 00 "
			    "00 00 01");
		return;
	}
	if (!memcmp(mac, zero, 6)) {
		config_fail(&p->reporter, "local-mac-address",
			    "is zero: leave it out to have one derived from the names");
		return;
	}
	for (unsigned i = 0; i < p->config->vm_count; i++) {
		const struct config_vm *vm = &p->config->vms[i];

		for (unsigned j = 0; j < vm->net_count; j++) {
			if (memcmp(vm->nets[j].mac, mac, 6))
				continue;
			config_fail(&p->reporter, "local-mac-address",
				    "is the address of %s/%s already: each needs its own", vm->name,
				    vm->nets[j].name);
			return;
		}
	}
	memcpy(p->net->mac, mac, 6);
}

static void set_mtu(struct config_parser *p, const struct config_value *v)
{
	p->net->mtu = config_cell(v, 0);
}

static void set_queue_pairs(struct config_parser *p, const struct config_value *v)
{
	p->net->queue_pairs = config_cell(v, 0);
}

static void set_policy_word(struct config_parser *p, const struct config_value *v)
{
	const struct policy *policy = policy_by_name(p->property);
	uint32_t *value = &p->config->policy[policy - policies];

	if (!policy_parse(policy, (const char *)v->data, value))
		config_unknown_policy_word(&p->reporter, policy, (const char *)v->data);
}

static void set_policy_number(struct config_parser *p, const struct config_value *v)
{
	p->config->policy[policy_by_name(p->property) - policies] = config_cell(v, 0);
}
