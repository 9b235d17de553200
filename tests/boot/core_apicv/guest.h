/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one page of the guest in guest.S, at guest-physical 0: where its parts lie, and what it and
 * the core in main.c tell each other there. For C and assembly.
 */
#pragma once

#define GUEST_STUBS  0x400 /* 4 bytes for each vector; the table of vectors is before it */
#define GUEST_TAKEN  0x800 /* how often each vector has arrived, 32 bits each */
#define GUEST_LOOPS  0xc00 /* grows while it runs */
#define GUEST_MASKED 0xc04 /* how many arrived while it had interrupts off */
#define GUEST_OPEN   0xc08 /* by the core: switch interrupts on */
#define GUEST_STOP   0xc0c /* by the core: halt */
#define GUEST_CLOSED 0xd00 /* starts here with interrupts off */
#define GUEST_OPENED 0xd40 /* starts here with interrupts on */
#define GUEST_STACK  0xff0
#define GUEST_BYTES  0x1000
