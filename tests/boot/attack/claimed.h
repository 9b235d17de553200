/* SPDX-License-Identifier: BSD-2-Clause */
/* The Ethernet address of nobody that the attacker claims, as its six bytes. */
#pragma once

#define CLAIMED 0x02, 0x4c, 0x48, 0x00, 0x00, 0x99
