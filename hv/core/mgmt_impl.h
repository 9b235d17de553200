/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parts of the management channel share: lines (mgmt.c), requests (mgmt_rpc.c), streams
 * (mgmt_stream.c). All of it is the home CPU's alone, but for the first line's frame on its way out,
 * which is under log_lock, as all that goes out there.
 */
#pragma once

#include "hv/core/mgmt.h"
#include "hv/core/mgmt_frame.h"

#define MGMT_OUT_PAYLOAD 480 /* of our frames: the first line's stage holds one whole */

struct mgmt_line;

/* One who is answered: a line, and a client's number there. */
struct mgmt_peer {
	struct mgmt_line *line; /* NULL: nobody */
	uint8_t client;
};

static inline bool mgmt_same_peer(struct mgmt_peer a, struct mgmt_peer b)
{
	return a.line == b.line && a.client == b.client;
}

/* ---- mgmt_rpc.c ---- */

/* A request has come: false if one waits already. */
bool rpc_request(struct mgmt_peer peer, const uint8_t *text, size_t bytes);
bool rpc_waiting(void);
/* A request waits, or an answer is not sent yet. */
bool rpc_busy(void);
/* Answers the one that waits: runs its method. */
void rpc_run(void);
/* The next piece of an answer for this line, if there is one. */
bool rpc_frame(const struct mgmt_line *line, struct frame *out);
/* The peer begins anew. */
void rpc_reset(struct mgmt_peer peer);
/* Memory for answers. */
int rpc_init(void) __attribute__((warn_unused_result));
/* The call has opened a stream, one at most. */
void rpc_opened(struct mgmt_call *call, struct mgmt_stream *s);
struct mgmt_peer mgmt_call_peer(const struct mgmt_call *call);

/* ---- mgmt_stream.c ---- */

/* DATA, ACK or END from a peer. */
void stream_frame(struct mgmt_peer peer, const struct frame *frame);
/* What is next to be sent on this line: the payload lies in `room` bytes of `buffer`, if at all.
 * control: acknowledgements and ends only. */
bool stream_next(const struct mgmt_line *line, bool control, uint8_t *buffer, size_t room,
		 struct frame *out);
void stream_reset(struct mgmt_peer peer);
/* The call in which this stream was opened has failed. */
void stream_undo(struct mgmt_stream *s);
/* One is open: there may be something to send at any time. */
bool stream_any(void);
/* One row of "status" for each. */
void stream_list(struct json *j);

/* ---- mgmt.c, for "status" ---- */
void mgmt_list_lines(struct json *j);

/* ---- the tables of methods ---- */
extern const struct mgmt_method mgmt_own_methods[];
extern const struct mgmt_method mgmt_vm_methods[];
extern const struct mgmt_method mgmt_switch_methods[];
extern const struct mgmt_method mgmt_console_methods[];
extern const struct mgmt_method mgmt_apply_methods[];

/* Each in turn, NULL past the last (mgmt_methods.c). */
const struct mgmt_method *mgmt_method_at(unsigned i);
