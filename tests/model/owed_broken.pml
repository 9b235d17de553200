/* SPDX-License-Identifier: BSD-2-Clause */
/* As owed.pml, but who ends polling forgets what it owes. */
#define LAST_SETTLES 0
#include "owed.pml"
