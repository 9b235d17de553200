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

static inline char config_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

enum config_node { NODE_ROOT, NODE_VMS, NODE_SWITCH, NODE_VM, NODE_NET, NODE_POLICY };

struct config_parser {
	struct config_reporter reporter;
	const void *dtb;
	struct config *config;
	enum config_node type; /* of the node whose properties are being checked */
	const char *property;  /* the one whose value is being set */
	struct config_vm *vm;  /* that it is, or that it is in */
	struct config_net *net;
	uint32_t switch_phandle[CONFIG_MAX_SWITCHES]; /* 0: nobody refers to it */
};

/*
 * Checks every property of a node against the table, stores the good ones in parser->config,
 * ->vm or ->net, and reports those that are wrong, unknown or missing.
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

/* The first string of a node's compatible property, "" if there is none. */
const char *config_compatible(const void *dtb, int node);
