/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the benchmark guest tells the hypervisor (hypercalls HC_BENCH_BEGIN, HC_BENCH_RESULT).
 * The hypervisor copies each struct once, checks it, adds its own counters of the window (exits,
 * notifications, copies, drops of both ends) and emits one JSON line on the debug port.
 */
#pragma once

#include <stdint.h>

enum bench_test { BENCH_STREAM = 1, BENCH_RR = 2 };

struct bench_begin {	    /* 16 bytes */
	uint8_t own_mac[6]; /* a net device of the calling VM */
	uint8_t peer_mac
		[6]; /* a net device of the VM at the other end; or nobody's, behind an uplink */
	uint32_t reserved; /* 0 */
};

/* stream: told by the sink, of what it verified. rr: told by the client. */
struct bench_result {	      /* 128 bytes */
	uint32_t test;	      /* enum bench_test */
	uint32_t frame_bytes; /* without FCS */
	uint32_t run;	      /* 1.. */
	uint32_t runs;	      /* how many there will be of this test and size */
	uint64_t
		nanoseconds; /* stream: first to last verified frame; rr: first request to last answer */
	uint64_t packets;	/* stream: frames received and verified */
	uint64_t bytes;		/* of these frames */
	uint64_t sent;		/* stream: frames the sender says it sent */
	uint64_t lost;		/* sent but not seen by the sink */
	uint64_t reordered;	/* sequence number below an earlier one */
	uint64_t corrupt;	/* header, checksum or payload wrong, or a frame seen twice */
	uint64_t sender_stalls; /* times that the sender found its ring full */
	uint64_t transactions;	/* rr */
	uint64_t p50_ns;
	uint64_t p99_ns;
	uint64_t age_ns;      /* stream: since the first verified frame, when this is told */
	uint64_t reserved[2]; /* 0 */
};

_Static_assert(sizeof(struct bench_begin) == 16, "ABI");
_Static_assert(sizeof(struct bench_result) == 128, "ABI");
