/* SPDX-License-Identifier: BSD-2-Clause */
/* As lag.pml, but a vCPU leaves its CPU without a look at the queues: must fail. */
#define LEAVING_FLUSHES 0
#include "lag.pml"
