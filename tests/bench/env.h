/* SPDX-License-Identifier: BSD-2-Clause */
/* What the benchmark of two cores sees of its own vswitch/env.h. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "vswitch/env.h"

extern _Thread_local unsigned bench_cpu; /* answer of env_cpu() */
extern _Atomic unsigned long bench_interrupts;

/* Measured at the first call, which must come before any batch. */
double bench_tsc_hz(void);
