/* SPDX-License-Identifier: BSD-2-Clause */
/* Until no CPU holds anything of a VM that has ended. */
#pragma once

#include "hv/core/vm.h"

/*
 * Waits until every other CPU has passed its run loop and dropped its translations of the VM: none
 * holds a pointer into it then. One caller at a time. Model: tests/model/quiesce.pml.
 */
void quiesce(struct vm *vm);

/* Answers MB_FLUSH. */
void vm_flush_posted(void);
