/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Another config for a machine that runs (docs/apply.md). Everything is checked before anything changes; what
 * both configs have alike is not touched; and a change is done as a whole: if something of the new config
 * cannot be made, all is made again as it was.
 *
 *   take     what changes or goes is ended, its places are ours (lifecycle_take())
 *   change   uplinks, switches and the places of the running config become those of the new one
 *   make     VMs are made by it, one at a time; the first that cannot be made leads back: to `change`, by
 *            the config as it was, and `make`
 *   start    they start, places are given back, policies set; switches and files that nobody has go
 *
 * A VM refers to its place in the running config for as long as it exists, so a place is written only while
 * it is taken. The running config is read under vm_table_lock, and written under it.
 *
 * All calls are for one CPU, in its run loop with no vCPU and no lock held: the first one's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/core/config.h"
#include "hv/core/config_diff.h"

/* The running config, which is apply's to change from then on; what check_machine compares with. Once. */
void apply_init(struct config *running, const char *apicv_lacks);

/* Drops what was gathered for a change and begins another. An error, with a sentence in *why: one is going
 * on, or no memory. */
int apply_begin(const char **why) __attribute__((warn_unused_result));

/* Drops what was gathered, if no change is going on. */
void apply_drop(void);

/* Of the host's files: this one has another content than the one of its name here, or there is none of it here.
 * It is to be staged before apply_run() (hv/core/images.h). False: too many. */
bool apply_declare(const char *name);
bool apply_declared(const char *name);

/*
 * The new config, as a blob: parsed, compared with the machine and with the running config. Reports errors,
 * tells changes, and returns how many errors there are; CONFIG_BOOT in a change is one. staged: the declared
 * files must be there, and are checked.
 */
unsigned apply_check(const void *dtb, size_t bytes, bool staged, config_error_fn *report,
		     config_change_fn *tell, void *context);

/* Does what the last apply_check() has told, which had no errors, in the background from now on: apply_work().
 * An error, with a sentence: nothing is done. */
int apply_run(const char **why) __attribute__((warn_unused_result));

enum apply_state {
	APPLY_IDLE,    /* nothing was begun, or it was dropped */
	APPLY_GATHERS, /* apply_begin() */
	APPLY_STOPS,   /* apply_run(): VMs end */
	APPLY_MAKES,   /* VMs are made */
	APPLY_BACK,    /* it goes back: why */
	APPLY_DONE,    /* the config is the new one */
	APPLY_FAILED,  /* and is the old one: why */
};
struct apply_status {
	enum apply_state state;
	unsigned done, of; /* VMs made */
	const char *why;   /* a sentence; "" */
};
struct apply_status apply_status(void);

/* A turn of its work, if it has any on this CPU: at most one VM is made. Waiting: some is due, so that a vCPU
 * should leave the CPU to it. */
void apply_work(void);
bool apply_waiting(void);
