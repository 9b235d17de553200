/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM's exits by their kind: what they are for. */
#pragma once

#include <stdint.h>

#include "hv/cpu/hvm.h"

struct vm;

struct exit_counts {
	uint64_t of[VMEXIT_KINDS];
};

/* Of all its vCPUs since its start. Any CPU. */
void exit_counts_add(struct exit_counts *sum, const struct vm *vm);
void exit_counts_subtract(struct exit_counts *end, const struct exit_counts *start);

const char *exit_kind_name(enum vmexit_kind kind); /* "hlt", "io", … */
