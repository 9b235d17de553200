/* SPDX-License-Identifier: BSD-2-Clause */
/* As posted.pml, but a vCPU is entered without a look at its requests: must fail. */
#define TAKE_AT_ENTRY 0
#include "posted.pml"
