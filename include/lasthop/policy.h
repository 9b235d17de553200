/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one list of policies: what the switch does when, which can be changed while packets pass. The
 * config's node `policy` and the shell's `set` take the same names and values; docs/config.md is
 * compared with it. Some take one of a list of words, each ended by a NUL, whose place in the list is
 * the value; others a number.
 */
#pragma once

#include <stdint.h>

#define POLICY_OFF_ON "off\0on\0"
#define POLICY_REUSE  "off\0on\0per-packet\0"	    /* enum reuse_policy */
#define POLICY_COPY   "auto\0moves\0vectors\0rep\0" /* enum copy_policy */

/* X(id, name, words, initial value, example, help) */
#define POLICY_WORDS(X)                                                                            \
	X(batching, "batching", POLICY_OFF_ON, 1, "off",                                           \
	  "ask a busy sender for a kick only after several packets")                               \
	X(preemptive_copy, "preemptive-copy", POLICY_OFF_ON, 1, "off",                             \
	  "a packet is in the receiver's buffer before that runs")                                 \
	X(immediate_notification, "immediate-notification", POLICY_OFF_ON, 1, "off",               \
	  "wake a blocked receiver after the first packet of a batch, not the last")               \
	X(offload, "offload", POLICY_OFF_ON, 1, "off",                                             \
	  "an idle CPU takes the packets of a busy sender")                                        \
	X(polling, "polling", POLICY_OFF_ON, 1, "off",                                             \
	  "an idle CPU goes on looking at the queue it took, for poll-us")                         \
	X(steering, "steering", POLICY_OFF_ON, 1, "off",                                           \
	  "a flow comes in by the queue pair it goes out by, not by its hash alone")               \
	X(copy, "copy", POLICY_COPY, 0, "vectors",                                                 \
	  "what long pieces of packets are copied by: auto takes what is fastest")                 \
	X(buffer_reuse, "buffer-reuse", POLICY_REUSE, 0, "on",                                     \
	  "a driver domain's NIC reads packets where they are")

/* X(id, name, least, most, initial value, help) */
#define POLICY_NUMBERS(X)                                                                          \
	X(batch_packets, "batch-packets", 1, 64, 64, "packets taken at a time, at most")           \
	X(batch_bytes, "batch-bytes", 1514, 1048576, 65536,                                        \
	  "a batch ends when it has this many bytes")                                              \
	X(poll_us, "poll-us", 10, 10000, 1000,                                                     \
	  "us that a CPU polls in vain; an interrupt that it owes waits a tenth")                  \
	X(lag_us, "lag-us", 1, 10000, 100, "us that a packet put without a kick waits, at most")

enum policy_id {
#define POLICY_ENUM(id, ...) POLICY_##id,
	POLICY_WORDS(POLICY_ENUM) POLICY_NUMBERS(POLICY_ENUM)
#undef POLICY_ENUM
		POLICY_COUNT
};

struct policy {
	const char *name;
	const char *words; /* NULL: a number, least to most */
	uint32_t least, most, initial;
	const char *help;
};
