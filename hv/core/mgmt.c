/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lines of the management channel: frames in and out. The second line's interrupt calls for a turn;
 * a line that has none is asked by a timer, 50 times a second while all is quiet, 1000 times else. That
 * timer also asks streams what they have, and goes on with what the line did not take. While bytes move
 * and no vCPU waits for this CPU, it looks again at once. A turn is bounded in time, since a byte costs an
 * emulator's exit on the test beds; what a frame asks for is done in the run loop (mgmt_answer()).
 *
 * The second line is ours alone. On the first, frames are understood once the host has sent OPENING,
 * and leave through the console's stage, one at a time, between its texts.
 */
#include "hv/core/mgmt.h"

#include <string.h>

#include "hv/core/console.h"
#include "hv/core/console_impl.h"
#include "hv/core/fail.h"
#include "hv/core/log.h"
#include "hv/core/log_impl.h"
#include "hv/core/mgmt_impl.h"
#include "hv/core/percpu.h"
#include "hv/core/serial.h"
#include "hv/core/serial_irq.h"
#include "hv/core/timer.h"
#include "hv/cpu/x86.h"

#define IDLE_US	    20000
#define LIVELY_US   1000
#define STAY_US	    2000000 /* lively after a byte for this long */
#define TURN_US	    100	    /* of work, while a vCPU waits for this CPU */
#define LONG_US	    500	    /* ... else */
#define SPIN_US	    300	    /* more may come at once after a byte for this long */
#define OPENING	    "\xc0lasthop\xc0"
#define CLOSING	    "bye"   /* between delimiters */
#define HOLD_US	    100000  /* for the rest of OPENING */
#define PATIENCE_US 1000000 /* for the rest of a frame, on the first line */

struct mgmt_line {
	const char *name;
	bool works; /* the second line is there; the first one is open for frames */
	struct frame_decoder in;
	uint8_t out[FRAME_ENCODED(MGMT_OUT_PAYLOAD)];
	size_t out_at, out_fill; /* of the first line: under log_lock */
	uint8_t reset_due[256 / 8];
	bool any_reset_due;
	uint64_t frames_in, frames_out, refused;
};

static struct mgmt_line first = { .name = "first" }, second = { .name = "second" };
static struct cpu *home;
static struct timer tick;
static bool rings; /* the second line has an interrupt */
static uint64_t last_byte;
static unsigned matched;  /* bytes of OPENING that have come in a row */
static uint64_t begun_at; /* TSC: the first of them, or of a frame on the first line */
static bool framing;	  /* the first line is inside a frame */

static void fire(struct timer *timer)
{
	(void)timer;
	cpu_post(this_cpu(), MB_MGMT);
}

/* ---- frames ---- */

static void forget(struct mgmt_peer peer)
{
	rpc_reset(peer);
	stream_reset(peer);
}

static void take_frame(struct mgmt_line *line, const struct frame *frame)
{
	struct mgmt_peer peer = { line, frame->client };

	line->frames_in++;
	switch (frame->kind) {
	case FRAME_RESET:
		forget(peer);
		line->reset_due[peer.client / 8] |= (uint8_t)(1u << peer.client % 8);
		line->any_reset_due = true;
		break;
	case FRAME_CALL:
		line->refused += !rpc_request(peer, frame->payload, frame->bytes);
		break;
	case FRAME_DATA:
	case FRAME_ACK:
	case FRAME_END:
		stream_frame(peer, frame);
		break;
	default:
		line->refused++; /* ours to send, not to take */
	}
}

static bool next_reset(struct mgmt_line *line, struct frame *out)
{
	for (unsigned i = 0; line->any_reset_due && i < 256; i++) {
		if (!(line->reset_due[i / 8] & 1u << i % 8))
			continue;
		line->reset_due[i / 8] &= (uint8_t) ~(1u << i % 8);
		*out = (struct frame){ .kind = FRAME_RESET, .client = (uint8_t)i };
		return true;
	}
	line->any_reset_due = false;
	return false;
}

/* Makes the next frame that is to be sent in line->out, of which nothing waits: its bytes, 0: none. */
static size_t make_frame(struct mgmt_line *line)
{
	uint8_t payload[MGMT_OUT_PAYLOAD];
	struct frame frame;

	if (!next_reset(line, &frame) && !stream_next(line, true, NULL, 0, &frame) &&
	    !rpc_frame(line, &frame) && !stream_next(line, false, payload, sizeof(payload), &frame))
		return 0;
	line->frames_out++;
	return frame_encode(line->out, sizeof(line->out), &frame);
}

/* ---- the second line ---- */

static bool over(uint64_t end)
{
	return rdtsc() >= end;
}

/* True: the time was over before there was nothing more to do. */
static bool send_second(uint64_t end)
{
	struct mgmt_line *line = &second;

	while (!over(end)) {
		size_t left, n;

		if (line->out_at == line->out_fill) {
			line->out_fill = make_frame(line);
			line->out_at = 0;
		}
		left = line->out_fill - line->out_at;
		if (left == 0)
			return false;
		n = serial2_write_some((const char *)line->out + line->out_at,
				       left < 16 ? left : 16);
		if (n == 0)
			return false; /* the timer brings us back */
		line->out_at += n;
		last_byte = rdtsc();
	}
	return true;
}

static bool read_second(uint64_t end)
{
	struct frame frame;

	while (!over(end)) {
		for (unsigned i = 0; i < 16; i++) {
			int c = serial2_read();

			if (c < 0)
				return false;
			last_byte = rdtsc();
			if (frame_decode(&second.in, (uint8_t)c, &frame))
				take_frame(&second, &frame);
		}
	}
	return true;
}

/* ---- the first line ---- */

/* No frame leaves from now on: whoever waits for one would wait for ever. */
static void close_first(void)
{
	for (unsigned client = 0; client < 256; client++)
		forget((struct mgmt_peer){ &first, (uint8_t)client });
	memset(first.reset_due, 0, sizeof(first.reset_due));
	first.any_reset_due = false;
	first.in.fill = 0;
	first.works = framing = false;
}

/* A byte while frames are understood: true if it belongs to one. What was no whole frame may have
 * lost its end: its last delimiter is taken for the next one's first. */
static bool take_framed(uint8_t byte)
{
	struct frame frame;
	bool found;

	if (!framing && byte != FRAME_DELIMITER)
		return false;
	if (byte == FRAME_DELIMITER && first.in.fill == sizeof(CLOSING) - 1 &&
	    !memcmp(first.in.body, CLOSING, sizeof(CLOSING) - 1)) {
		close_first();
		return true;
	}
	found = frame_decode(&first.in, byte, &frame);
	if (found) {
		take_frame(&first, &frame);
		cpu_post(home, MB_MGMT);
	}
	framing = !found;
	if (byte == FRAME_DELIMITER)
		begun_at = rdtsc();
	return true;
}

/* A byte before that: held back while it may be part of OPENING. */
static bool take_opening(uint8_t byte, console_typed_fn *typed)
{
	if (byte == (uint8_t)OPENING[matched]) {
		if (matched++ == 0)
			begun_at = rdtsc();
		if (matched == sizeof(OPENING) - 1) {
			matched = 0;
			first.works = true;
		}
		return true;
	}
	for (unsigned i = 0; i < matched; i++)
		typed(OPENING[i]);
	matched = 0;
	return byte == FRAME_DELIMITER ? take_opening(byte, typed) : false;
}

static bool first_input(int c, console_typed_fn *typed)
{
	if (c >= 0)
		return first.works ? take_framed((uint8_t)c) : take_opening((uint8_t)c, typed);
	if (matched && over(begun_at + tsc_from_us(HOLD_US))) {
		for (unsigned i = 0; i < matched; i++)
			typed(OPENING[i]);
		matched = 0;
	}
	if (framing && over(begun_at + tsc_from_us(PATIENCE_US))) {
		struct frame frame;

		(void)frame_decode(&first.in, FRAME_DELIMITER, &frame);
		framing = false;
	}
	return false;
}

static size_t first_output(char *out, size_t room)
{
	size_t n = first.out_fill - first.out_at;

	if (n > room)
		n = room;
	memcpy(out, first.out + first.out_at, n);
	first.out_at += n;
	return n;
}

static bool first_open(void)
{
	return first.works;
}

/* Only we put something there, and nobody takes what is not there. */
static void send_first(void)
{
	size_t bytes;
	bool locked;

	if (first.out_at != first.out_fill)
		return;
	bytes = make_frame(&first);
	if (!bytes)
		return;
	locked = log_lock_take(&log_lock);
	first.out_at = 0;
	first.out_fill = bytes;
	if (locked)
		spin_unlock(&log_lock);
	last_byte = rdtsc();
	cpu_post(home, MB_CONSOLE);
}

static const struct console_frames first_frames = { first_input, first_output, first_open };

/* ---- turns ---- */

/* Something is to leave by it. */
static bool owes(const struct mgmt_line *line)
{
	return line->works && (line->out_at != line->out_fill || line->any_reset_due);
}

/* unread: there may be more on the second line; more: that, or more to be sent than there was time for. */
static void next_turn(bool alone, bool unread, bool more)
{
	const bool asked = stream_any() || (second.works && !rings);
	const uint64_t now = rdtsc(), quiet = now - last_byte;

	if (alone && (more || quiet < tsc_from_us(SPIN_US))) {
		cpu_post(home, MB_MGMT);
		return;
	}
	if (!unread)
		serial_irq_listen(SERIAL_SECOND);
	if (more || rpc_busy() || owes(&first) || owes(&second) ||
	    (asked && quiet < tsc_from_us(STAY_US)))
		timer_set(&tick, now + tsc_from_us(LIVELY_US));
	else if (asked)
		timer_set(&tick, now + tsc_from_us(IDLE_US));
}

void mgmt_work(void)
{
	bool alone, unread = false, more = false;
	uint64_t end;

	if (this_cpu() != home)
		return;
	alone = !home->current;
	end = rdtsc() + tsc_from_us(alone ? LONG_US : TURN_US);
	if (second.works) {
		unread = read_second(end);
		more = send_second(end) || unread;
	}
	if (first.works)
		send_first();
	next_turn(alone, unread, more);
}

void mgmt_start(void)
{
	if (!serial_present() && !serial2_present())
		return;
	if (rpc_init() < 0) {
		log_printf("mgmt: no memory for answers: no management channel");
		return;
	}
	second.works = serial2_present();
	home = this_cpu();
	rings = second.works && serial_irq_start(SERIAL_SECOND, MB_MGMT);
	if (second.works)
		log_printf("lasthop: management channel on the second serial line%s",
			   rings ? "" : ", which has no interrupt and is polled");
	console_use_frames(&first_frames);
	timer_init(&tick, fire);
	timer_set(&tick, rdtsc());
}

bool mgmt_request_waiting(void)
{
	return rpc_waiting() && this_cpu() == home;
}

void mgmt_answer(void)
{
	if (!mgmt_request_waiting())
		return;
	rpc_run();
	cpu_post(home, MB_MGMT);
}

static void list_line(struct json *j, const struct mgmt_line *line)
{
	json_object(j, NULL);
	json_string(j, "line", line->name);
	json_bool(j, "frames", line->works);
	json_u64(j, "frames_in", line->frames_in);
	json_u64(j, "frames_out", line->frames_out);
	json_u64(j, "dropped", line->in.dropped);
	json_u64(j, "refused", line->refused);
	json_object_end(j);
}

void mgmt_list_lines(struct json *j)
{
	json_array(j, "lines");
	list_line(j, &first);
	list_line(j, &second);
	json_array_end(j);
}
