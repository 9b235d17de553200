/* SPDX-License-Identifier: BSD-2-Clause */
/* The I/O APIC, as far as a driver of a device with a line interrupt (INTx) needs it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Has the pin of this global interrupt send the vector to this CPU while its line is asserted. The
 * handler has to make the device release the line before the EOI. False: no I/O APIC has it. */
bool ioapic_route(uint32_t gsi, uint8_t vector);
