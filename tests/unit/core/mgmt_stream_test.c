/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The management channel's streams: do they arrive whole in both directions, within their window, and
 * does a host that is gone, or sends garbage, cost nothing? Faked: as for the console.
 */
#include "tests/unit/core/mgmt_env.h"

static uint8_t ring_bytes[4096], uploaded[10000];
static struct mgmt_ring ring;
static struct mgmt_stream *stream;
static unsigned closes, completes, pushes;

static size_t pull(struct mgmt_stream *s, uint8_t *out, size_t space)
{
	assert_ptr_equal(mgmt_stream_owner(s), &ring);
	return mgmt_ring_pull(&ring, out, space);
}

static void closed(struct mgmt_stream *s, bool complete)
{
	(void)s;
	closes++;
	completes += complete;
	stream = NULL;
}

static const struct mgmt_stream_ops ring_ops = { pull, NULL, closed };

static void open_ring(struct mgmt_call *c)
{
	stream = mgmt_stream_open(c, &ring_ops, &ring);
}

static void open_and_fail(struct mgmt_call *c)
{
	open_ring(c);
	mgmt_fail(c, MGMT_REFUSED, "not today");
	mgmt_fail(c, MGMT_NOENT, "the first error counts");
}

static void upload_done(struct mgmt_upload *u, bool complete)
{
	(void)u;
	closes++;
	completes += complete;
}

static void upload(struct mgmt_call *c)
{
	static struct mgmt_upload u;

	u = (struct mgmt_upload){ .buffer = uploaded, .bytes = 3000, .done = upload_done };
	mgmt_upload(c, &u);
}

/* Takes no more than two bytes at a time. */
static size_t push_two(struct mgmt_stream *s, const uint8_t *bytes, size_t count)
{
	(void)s;
	memcpy(uploaded + pushes, bytes, count < 2 ? count : 2);
	pushes += count < 2 ? (unsigned)count : 2;
	return count < 2 ? count : 2;
}

static const struct mgmt_stream_ops two_ops = { NULL, push_two, closed };

static void open_two(struct mgmt_call *c)
{
	stream = mgmt_stream_open(c, &two_ops, NULL);
}

static const struct mgmt_method methods[] = {
	{ "open", "", "", open_ring },
	{ "open-fail", "", "", open_and_fail },
	{ "upload", "", "", upload },
	{ "two", "", "", open_two },
};

const struct mgmt_method *test_method_at(unsigned i)
{
	return i < sizeof(methods) / sizeof(methods[0]) ? &methods[i] : NULL;
}

static int set_up(void **state)
{
	(void)state;
	closes = completes = pushes = 0;
	memset(uploaded, 0, sizeof(uploaded));
	begin();
	stream = NULL;
	mgmt_ring_init(&ring, ring_bytes, sizeof(ring_bytes));
	closes = completes = 0;
	return 0;
}

/* The ids differ: else it were a call repeated, which is not made twice. */
static const char *ask_anew(const char *method)
{
	static unsigned id;
	char text[100];

	snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"%s\"}", id++,
		 method);
	return ask(text);
}

static unsigned open_by(const char *method)
{
	const char *found = strstr(ask_anew(method), "\"stream\":");

	return found ? (unsigned)atoi(found + 9) : 0;
}

static void put(const char *text)
{
	struct mgmt_piece pieces[2] = { { text, strlen(text) }, { "\n", 1 } };

	mgmt_ring_put(&ring, pieces, 2);
}

static void streams_to_the_host(void **state)
{
	unsigned n;

	(void)state;
	n = open_by("open");
	put("hello");
	put("world");
	turns(2);
	assert_int_equal(got_count, 1);
	assert_int_equal(got[0].kind, FRAME_DATA);
	assert_int_equal(got[0].client, 1);
	assert_int_equal(got[0].stream, n);
	assert_int_equal(got[0].offset, 0);
	assert_memory_equal(got[0].payload, "hello\nworld\n", 12);
	put("more");
	mgmt_stream_lost(stream, 7);
	mgmt_stream_end(stream, "it \"ended\"");
	turns(4);
	assert_int_equal(got_count, 2);
	assert_int_equal(got[0].offset, 12);
	assert_int_equal(got[1].kind, FRAME_END);
	assert_int_equal(got[1].offset, 17);
	assert_memory_equal(got[1].payload, "{\"why\":\"it \\\"ended\\\"\",\"lost\":7}",
			    got[1].bytes);
	assert_int_equal(closes, 1);
	assert_int_equal(completes, 0);
	/* its end was lost: told again, and not to others */
	send(FRAME_END, 1, (uint8_t)n, 0, NULL, 0);
	turns(2);
	assert_int_equal(got_count, 1);
	assert_memory_equal(got[0].payload, "{\"why\":\"it \\\"ended\\\"\",\"lost\":7}",
			    got[0].bytes);
	send(FRAME_ACK, 2, (uint8_t)n, 17, NULL, 0);
	turns(2);
	assert_int_equal(got_count, 1);
	assert_non_null(memmem(got[0].payload, got[0].bytes, "not open", 8));
	assert_int_equal(closes, 1);
}

/* No more than 64 KiB are under way; only what was sent is acknowledged; a lost frame is got over. */
static void the_window_closes(void **state)
{
	static uint8_t filling[2048];
	struct mgmt_piece piece = { filling, sizeof(filling) };
	uint32_t sent = 0;
	unsigned n;

	(void)state;
	n = open_by("open");
	for (unsigned i = 0; i < 100; i++) {
		mgmt_ring_put(&ring, &piece, 1);
		turns(4);
		for (unsigned k = 0; k < got_count; k++)
			sent += (uint32_t)got[k].bytes;
	}
	assert_int_equal(sent, 64 << 10);
	assert_true(mgmt_ring_lost(&ring) > 50);
	send(FRAME_ACK, 1, (uint8_t)n, sent + 1, NULL, 0);
	turns(3);
	assert_int_equal(got_count, 0);
	ticks_per_us = 0; /* two seconds later */
	for (unsigned i = 0; i < 3 && (i == 0 || got_count == 0); i++) {
		mgmt_work();
		ticks_per_us = 1;
		turns(200);
	}
	ticks_per_us = 1000000;
	send(FRAME_ACK, 1, (uint8_t)n, sent, NULL, 0);
	turns(3);
	assert_true(got_count > 0);
	assert_int_equal(got[0].kind, FRAME_DATA);
	assert_int_equal(got[0].offset, sent);
}

static void a_silent_host_is_probed(void **state)
{
	unsigned n;

	(void)state;
	n = open_by("open");
	put("x");
	turns(2);
	assert_int_equal(got_count, 1);
	turns(10);
	assert_int_equal(got_count, 0);
	ticks_per_us = 1;
	turns(1);
	for (unsigned i = 0; i < 1000 && got_count == 0; i++) /* 2,000,000 ticks are soon over */
		turns(20);
	ticks_per_us = 1000000;
	assert_true(got_count >= 1);
	assert_int_equal(got[0].kind, FRAME_DATA);
	assert_int_equal(got[0].stream, n);
	assert_int_equal(got[0].bytes, 0);
	assert_int_equal(got[0].offset, 2);
}

static void records_are_whole_or_counted(void **state)
{
	uint8_t out[64];
	char text[100];

	(void)state;
	mgmt_ring_init(&ring, ring_bytes, 64);
	for (unsigned round = 0; round < 50; round++) {
		put("123456789012345678901234567890"); /* 31 bytes */
		put("abcdefghij");
		put("this does not fit beside the others");
		assert_int_equal(mgmt_ring_lost(&ring), round + 1);
		assert_int_equal(mgmt_ring_pull(&ring, out, 40), 40);
		snprintf(text, sizeof(text), "%.40s",
			 "123456789012345678901234567890\nabcdefghij\n");
		assert_memory_equal(out, text, 40);
		assert_int_equal(mgmt_ring_pull(&ring, out, sizeof(out)), 2);
		assert_memory_equal(out, "j\n", 2);
	}
	assert_int_equal(mgmt_ring_pull(&ring, out, sizeof(out)), 0);
}

static void failed_calls_open_nothing(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3 * MGMT_STREAMS; i++)
		assert_non_null(
			strstr(ask_anew("open-fail"), "\"code\":-32001,\"message\":\"not today\""));
	assert_int_equal(closes, 3 * MGMT_STREAMS);
	for (unsigned i = 0; i < MGMT_STREAMS; i++)
		assert_int_not_equal(open_by("open"), 0);
	assert_non_null(strstr(ask_anew("open"), "\"code\":-32003,"));
	send(FRAME_RESET, 2, 0, 0, NULL, 0);
	turns(2);
	assert_int_equal(closes, 3 * MGMT_STREAMS); /* not its own */
	send(FRAME_RESET, 1, 0, 0, NULL, 0);
	turns(2);
	assert_int_equal(closes, 4 * MGMT_STREAMS);
	assert_int_equal(completes, 0);
}

static void uploads_arrive_whole(void **state)
{
	uint8_t data[3000];
	unsigned n;

	(void)state;
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 ^ i >> 5);
	n = open_by("upload");
	send(FRAME_DATA, 1, (uint8_t)n, 0, data, 1000);
	send(FRAME_DATA, 1, (uint8_t)n, 2000, data + 2000, 1000); /* the one between is lost */
	turns(2);
	assert_int_equal(got_count, 1);
	assert_int_equal(got[0].kind, FRAME_ACK);
	assert_int_equal(got[0].offset, 1000);
	assert_true(got[0].bytes == 1 && got[0].payload[0] == 1); /* something is missing */
	send(FRAME_DATA, 1, (uint8_t)n, 0, data, 1000);
	turns(2);
	assert_int_equal(got[0].offset, 1000);
	assert_int_equal(got[0].bytes, 0);		   /* nothing new, and nothing missing */
	send(FRAME_DATA, 1, (uint8_t)n, 0, data, 1000);	   /* again, and not taken again */
	send(FRAME_DATA, 2, (uint8_t)n, 1000, data, 1000); /* of another client */
	send(FRAME_DATA, 1, (uint8_t)n, 1000, data + 1000, 2000);
	turns(2);
	assert_int_equal(got[got_count - 1].offset, 3000);
	send(FRAME_END, 1, (uint8_t)n, 3000, NULL, 0);
	turns(2);
	assert_int_equal(got[0].kind, FRAME_END);
	assert_memory_equal(got[0].payload, "{\"why\":\"\",\"lost\":0}", got[0].bytes);
	assert_int_equal(closes, 1);
	assert_int_equal(completes, 1);
	assert_memory_equal(uploaded, data, sizeof(data));
}

static void wrong_uploads(void **state)
{
	static const struct {
		unsigned bytes, end;
		const char *payload, *says;
	} cases[] = {
		{ 2999, 2999, "", "fewer bytes" },
		{ 3001, 3001, "", "more bytes" },
		{ 3000, 3000, "broken off", "\"why\":\"\"" },
		{ 1000, 3000, "", "" },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned n = open_by("upload");

		closes = completes = 0;
		send(FRAME_DATA, 1, (uint8_t)n, 0, payloads, cases[i].bytes);
		turns(1);
		send(FRAME_END, 1, (uint8_t)n, cases[i].end, cases[i].payload,
		     strlen(cases[i].payload));
		turns(4);
		assert_int_equal(closes, 1);
		assert_int_equal(completes, 0);
		assert_true(got_count > 0 && got[got_count - 1].kind == FRAME_END);
		assert_non_null(memmem(got[got_count - 1].payload, got[got_count - 1].bytes,
				       cases[i].says, strlen(cases[i].says)));
	}
	assert_int_equal(uploaded[3000], 0);
}

static void slow_receivers_take_some(void **state)
{
	unsigned n, taken_bytes = 0;

	(void)state;
	n = open_by("two");
	while (taken_bytes < 9) {
		send(FRAME_DATA, 1, (uint8_t)n, taken_bytes, "123456789" + taken_bytes,
		     9 - taken_bytes);
		turns(1);
		assert_int_equal(got[0].kind, FRAME_ACK);
		assert_true(got[0].offset == taken_bytes + 2 || got[0].offset == 9);
		taken_bytes = got[0].offset;
	}
	assert_memory_equal(uploaded, "123456789", 9);
	send(FRAME_DATA, 1, (uint8_t)open_by("open"), 0, "x", 1); /* takes none */
	turns(4);
	assert_int_equal(got[got_count - 1].kind, FRAME_END);
	assert_non_null(
		memmem(got[got_count - 1].payload, got[got_count - 1].bytes, "takes no bytes", 14));
}

/* Whole frames with wrong contents, and halves of right ones: whatever comes, each is answered or
 * dropped, and the next call works. */
static void garbage_by_seed(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 300; seed++) {
		srand(seed);
		for (unsigned i = 0; i < 20; i++) {
			uint8_t noise[200];

			for (size_t k = 0; k < sizeof(noise); k++)
				noise[k] = (uint8_t)rand();
			if (rand() % 4 == 0)
				open_by(rand() % 2 ? "open" : "upload");
			if (rand() % 4 == 0)
				put("text");
			send((enum frame_kind)(rand() % 9), (uint8_t)(rand() % 3),
			     (uint8_t)(rand() % 64), (uint32_t)rand() % 8, noise,
			     (size_t)rand() % sizeof(noise));
			if (rand() % 3 == 0)
				second_bytes -= second_bytes ? (size_t)rand() % second_bytes : 0;
			turns(1);
		}
		second_in[second_bytes++] = FRAME_DELIMITER;
		turns(30);
		if (!strstr(ask("{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"echo\"}"),
			    "\"id\":9,\"result\""))
			fail_msg("seed %u: no answer", seed);
		send(FRAME_RESET, 1, 0, 0, NULL, 0);
		turns(2);
	}
}

/* Turns until nothing has moved for as long as a line is lively; the last one's timer, in us: 0: none. */
static uint64_t quiet_timer(void)
{
	const uint64_t ticks = ticks_per_us;
	uint64_t now, us;

	ticks_per_us = 100;
	for (uint64_t end = rdtsc() + 300000000; rdtsc() < end;)
		;
	mail = timers_set = 0;
	listening = false;
	now = rdtsc();
	mgmt_work();
	assert_true(listening && !(mail & MB_MGMT));
	us = timers_set ? (deadline - now) / ticks_per_us : 0;
	ticks_per_us = ticks;
	return us;
}

/* The line's interrupt calls; what streams have is asked for, seldom while none has anything. */
static void a_quiet_line_is_not_polled(void **state)
{
	(void)state;
	assert_int_equal(quiet_timer(), 0);
	open_by("open");
	assert_true(quiet_timer() >= 20000);
	send(FRAME_RESET, 1, 0, 0, NULL, 0);
	turns(3);
	assert_int_equal(quiet_timer(), 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup(f, set_up)
	const struct CMUnitTest tests[] = {
		CASE(streams_to_the_host),
		CASE(the_window_closes),
		CASE(a_silent_host_is_probed),
		CASE(records_are_whole_or_counted),
		CASE(failed_calls_open_nothing),
		CASE(uploads_arrive_whole),
		CASE(wrong_uploads),
		CASE(slow_receivers_take_some),
		CASE(garbage_by_seed),
		CASE(a_quiet_line_is_not_polled),
	};

	second_rings = true;
	return cmocka_run_group_tests(tests, set_up_all, NULL);
}
