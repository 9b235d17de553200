/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The time of day: read once from the machine's clock at boot, counted on by the TSC.
 */
#pragma once

#include <stdint.h>

/* Reads the machine's clock; after timer_calibrate(), once. */
void wall_init(void);

/* Nanoseconds since 1970 (UTC, as far as the machine's clock is) at a value of the host's TSC. */
uint64_t wall_ns_at(uint64_t tsc);
