/* SPDX-License-Identifier: BSD-2-Clause */
/* As vcpu_wake.pml, but a CPU does not offer the vCPU that it has unloaded: must fail. */
#define OFFER_LOADED 0
#include "vcpu_wake.pml"
