/* SPDX-License-Identifier: BSD-2-Clause */
/* As poll.pml, but who stops polling does not serve the queue once more: must fail. */
#define END_SERVES 0
#include "poll.pml"
