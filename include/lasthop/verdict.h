/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What became of a packet, and why: every stage of the switch returns one of these. Counters,
 * traces and captures all speak of the same reasons. X(name, stat suffix, text for people).
 */
#pragma once

#define VERDICT_TABLE(X)                                                                           \
	X(DELIVERED, delivered, "copied to the receiver's ring")                                   \
	X(FLOODED, flooded, "copied to every other port: destination unknown or a group")          \
	X(DROP_UNPLUGGED, drop_unplugged, "the link of the port it came from is down")             \
	X(DROP_SHORT, drop_short, "shorter than an Ethernet header")                               \
	X(DROP_LONG, drop_long, "longer than the port's MTU allows")                               \
	X(DROP_BAD_HEADER, drop_bad_header, "virtio-net header missing or not negotiated")         \
	X(DROP_BAD_CSUM, drop_bad_csum, "checksum to be made lies outside of the frame's data")    \
	X(DROP_BAD_GSO, drop_bad_gso, "frame to be segmented is not what its header says")         \
	X(DROP_BAD_SOURCE, drop_bad_source, "source address is a group or zero")                   \
	X(DROP_SAME_PORT, drop_same_port, "destination is behind the port it came from")           \
	X(DROP_REFLECTED, drop_reflected,                                                          \
	  "from an uplink, with the source address of a port here")                                \
	X(DROP_TRANSIT, drop_transit, "from one uplink to another")                                \
	X(DROP_NO_PORT, drop_no_port, "no other port to send it to")                               \
	X(DROP_FILTERED, drop_filtered, "receiver does not want this address or VLAN")             \
	X(DROP_LINK_DOWN, drop_link_down, "receiver's link is down, or its queue is not running")  \
	X(DROP_NO_BUFFER, drop_no_buffer, "receiver has no free buffer")                           \
	X(DROP_BUFFER_SMALL, drop_buffer_small, "receiver's buffers are too small for the frame")  \
	X(DROP_RESET, drop_reset, "receiver was reset while it was copied")                        \
	X(DROP_BROKEN, drop_broken, "the queue broke a rule and was stopped")

enum verdict {
#define VERDICT_ENUM(name, stat, text) VERDICT_##name,
	VERDICT_TABLE(VERDICT_ENUM)
#undef VERDICT_ENUM
		VERDICT_COUNT
};
