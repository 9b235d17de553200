/* SPDX-License-Identifier: BSD-2-Clause */
/* As pause.pml, but the devices stand still while vCPUs are still in the guest: must fail. */
#define WHEN_OUT 0
#include "pause.pml"
