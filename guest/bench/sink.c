/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sink: verifies each frame of a stream and counts; sends rr frames back. It sleeps when
 * there is nothing to receive. Everything in a frame may be wrong: it is checked before use.
 */
#include "guest/bench/bench.h"

#include "guest/bench/sequence.h"
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/print.h"
#include "guest/lib/string.h"

/* Each frame's checksum is verified; some are also compared with the pattern, which finds
 * 16-bit words that changed places. */
enum { COMPARE_EVERY = 16, LINGER_MS = 3 * RETRY_MS, FOREVER_MS = 1000 * 3600 * 24 };

static struct control session;	/* START of the current run; .session 0: none open */
static struct control last_end; /* the answer to END, for when it is asked for again */
static struct sequence sequence;
static struct bench_result result; /* of the current run */
static uint64_t damaged, first_tsc, last_tsc;
static uint64_t all_corrupt;
static bool served, gone; /* a source has started a run; one has said BYE */
static bool takes_large;  /* the device does not cut frames for us */
static bool report_failed;

static void answer(struct link *link, const struct control *to, uint16_t refused)
{
	struct control message = *to;

	message.type = to->type | CONTROL_ACK;
	message.refused = refused;
	(void)link_send(link, &message); /* lost: the source asks again */
}

static bool fits(uint32_t frame_bytes)
{
	if (frame_bytes > WIRE_MAX_FRAME)
		return takes_large && frame_bytes <= WIRE_MAX_LARGE;
	return frame_bytes <= net_info()->mtu + WIRE_ETHERNET;
}

static void take_start(struct link *link, const struct control *message)
{
	bool bad = (message->start.test != BENCH_STREAM && message->start.test != BENCH_RR) ||
		   !fits(message->start.frame_bytes) || message->start.runs < message->start.run;

	if (message->session != session.session && !bad) {
		session = *message;
		result = (struct bench_result){
			.test = message->start.test,
			.frame_bytes = message->start.frame_bytes,
			.run = message->start.run,
			.runs = message->start.runs,
		};
		sequence_clear(&sequence);
		damaged = first_tsc = last_tsc = 0;
		if (message->start.test == BENCH_STREAM && !bench_begin(link))
			report_failed = true;
	}
	served = true;
	answer(link, message, bad);
}

static void finish(const struct control *message)
{
	uint64_t seen = result.packets + damaged;

	result.sent = message->end.sent;
	result.sender_stalls = message->end.stalls;
	result.nanoseconds = clock_ns(last_tsc - first_tsc);
	if (result.nanoseconds <
	    message->end.nanoseconds) /* the rest was dropped: it took time, too */
		result.nanoseconds = message->end.nanoseconds;
	if (result.packets)
		result.age_ns = clock_ns(rdtsc() - first_tsc);
	result.lost = message->end.sent > seen ? message->end.sent - seen : 0;
	result.corrupt += damaged;
	all_corrupt += result.corrupt;

	last_end = *message;
	last_end.seen.packets = result.packets;
	last_end.seen.corrupt = result.corrupt;
	session.session = 0;
	if (session.start.test == BENCH_STREAM && !bench_report(&result)) /* rr: by the source */
		report_failed = true;
}

static void take_end(struct link *link, const struct control *message)
{
	if (message->session == session.session)
		finish(message); /* and prints, before the answer lets the next run begin */
	if (message->session == last_end.session)
		answer(link, &last_end, 0);
}

/* Of a train only the last frame is answered. */
static void take_rr(const struct net_frame *frame)
{
	struct wire_stamp stamp;

	if (session.session && session.train > 1 &&
	    wire_copy(frame, WIRE_HEADERS, &stamp, sizeof(stamp)) &&
	    stamp.sequence % session.train != session.train - 1)
		return;
	link_echo(frame);
}

static bool frame_ok(const struct net_frame *frame, const struct wire_stamp *stamp)
{
	return frame->bytes == session.start.frame_bytes && stamp->magic == WIRE_MAGIC &&
	       stamp->sequence < session.start.count &&
	       (stamp->sequence % COMPARE_EVERY || wire_pattern_ok(frame));
}

static void take_stream(const struct net_frame *frame)
{
	struct wire_stamp stamp;
	uint64_t now = rdtsc();

	if (!session.session || session.start.test != BENCH_STREAM)
		return;
	if (!wire_copy(frame, WIRE_HEADERS, &stamp, sizeof(stamp))) {
		damaged++;
		return;
	}
	if (stamp.session != session.session)
		return; /* a late one of an earlier run */
	if (!frame_ok(frame, &stamp)) {
		damaged++;
		return;
	}
	switch (sequence_note(&sequence, stamp.sequence)) {
	case SEQUENCE_TWICE:
		result.corrupt++;
		return;
	case SEQUENCE_LATE:
		result.reordered++;
		break;
	case SEQUENCE_NEW:
		break;
	}
	if (!result.packets++)
		first_tsc = now;
	last_tsc = now;
	result.bytes += frame->bytes;
	if (session.train > 1 && (stamp.sequence + 1) % (session.train / 2) == 0)
		link_echo(frame);
}

/* True if it was the first BYE of a source; it repeats it until our answer comes. */
static bool take_control(struct link *link, const struct net_frame *frame)
{
	struct control message;
	bool bye;

	if (!wire_copy(frame, WIRE_HEADERS, &message, sizeof(message)) ||
	    message.magic != WIRE_MAGIC || !message.session)
		return false;
	if (!session.session) { /* between runs: whoever starts is the peer */
		wire_sender(frame, WIRE_CONTROL, &link->peer);
		link->peer_known = true;
	}
	if (message.type == CONTROL_START)
		take_start(link, &message);
	else if (message.type == CONTROL_END)
		take_end(link, &message);
	else if (message.type == CONTROL_BYE)
		answer(link, &message, 0);
	bye = message.type == CONTROL_BYE && (served || !gone);
	if (bye) {
		served = false;
		gone = true;
	}
	return bye;
}

/* Takes all that is there; true if BYE was among it. *busy: there was anything of ours. */
static bool drain(struct link *link, bool *busy)
{
	struct net_frame frame;
	enum wire_kind kind;
	bool bye = false;

	while ((kind = link_receive(link, &frame)) != WIRE_NONE) {
		*busy = true;
		if (kind == WIRE_STREAM)
			take_stream(&frame);
		else if (kind == WIRE_RR)
			take_rr(&frame);
		else if (kind == WIRE_CONTROL)
			bye |= take_control(link, &frame);
		else if (session.session)
			damaged++;
		net_release(&frame);
	}
	return bye;
}

static int judge(void)
{
	if (all_corrupt)
		print("bench: %lu frames were corrupt\n", all_corrupt);
	if (net_trouble())
		print("bench: %s\n", net_trouble());
	return all_corrupt || report_failed || net_trouble() ? 1 : 0;
}

/* All sources have gone: our answer may get lost, so it stays for the repetition. */
static void linger(struct link *link)
{
	uint64_t end = rdtsc() + clock_ms(LINGER_MS);
	bool busy;

	while (rdtsc() < end && !net_trouble()) {
		(void)drain(link, &busy);
		net_sleep(end);
	}
}

int sink_main(struct link *link, uint64_t sources)
{
	const uint64_t patience_ms = sources > 1 ? FOREVER_MS : PEER_TIMEOUT_MS;
	uint64_t end = rdtsc() + clock_ms(patience_ms);

	takes_large = net_info()->features & NET_F_GUEST_USO4;
	while (sources && rdtsc() < end) {
		bool busy = false;

		if (drain(link, &busy))
			sources--;
		if (busy)
			end = rdtsc() + clock_ms(patience_ms);
		else if (net_trouble()) /* asks the device, which costs an exit */
			break;
		if (sources)
			net_sleep(end);
	}
	if (sources && !net_trouble()) {
		print("bench: nothing came from the source for a minute\n");
		return 1;
	}
	linger(link);
	return judge();
}
