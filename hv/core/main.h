/* SPDX-License-Identifier: BSD-2-Clause */
/* The core's entry from entry.S: on the boot CPU's own stack, interrupts off. */
#pragma once

#include "hv/core/handover.h"

_Noreturn void core_main(const struct handover *h);
