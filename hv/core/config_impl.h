/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the config parser share: where errors go and the formatter of their texts
 * (config_text.c), the table of properties (config_property.c), the walk over the tree (config.c).
 */
#pragma once

#include <stdarg.h>
#include <string.h>

#include "hv/core/config.h"

#define CONFIG_MAX_ERRORS 100 /* as many are told, all are counted */

struct config_reporter {
	config_error_fn *report;
	void *context;
	unsigned errors;
	char node[96]; /* path of the node that is being checked */
};

/* One error at reporter->node; property "" for the node itself. */
void config_fail(struct config_reporter *reporter, const char *property, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * snprintf() with %s, %.Ns, %u, %lu, %x, %lx and %%: the core and the loader have no other in
 * common. Always NUL-terminates; returns the length that was written. What is not printable
 * ASCII in a string argument becomes '?', since the strings of a hostile blob end on a terminal.
 */
size_t config_format(char *out, size_t room, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
size_t config_vformat(char *out, size_t room, const char *fmt, va_list args)
	__attribute__((format(printf, 3, 0)));

/*
 * The nearest of the candidates to a misspelt word, by edit distance or because one contains
 * the other, upper and lower case being the same; NULL if none is near. next(context, index) gives the candidates.
 */
const char *config_nearest(const char *word, const char *(*next)(const void *context, unsigned i),
			   const void *context);

/*
 * Reports a string that is none of the two, or not the one (other is NULL), that a property may
 * hold, with the one that was probably meant.
 */
void config_unknown_word(struct config_reporter *reporter, const char *property, const char *given,
			 const char *word, const char *other);
/* The same for a policy, which may know more words. */
void config_unknown_policy_word(struct config_reporter *reporter, const struct policy *policy,
				const char *given);

static inline char config_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

enum config_node {
	NODE_ROOT,
	NODE_VMS,
	NODE_SWITCH,
	NODE_VM,
	NODE_NET,
	NODE_PASSTHROUGH,
	NODE_POLICY
};

struct config_parser {
	struct config_reporter reporter;
	const void *dtb;
	struct config *config;
	enum config_node type; /* of the node whose properties are being checked */
	const char *property;  /* the one whose value is being set */
	struct config_vm *vm;  /* that it is, or that it is in */
	struct config_net *net;
	struct config_passthrough *passthrough;
	uint32_t switch_phandle[CONFIG_MAX_SWITCHES]; /* 0: nobody refers to it */
};

struct config_value {
	const uint8_t *data;
	uint32_t length;
};

static inline uint32_t config_cell(const struct config_value *v, uint32_t index)
{
	const uint8_t *b = v->data + (size_t)index * 4;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* A VM's passthrough node (config_passthrough.c), and the values of its properties. */
void config_passthrough_node(struct config_parser *parser, int node);
void config_set_pci_id(struct config_parser *parser, const struct config_value *v);
void config_set_pci_address(struct config_parser *parser, const struct config_value *v);
void config_set_interrupt_gsi(struct config_parser *parser, const struct config_value *v);

/* Properties of net nodes that have to do with uplinks (config_passthrough.c). */
void config_set_uplink(struct config_parser *parser, const struct config_value *v);
void config_set_link_follows_uplink(struct config_parser *parser, const struct config_value *v);

/* Its virtio-console (config_console.c): the property, and whether the VM has a place for the device. */
void config_set_console(struct config_parser *parser, const struct config_value *v);
void config_check_console(struct config_parser *parser);

/* Whether a net or passthrough node of the VM has that name. */
bool config_device_named(const struct config_vm *vm, const char *name);

/* What a VM may not be as a whole: uplinks and devices against its role. At its node. */
void config_check_role(struct config_parser *parser);

/* Whether there is an uplink for each link that follows them: when all VMs are known. At the net nodes. */
void config_check_links(struct config_parser *parser);

/* A node's name as that of a VM, switch, port or device; copies what fits, reports the rest. */
void config_take_name(struct config_parser *parser, int node, char out[CONFIG_MAX_NAME + 1]);

/*
 * Checks every property of a node against the table, stores the good ones in parser->config,
 * ->vm, ->net or ->passthrough, and reports those that are wrong, unknown or missing.
 */
void config_properties(struct config_parser *parser, int node, enum config_node type);

/*
 * Whether a file of that name, not empty, can lie on the disk beside those that are named already;
 * else reports why not.
 */
bool config_good_file(struct config_parser *parser, const char *property, const char *name);

/* Checks a kernel that is a Linux bzImage for one VM: its header, its size, the VM's memory. */
struct bzimage;
void config_check_bzimage(struct config_reporter *reporter, const struct config_vm *vm,
			  const struct bzimage *image, size_t bytes);

const char *config_node_name(enum config_node type); /* root, vms, switch, … */

/* Reports a compatible string that is not the one of parser->type. */
void config_check_compatible(struct config_parser *parser, const char *given);

/* Reports a node that, as its compatible string says, does not belong into one of the kind `in`: ROOT, VMS, VM. */
bool config_misplaced(struct config_parser *parser, int node, enum config_node in);

/* The first string of a node's compatible property, "" if there is none. */
const char *config_compatible(const void *dtb, int node);
