/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * This station and its peer: ARP, control messages, and frames made ready in transmit slots. A
 * measured frame lies complete in its slot from the first use on; sending it again changes its
 * sequence number and checksum only, so that the guest's own work does not cover the switch's. A frame
 * larger than WIRE_MAX_FRAME is for the device to cut or to pass whole (USO); it lies in a buffer of
 * its own, of which there are LINK_LARGE.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guest/bench/wire.h"

struct link {
	struct wire_end own, peer;
	bool peer_known; /* peer.mac */
};

enum { RETRY_MS = 100, PEER_TIMEOUT_MS = 60000, LINK_LARGE = 32 };

/* The next frame that matters; ARP is dealt with on the way. WIRE_NONE: there is none now. To be
 * released by net_release() if it is any other. */
enum wire_kind link_receive(struct link *link, struct net_frame *frame);

/* Asks for the peer's MAC until it answers; false after PEER_TIMEOUT_MS. */
bool link_resolve(struct link *link);

/* Sends one control message to the peer; false: no free slot. */
bool link_send(struct link *link, const struct control *message);

/* Sends it until the answer is there (in *answer); false after timeout_ms. */
bool link_call(struct link *link, const struct control *message, struct control *answer,
	       uint64_t timeout_ms);

/* Answers a checked frame of up to WIRE_MAX_FRAME bytes with itself. */
void link_echo(const struct net_frame *frame);

/* The frames of one run. */
struct link_run {
	uint32_t session;
	uint32_t frame_bytes;
	uint16_t port;
	uint64_t sum; /* for the UDP checksum, without the sequence number */
};

/* Prepares the frame in all slots; false: the device does not finish what it was given before. */
bool link_prepare(struct link *link, struct link_run *run, uint32_t session, uint32_t frame_bytes,
		  uint16_t port);

/* True if a frame can be queued. */
bool link_room(const struct link_run *run);

/* Queues frame number `sequence`; false: no free slot. The device learns of it by net_tx_flush(). */
bool link_push(struct link *link, const struct link_run *run, uint64_t sequence);
