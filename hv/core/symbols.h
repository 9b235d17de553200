/* SPDX-License-Identifier: BSD-2-Clause */
/* Names for addresses of the core, from the symbol table that the loader handed over. */
#pragma once

#include <stdint.h>

#include "hv/core/handover.h"

void symbols_init(const struct handover *h);

/* The function that holds `address`, and how far into it; NULL if none is known. */
const char *symbol_find(uint64_t address, uint64_t *offset);
