/* SPDX-License-Identifier: BSD-2-Clause */
/* As hold.pml, but who holds a packet does not look at the receiver again: must fail. */
#define LOOKS_AGAIN 0
#include "hold.pml"
