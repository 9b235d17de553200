/* SPDX-License-Identifier: BSD-2-Clause */
/* What the boot before this one said last, if it died (hv/core/log_area.h). */
#pragma once

#include <stdbool.h>

struct handover;

/* Shows it on the serial line and the screen, not in the log. Once, after screen_init(), before other
 * CPUs run. */
void last_boot_show(const struct handover *h);

/* Into the shell's answer; false: it did not die, or nothing is known of it. */
bool last_boot_answer(void);
