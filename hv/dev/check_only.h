/* SPDX-License-Identifier: BSD-2-Clause */
/* A boot that only tells whether the machine has what lasthop uses (hv/cpu/feature.h). */
#pragma once

#include "hv/core/handover.h"

/* Instead of all that follows timer_init_cpu() and host_irq_init() in a boot: one line a feature, as
 * events too, and the end. Changes nothing but the CPUs' start and the devices' bus mastering. */
_Noreturn void check_only(const struct handover *h);
