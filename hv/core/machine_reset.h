/* SPDX-License-Identifier: BSD-2-Clause */
/* Restarts the machine. */
#pragma once

/* At once, and with all its devices: by the register that ACPI names, else by those of the PC, else by a
 * processor that fails. */
_Noreturn void machine_reset(void);
