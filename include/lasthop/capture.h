/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the switch tells of packets at a port that is captured (vswitch/capture.h): a stream of these
 * records, in memory and on the management line. Each is followed by the first `kept` bytes of its frame, by
 * zeros, and by its `place` once more, which ends it at a multiple of 8 bytes: where the line has lost some,
 * what is whole is found again, by a mark that no guest knows: its frames may hold what looks like a record.
 * Little-endian.
 */
#pragma once

#include <stdint.h>

struct capture_record {
	uint32_t bytes;	   /* of the record, with what follows it */
	uint32_t mark;	   /* the capture's own, by chance */
	uint32_t place;	   /* of the record among all bytes of the stream, modulo 2^32 */
	uint32_t kept;	   /* of the frame, here: at most the capture's snap length */
	uint32_t whole;	   /* bytes of the frame, without FCS */
	uint32_t number;   /* from 0 on, modulo 2^32; those that had no room have one, too */
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

#define CAPTURE_NO_PAIR 0xffffu

/* Bytes of a record that keeps so many of its frame. */
static inline uint32_t capture_bytes(uint32_t kept)
{
	return ((uint32_t)sizeof(struct capture_record) + kept + (uint32_t)sizeof(uint32_t) + 7) &
	       ~7u;
}
