/* SPDX-License-Identifier: BSD-2-Clause */
/* The clock in the test's hands, for the file under test that is included below. */
#pragma once

#include <stdint.h>

#undef fail /* cmocka's macro, the core's function */
#define rdtsc real_rdtsc
#include "hv/cpu/x86.h"
#undef rdtsc

static uint64_t fake_now;

static uint64_t rdtsc(void)
{
	return fake_now;
}
