/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The difference of two configs, and what a machine that runs the one must do to run the other. Pure:
 * the core and the host tool use the same code (`lasthop apply`).
 *
 * A machine that runs refers to VMs and switches by their place in its config, so that these keep it for
 * as long as they are there; places in between may be free (config_vm_there(), config_switch_there()).
 */
#pragma once

#include "hv/core/config.h"

/* In a config that runs, a VM or switch without a name is a free place. */
static inline bool config_vm_there(const struct config_vm *vm)
{
	return vm->name[0] != '\0';
}

static inline bool config_switch_there(const struct config_switch *sw)
{
	return sw->name[0] != '\0';
}

/*
 * *next, as config_parse() made it, with its VMs and switches at the places that they have in *now: into
 * *placed, another object. What is new gets a free place, or one of those that go. There is always one.
 */
void config_place(const struct config *now, const struct config *next, struct config *placed);

enum config_change_kind { CONFIG_ADDED, CONFIG_REMOVED, CONFIG_CHANGED };

#define CONFIG_CHANGE_TEXT 72 /* of a value, with its NUL; a longer one ends in ".." */

/* One difference. */
struct config_change {
	enum config_change_kind kind;
	enum config_effect effect;
	char node[96];	      /* path: "/vms/alice/net0" */
	const char *property; /* "": the node itself is added or removed; constant */
	char from[CONFIG_CHANGE_TEXT], to[CONFIG_CHANGE_TEXT]; /* "": it is not there */
};

typedef void config_change_fn(void *context, const struct config_change *change);

/* Whether a file that both configs name has another content now. */
typedef bool config_image_fn(void *context, const char *name);

/* What is to be done at a place. */
enum config_step {
	CONFIG_KEEP,   /* nothing: it is not touched */
	CONFIG_ADD,    /* nobody is there yet */
	CONFIG_REMOVE, /* for good */
	CONFIG_RENEW,  /* what is there goes, or ends, and is made by the new config */
};

/* By place in the running config. */
struct config_plan {
	uint8_t vms[CONFIG_MAX_VMS];	       /* enum config_step */
	uint8_t switches[CONFIG_MAX_SWITCHES]; /* likewise; CONFIG_RENEW: another takes the place */
	bool policies;
	unsigned changes; /* told */
	unsigned refused; /* of them, with CONFIG_BOOT: the plan is not to be carried out */
};

/*
 * Tells every difference between a config that runs and one placed over it, and makes the plan. other is
 * NULL if no file has another content.
 */
void config_diff(const struct config *now, const struct config *placed, config_image_fn *other,
		 config_change_fn *tell, void *context, struct config_plan *plan);

/*
 * The value of a property as text, whole: of a VM (net and passthrough are NULL), or of a net or passthrough
 * node; false: there is no such property, or its value is never compared. For the tests: of every property
 * of the table that can change there is one.
 */
struct config_at {
	const struct config *config;
	const struct config_vm *vm;
	const struct config_net *net;
	const struct config_passthrough *passthrough;
};
bool config_value_text(const struct config_at *at, const struct config_property *property,
		       char *out, size_t room);
