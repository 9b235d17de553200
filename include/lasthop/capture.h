/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the switch tells of packets at a port that is captured (vswitch/capture.h): a stream of these
 * records, in memory and on the management line, each followed by the first `kept` bytes of its frame
 * and by zeros up to a multiple of 8. Little-endian.
 */
#pragma once

#include <stdint.h>

struct capture_record {
	uint32_t bytes;	   /* of the record, with what follows it */
	uint32_t magic;	   /* CAPTURE_MAGIC, to find a record again where the line lost some */
	uint32_t kept;	   /* of the frame, here: at most the capture's snap length */
	uint32_t whole;	   /* bytes of the frame, without FCS */
	uint64_t time_us;  /* monotonic */
	uint32_t lost;	   /* records that had no room, in all before this one, modulo 2^32 */
	uint16_t pair;	   /* queue pair; CAPTURE_NO_PAIR */
	uint8_t direction; /* enum capture_direction */
	uint8_t verdict;   /* enum verdict (lasthop/verdict.h): what became of it, at this port */
};
_Static_assert(sizeof(struct capture_record) == 32, "ABI");

enum capture_direction {
	CAPTURE_IN,  /* from the port's guest into the switch */
	CAPTURE_OUT, /* from the switch to the port's guest */
};

#define CAPTURE_MAGIC	0x504f484cu /* "LHOP" */
#define CAPTURE_NO_PAIR 0xffffu
