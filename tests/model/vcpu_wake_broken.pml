/* SPDX-License-Identifier: BSD-2-Clause */
/* As vcpu_wake.pml, but a vCPU that blocks does not look for interrupts again: must fail. */
#define SECOND_LOOK 0
#include "vcpu_wake.pml"
