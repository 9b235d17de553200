/* SPDX-License-Identifier: BSD-2-Clause */
/* As vcpu_wake.pml, but a CPU that goes idle does not look into the queues again: must fail. */
#define IDLE_LOOK 0
#include "vcpu_wake.pml"
