/* SPDX-License-Identifier: BSD-2-Clause */
/* Address types that do not mix: guest-physical and host-physical. */
#pragma once

#include <stdint.h>

typedef struct {
	uint64_t v;
} gpa_t;
typedef struct {
	uint64_t v;
} hpa_t;
