/* SPDX-License-Identifier: BSD-2-Clause */
/* As pause.pml, but the last vCPU out does not look whether it is the last one: must fail. */
#define LAST_ONE 0
#include "pause.pml"
