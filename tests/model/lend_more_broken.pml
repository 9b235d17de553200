/* SPDX-License-Identifier: BSD-2-Clause */
/* lend_more.pml without the look after a kick was asked for: what came before that is never seen. */
#define NO_LOOK
#include "lend_more.pml"
