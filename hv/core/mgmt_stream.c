/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Streams of the management channel (docs/management.md). A stream's number is its place and, above
 * it, how often that was taken: a frame for one that is over does not hit its successor. Towards the
 * host at most WINDOW bytes are under way that it has not acknowledged, so that a host that is gone
 * costs nothing; what the line loses is not repeated, and a probe gets over it.
 */
#include <string.h>

#include "hv/core/fail.h"
#include "hv/core/mgmt_impl.h"
#include "hv/core/timer.h"
#include "hv/cpu/x86.h"

#define WINDOW	    (64u << 10)
#define PROBE_US    2000000
#define GENERATIONS 15u

struct mgmt_stream {
	bool open;
	uint8_t number;
	uint8_t generation;
	struct mgmt_peer peer;
	const struct mgmt_stream_ops *ops;
	void *owner;
	uint32_t sent, acked; /* offsets towards the host */
	uint64_t moved;	      /* TSC of the last ACK that moved, or of a probe */
	uint32_t taken;	      /* offset from the host */
	bool ack_due;
	bool gap;    /* something came that is further on: told with the acknowledgement */
	bool ending; /* mgmt_stream_end() was called */
	bool over;   /* closed() was called: the host is still to be told */
	const char *why;
	_Atomic uint64_t lost;
	char told[128]; /* payload of END */
};

static struct mgmt_stream streams[MGMT_STREAMS];
_Static_assert(MGMT_STREAMS *(GENERATIONS + 1) <= 256, "numbers have 8 bits");

/* An END for a stream that is not open; one at a time, since the host asks again. */
static struct {
	struct mgmt_peer peer;
	uint8_t number;
} stranger;

static unsigned turn; /* whose data is next */

struct mgmt_stream *mgmt_stream_open(struct mgmt_call *call, const struct mgmt_stream_ops *ops,
				     void *owner)
{
	for (unsigned i = 0; i < MGMT_STREAMS; i++) {
		struct mgmt_stream *s = &streams[i];
		uint8_t generation = (uint8_t)(s->generation % GENERATIONS + 1);

		if (s->open)
			continue;
		*s = (struct mgmt_stream){
			.open = true,
			.generation = generation,
			.number = (uint8_t)(generation * MGMT_STREAMS + i),
			.peer = mgmt_call_peer(call),
			.ops = ops,
			.owner = owner,
			.why = "",
			.moved = rdtsc(),
		};
		rpc_opened(call, s);
		return s;
	}
	mgmt_fail(call, MGMT_NOMEM, "all %u streams are open: end a console, capture or the like",
		  MGMT_STREAMS);
	return NULL;
}

void *mgmt_stream_owner(const struct mgmt_stream *s)
{
	return s->owner;
}

unsigned mgmt_stream_number(const struct mgmt_stream *s)
{
	return s->number;
}

void mgmt_stream_end(struct mgmt_stream *s, const char *why)
{
	s->ending = true;
	s->why = why;
}

void mgmt_stream_lost(struct mgmt_stream *s, uint64_t bytes)
{
	atomic_fetch_add_explicit(&s->lost, bytes, memory_order_relaxed);
}

/* The owner forgets it; the host is still to be told. */
static void finish(struct mgmt_stream *s, bool complete)
{
	if (s->over)
		return;
	s->over = true;
	if (s->ops->closed)
		s->ops->closed(s, complete);
}

static void drop(struct mgmt_stream *s)
{
	finish(s, false);
	s->open = false;
}

void stream_undo(struct mgmt_stream *s)
{
	drop(s);
}

void stream_reset(struct mgmt_peer peer)
{
	for (unsigned i = 0; i < MGMT_STREAMS; i++)
		if (streams[i].open && mgmt_same_peer(streams[i].peer, peer))
			drop(&streams[i]);
	if (mgmt_same_peer(stranger.peer, peer))
		stranger.peer.line = NULL;
}

static void take_data(struct mgmt_stream *s, const struct frame *frame)
{
	size_t n;

	s->ack_due = true;
	s->gap |= (int32_t)(frame->offset - s->taken) > 0;
	if (frame->offset != s->taken || s->over || !s->ops->push) {
		if (!s->ops->push)
			mgmt_stream_end(s, "it takes no bytes");
		return;
	}
	n = s->ops->push(s, frame->payload, frame->bytes);
	s->taken += (uint32_t)(n < frame->bytes ? n : frame->bytes);
}

/* Only what was sent can be acknowledged, and nothing twice. */
static void take_ack(struct mgmt_stream *s, uint32_t offset)
{
	uint32_t ahead = offset - s->acked;

	if (ahead == 0 || ahead > s->sent - s->acked)
		return;
	s->acked = offset;
	s->moved = rdtsc();
}

void stream_frame(struct mgmt_peer peer, const struct frame *frame)
{
	struct mgmt_stream *s = &streams[frame->stream % MGMT_STREAMS];

	if (s->number != frame->stream || !mgmt_same_peer(s->peer, peer)) {
		stranger.peer = peer;
		stranger.number = frame->stream;
	} else if (!s->open) {
		s->open = s->over = true; /* its end did not arrive: it is told again */
	} else if (frame->kind == FRAME_DATA) {
		take_data(s, frame);
	} else if (frame->kind == FRAME_ACK) {
		take_ack(s, frame->offset);
	} else {
		finish(s, frame->bytes == 0 && frame->offset == s->taken);
	}
}

static bool next_stranger(const struct mgmt_line *line, struct frame *out)
{
	static const char told[] = "{\"why\":\"it is not open\",\"lost\":0}";

	if (!line || stranger.peer.line != line)
		return false;
	*out = (struct frame){ FRAME_END, stranger.peer.client,	 stranger.number,
			       0,	  (const uint8_t *)told, sizeof(told) - 1 };
	stranger.peer.line = NULL;
	return true;
}

static bool next_control(struct mgmt_stream *s, struct frame *out)
{
	static const uint8_t gap_told = 1;
	struct json j;

	if (s->over) {
		json_init(&j, s->told, sizeof(s->told));
		json_object(&j, NULL);
		json_string(&j, "why", s->why);
		json_u64(&j, "lost", atomic_load_explicit(&s->lost, memory_order_relaxed));
		json_object_end(&j);
		*out = (struct frame){ FRAME_END, s->peer.client,	    s->number,
				       s->sent,	  (const uint8_t *)s->told, j.full ? 0 : j.fill };
		s->open = false;
		return true;
	}
	if (!s->ack_due)
		return false;
	*out = (struct frame){ FRAME_ACK, s->peer.client, s->number,
			       s->taken,  &gap_told,	  s->gap ? 1 : 0 };
	s->ack_due = s->gap = false;
	return true;
}

static bool next_data(struct mgmt_stream *s, uint8_t *buffer, size_t room, struct frame *out)
{
	uint32_t under_way = s->sent - s->acked;
	size_t n = 0;

	if (s->over)
		return false;
	if (room > WINDOW - under_way)
		room = WINDOW - under_way;
	if (s->ops->pull && room)
		n = s->ops->pull(s, buffer, room);
	*out = (struct frame){ FRAME_DATA, s->peer.client, s->number, s->sent, buffer, n };
	s->sent += (uint32_t)n;
	if (n) {
		if (under_way == 0)
			s->moved = rdtsc();
		return true;
	}
	if (s->ending && room)
		finish(s, s->why[0] == '\0');
	if (under_way && rdtsc() - s->moved > tsc_from_us(PROBE_US)) {
		s->moved = rdtsc();
		return true; /* of no bytes: the host is to say where it is */
	}
	return false;
}

bool stream_next(const struct mgmt_line *line, bool control, uint8_t *buffer, size_t room,
		 struct frame *out)
{
	if (control && next_stranger(line, out))
		return true;
	for (unsigned i = 0; i < MGMT_STREAMS; i++) {
		struct mgmt_stream *s = &streams[turn++ % MGMT_STREAMS];

		if (s->open && s->peer.line == line &&
		    (control ? next_control(s, out) : next_data(s, buffer, room, out)))
			return true;
	}
	return false;
}

bool stream_any(void)
{
	for (unsigned i = 0; i < MGMT_STREAMS; i++)
		if (streams[i].open)
			return true;
	return false;
}

void stream_list(struct json *j)
{
	json_array(j, "streams");
	for (unsigned i = 0; i < MGMT_STREAMS; i++) {
		struct mgmt_stream *s = &streams[i];

		if (!s->open)
			continue;
		json_object(j, NULL);
		json_u64(j, "stream", s->number);
		json_u64(j, "client", s->peer.client);
		json_u64(j, "sent", s->sent);
		json_u64(j, "acknowledged", s->acked);
		json_u64(j, "taken", s->taken);
		json_u64(j, "lost", atomic_load_explicit(&s->lost, memory_order_relaxed));
		json_object_end(j);
	}
	json_array_end(j);
}

/* ---- rings ---- */

void mgmt_ring_init(struct mgmt_ring *ring, uint8_t *bytes, uint32_t size)
{
	assert((size & (size - 1)) == 0);
	*ring = (struct mgmt_ring){ .bytes = bytes, .size = size };
}

static void ring_copy_in(struct mgmt_ring *ring, const uint8_t *from, size_t count)
{
	size_t at = ring->put & (ring->size - 1), first = ring->size - at;

	if (first > count)
		first = count;
	memcpy(ring->bytes + at, from, first);
	memcpy(ring->bytes, from + first, count - first);
	ring->put += count;
}

bool mgmt_ring_put(struct mgmt_ring *ring, const struct mgmt_piece *pieces, unsigned count)
{
	size_t bytes = 0;
	bool fits;

	for (unsigned i = 0; i < count; i++)
		bytes += pieces[i].count;
	spin_lock(&ring->lock);
	fits = bytes <= ring->size - (ring->put - ring->pulled);
	for (unsigned i = 0; fits && i < count; i++)
		ring_copy_in(ring, pieces[i].bytes, pieces[i].count);
	ring->lost += !fits;
	spin_unlock(&ring->lock);
	return fits;
}

size_t mgmt_ring_pull(struct mgmt_ring *ring, uint8_t *out, size_t room)
{
	size_t n = 0;

	spin_lock(&ring->lock);
	if (room > ring->put - ring->pulled)
		room = ring->put - ring->pulled;
	while (n < room) {
		size_t at = ring->pulled & (ring->size - 1), piece = ring->size - at;

		if (piece > room - n)
			piece = room - n;
		memcpy(out + n, ring->bytes + at, piece);
		ring->pulled += piece;
		n += piece;
	}
	spin_unlock(&ring->lock);
	return n;
}

uint64_t mgmt_ring_lost(struct mgmt_ring *ring)
{
	uint64_t lost;

	spin_lock(&ring->lock);
	lost = ring->lost;
	spin_unlock(&ring->lock);
	return lost;
}

/* ---- uploads ---- */

static size_t upload_push(struct mgmt_stream *s, const uint8_t *bytes, size_t count)
{
	struct mgmt_upload *u = s->owner;

	if (count > u->bytes - u->fill) {
		mgmt_stream_end(s, "more bytes came than were announced");
		return 0;
	}
	memcpy(u->buffer + u->fill, bytes, count);
	u->fill += count;
	return count;
}

static void upload_closed(struct mgmt_stream *s, bool complete)
{
	struct mgmt_upload *u = s->owner;
	bool all = complete && u->fill == u->bytes;

	if (complete && !all && !s->ending)
		mgmt_stream_end(s, "fewer bytes came than were announced");
	u->done(u, all);
}

static const struct mgmt_stream_ops upload_ops = { .push = upload_push, .closed = upload_closed };

bool mgmt_upload(struct mgmt_call *call, struct mgmt_upload *upload)
{
	upload->fill = 0;
	upload->stream = mgmt_stream_open(call, &upload_ops, upload);
	return upload->stream != NULL;
}

void mgmt_upload_break(struct mgmt_upload *upload, const char *why)
{
	mgmt_stream_end(upload->stream, why);
	finish(upload->stream, false);
}
