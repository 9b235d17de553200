/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The benchmark guest. Boot arguments:
 *
 *   role=sink ip=A.B.C.D [sources=N] (that many sources come, one after the other: 1)
 *   role=busy (computes for ever)
 *   role=source ip=A.B.C.D peer=A.B.C.D tests=stream:BYTES[@N][*N],rr:BYTES[*N],ndr:BYTES,pdr:BYTES,…
 *        [runs=N] [packets=N]
 *        [transactions=N] [burst=N] [count=N] [begin=SECONDS every=MS] [outside=on]
 *   both: [net=N] (which virtio-net device, 0 is the first), [tx=single|chain|indirect] (how
 *        frames are described to the device), [ring=split|packed], [offload=on] (frames of up to 64 KiB
 *        are for the device to cut, or come whole)
 *
 * The source drives: for each run START to the sink, frames, END; BYE after the last one. Control
 * messages are answered, and repeated until they are. Who has a result to tell (lasthop/bench.h):
 * the sink for stream, the source for rr.
 *
 * stream:BYTES@N sends N frames a second, no more; with *N at most N frames are on the way, since the sink sends
 * back every (N/2)th: its ring is never full, and what is lost nobody may lose. A request of rr:BYTES*N is N frames, shown to the device at once; the answer is one frame.
 *
 * ndr and pdr search for the highest rate at which no frame, or 0.5 % of them, is lost (search.h): each
 * trial is a run of a stream, and what was found is told at the end.
 *
 * With begin= the runs of several sources begin together: the first at that time (seconds since 1970, by
 * the hypervisor's clock), each further one `every` ms later.
 *
 * With outside=on the sink is no VM of this machine: the source tells the results of streams, as that
 * has seen them.
 *
 * With count=N the source runs a loop of N turns before the first test and after the last, and tells
 * how many ticks each took: on a machine whose clock is fair they are the same.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guest/bench/link.h"
#include "lasthop/bench.h"

enum { BENCH_MAX_TESTS = 32 };

struct bench_case {
	enum bench_test test;
	uint32_t frame_bytes;
	uint64_t count; /* frames or transactions a run */
	bool search;	/* of frames: for the highest rate that loses no more than … */
	unsigned loss_permille;
	uint64_t rate;	 /* of a stream, frames a second; 0: as fast as they go */
	uint32_t train;	 /* of rr: frames a request, the last of which is answered */
	uint32_t window; /* of a stream: frames on the way at most; 0: no bound */
};

struct bench_plan {
	unsigned cases;
	struct bench_case list[BENCH_MAX_TESTS];
	uint32_t runs;
	uint32_t burst;		    /* frames shown to the device at once */
	uint64_t begin_s, every_ms; /* 0: each run begins when the one before it has ended */
	bool outside;		    /* the sink cannot tell the hypervisor */
};

/* Reads tests=, runs= and so on; NULL, or what is wrong with them. large: the device takes frames to be
 * cut. */
const char *plan_parse(const char *cmdline, unsigned mtu, bool large, struct bench_plan *plan);

/* One run each; the result's test, frame_bytes, run and runs are filled in by the caller. False:
 * the guest cannot go on (and has printed why). rate: frames a second, 0: as fast as they go. */
bool stream_run(struct link *link, const struct bench_plan *plan, const struct bench_case *c,
		uint64_t rate, uint32_t session, uint64_t *stalls);
bool rr_run(struct link *link, const struct bench_case *c, uint32_t session,
	    struct bench_result *result);

/* The roles; their value is the guest's end status. */
int source_main(struct link *link, const struct bench_plan *plan);
int sink_main(struct link *link, uint64_t sources);

/* Tells the sink that there is no more to come, so that it ends. */
void source_bye(struct link *link, uint32_t session);

/* Tells the hypervisor, if it is lasthop, and prints. False: it refused (printed). */
bool bench_begin(const struct link *link);
bool bench_report(const struct bench_result *result);

/* Runs the counting loop and tells; 0: nothing. */
void bench_count(const char *when, uint64_t loops);
