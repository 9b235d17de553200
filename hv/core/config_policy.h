/* SPDX-License-Identifier: BSD-2-Clause */
/* Policies by name; their values as text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lasthop/policy.h"

extern const struct policy policies[POLICY_COUNT];

const struct policy *policy_by_name(const char *name); /* NULL: there is none */

/* The word for a value, or the words by their numbers: NULL past the last, or if it has none. */
const char *policy_word(const struct policy *policy, uint32_t value);

/* false: not one of the values that the policy takes. */
bool policy_parse(const struct policy *policy, const char *text, uint32_t *value);
