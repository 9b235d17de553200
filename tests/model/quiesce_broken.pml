/* SPDX-License-Identifier: BSD-2-Clause */
/* As quiesce.pml, but a pass of the run loop alone counts as the answer. */
#define COUNT_FLUSHES 0
#include "quiesce.pml"
