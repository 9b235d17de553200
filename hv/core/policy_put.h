/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdint.h>

#include "lasthop/policy.h"

/* The switches do it by the new value from their next batch on, and all that was kept by the old one goes. Any
 * CPU, no lock held. */
void policy_put(enum policy_id id, uint32_t value);
