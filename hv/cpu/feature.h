/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What lasthop uses of a machine, feature by feature: each part of the code lists what it wants, from
 * the tables that it works by, and says whether it is there. The lists are asked for on the machine
 * itself (hv/dev/check_only.c), and by Linux (scripts/check_host.c).
 */
#pragma once

#include <stdbool.h>

enum feature_state {
	FEATURE_OK,
	FEATURE_LESS, /* missing, and lasthop does without */
	FEATURE_MISSING,
	FEATURE_UNKNOWN, /* who asks may not look */
};

/* part: "CPU", "VT-x", ...; name: what is wanted; both stay. where: the device, or "". */
typedef void feature_fn(void *context, const char *part, const char *where, const char *name,
			enum feature_state state);

static inline enum feature_state feature_state(bool there, bool required)
{
	return there ? FEATURE_OK : required ? FEATURE_MISSING : FEATURE_LESS;
}

/* As people read it. */
static inline const char *feature_state_name(enum feature_state state)
{
	return state == FEATURE_OK	  ? "ok"
	       : state == FEATURE_LESS	  ? "missing (optional)"
	       : state == FEATURE_MISSING ? "MISSING"
					  : "unknown";
}
