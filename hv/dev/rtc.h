/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The clock behind ports 0x70 and 0x71 (MC146818A data sheet): it answers, so that a guest that
 * asks it does not wait for an update that never ends (Linux reads 0xff from an absent one as
 * "update in progress"). It tells the machine's time of day. Read-only, no interrupts.
 */
#pragma once

#include <stdint.h>

#include "hv/core/lock.h"
#include "hv/dev/bus.h"

struct rtc {
	struct spinlock lock;
	struct bus_region region;
	uint8_t index; /* under lock */
};

int rtc_init(struct rtc *rtc, struct bus *io);

/* The register's value at a time, in seconds since 1970. */
uint8_t rtc_register(unsigned index, uint64_t seconds);
