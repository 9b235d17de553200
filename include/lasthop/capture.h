/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the switch tells of packets at a port that is captured (vswitch/capture.h): a stream of these
 * records, in memory and on the management line. Each is followed by the first `kept` bytes of its frame, by
 * zeros, and by its `place` once more, which ends it at a multiple of 8 bytes: where the line has lost some,
 * what is whole is found again. Little-endian.
 */
#pragma once

#include <stdint.h>

struct capture_record {
	uint32_t bytes;	   /* of the record, with what follows it */
	uint32_t magic;	   /* CAPTURE_MAGIC */
	uint32_t place;	   /* of the record among all bytes of the stream, modulo 2^32 */
	uint32_t kept;	   /* of the frame, here: at most the capture's snap length */
	uint32_t whole;	   /* bytes of the frame, without FCS */
	uint32_t lost;	   /* records that had no room, in all before this one, modulo 2^32 */
	uint64_t time_us;  /* monotonic */
	uint16_t pair;	   /* queue pair; CAPTURE_NO_PAIR */
	uint8_t direction; /* enum capture_direction */
	uint8_t verdict;   /* enum verdict (lasthop/verdict.h): what became of it, at this port */
	uint32_t zero;
};
_Static_assert(sizeof(struct capture_record) == 40, "ABI");

enum capture_direction {
	CAPTURE_IN,  /* from the port's guest into the switch */
	CAPTURE_OUT, /* from the switch to the port's guest */
};

#define CAPTURE_MAGIC	0x504f484cu /* "LHOP" */
#define CAPTURE_NO_PAIR 0xffffu

/* Bytes of a record that keeps so many of its frame. */
static inline uint32_t capture_bytes(uint32_t kept)
{
	return ((uint32_t)sizeof(struct capture_record) + kept + (uint32_t)sizeof(uint32_t) + 7) &
	       ~7u;
}
