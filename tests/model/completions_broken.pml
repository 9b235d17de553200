/* SPDX-License-Identifier: BSD-2-Clause */
/* As completions.pml, but who leaves does not have the queue served: must fail. */
#define LEAVING_SETTLES 0
#include "completions.pml"
