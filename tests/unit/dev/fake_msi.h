/* SPDX-License-Identifier: BSD-2-Clause */
/* The messages that MSI-X sends, for tests without local APICs: counted, the last one kept. */
#pragma once

#include <stdint.h>

extern unsigned fake_messages; /* a test begins by setting it to 0 */
extern uint64_t fake_message_address;
extern uint32_t fake_message_data;
