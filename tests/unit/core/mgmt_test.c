/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The management channel's second line: is each whole frame understood after whatever garbage, and nothing
 * else; does each wrong request get its error; do streams arrive whole in both directions, within
 * their window, and does a host that is gone cost nothing? Faked: as for the console.
 */
#include "tests/unit/core/console_env.h"

/* ---- the host ---- */

static struct frame got[256];
static uint8_t payloads[1u << 20];
static unsigned got_count;

static void send(enum frame_kind kind, uint8_t client, uint8_t stream, uint32_t offset,
		 const void *payload, size_t bytes)
{
	struct frame frame = { kind, client, stream, offset, payload, bytes };

	second_bytes += frame_encode(second_in + second_bytes, sizeof(second_in) - second_bytes, &frame);
}

static void send_text(const char *text)
{
	memcpy(second_in + second_bytes, text, strlen(text));
	second_bytes += strlen(text);
}

static void call(const char *text)
{
	send(FRAME_CALL, 1, 0, 0, text, strlen(text));
}

/* Turns of the core; then what it has sent, in got[]. */
static void turns(unsigned n)
{
	static struct frame_decoder decoder;
	size_t fill = 0;

	second_sent = 0;
	while (n--) {
		mgmt_work();
		mgmt_answer();
	}
	second_at = second_bytes = 0;
	memset(&decoder, 0, sizeof(decoder));
	got_count = 0;
	for (size_t i = 0; i < second_sent; i++) {
		struct frame *frame = &got[got_count];

		if (!frame_decode(&decoder, second_out[i], frame))
			continue;
		memcpy(payloads + fill, frame->payload, frame->bytes);
		frame->payload = payloads + fill;
		fill += frame->bytes;
		got_count++;
		assert_true(got_count < 256 && fill < sizeof(payloads) - FRAME_PAYLOAD);
	}
	assert_int_equal(decoder.dropped, 0);
}

static const char *answer(void)
{
	static char text[MGMT_ANSWER_MOST + 1];
	size_t n = 0;

	turns(4);
	for (unsigned i = 0; i < got_count; i++) {
		if (got[i].kind != FRAME_ANSWER && got[i].kind != FRAME_ANSWER_END)
			continue;
		n = got[i].offset ? n : 0; /* the last one, if several came */
		assert_int_equal(got[i].offset, n);
		memcpy(text + n, got[i].payload, got[i].bytes);
		n += got[i].bytes;
	}
	text[n] = '\0';
	return text;
}

static const char *ask(const char *text)
{
	call(text);
	return answer();
}

/* ---- methods ---- */

static uint64_t number;
static char word[8];
static bool truth;

static void take(struct mgmt_call *c)
{
	if (mgmt_param_string(c, "word", word, sizeof(word)) &&
	    mgmt_param_u64(c, "number", 1, 1000, &number) &&
	    (!mgmt_param_given(c, "truth") || mgmt_param_bool(c, "truth", &truth)))
		json_string(mgmt_result(c), "word", word);
}

static void flood(struct mgmt_call *c)
{
	for (unsigned i = 0; i < 20000; i++)
		json_string(mgmt_result(c), "name", "a string that fills the answer up");
}

static void large(struct mgmt_call *c)
{
	for (unsigned i = 0; i < 1000; i++)
		json_u64(mgmt_result(c), "n", i);
}

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
	{ "take", "word number truth?", "", take },
	{ "flood", "", "", flood },
	{ "large", "", "", large },
	{ "open", "", "", open_ring },
	{ "open-fail", "", "", open_and_fail },
	{ "upload", "", "", upload },
	{ "two", "", "", open_two },
};

const struct mgmt_method *test_method_at(unsigned i)
{
	return i < sizeof(methods) / sizeof(methods[0]) ? &methods[i] : NULL;
}

static int set_up_all(void **state)
{
	(void)state;
	cpu.self = &cpu;
	syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu);
	if (console_init(&config))
		return -1;
	second_present = true;
	mgmt_start();
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	closes = completes = pushes = 0;
	memset(uploaded, 0, sizeof(uploaded));
	send(FRAME_RESET, 1, 0, 0, NULL, 0);
	send(FRAME_RESET, 2, 0, 0, NULL, 0);
	turns(3);
	stream = NULL;
	mgmt_ring_init(&ring, ring_bytes, sizeof(ring_bytes));
	closes = completes = 0;
	return 0;
}

/* ---- frames ---- */

static void crc_is_zlibs(void **state)
{
	(void)state;
	assert_int_equal(crc32((const uint8_t *)"123456789", 9), 0xcbf43926);
	assert_int_equal(crc32(NULL, 0), 0);
}

static void every_byte_survives(void **state)
{
	static uint8_t all[FRAME_PAYLOAD], out[FRAME_ENCODED(FRAME_PAYLOAD)];
	static struct frame_decoder decoder;
	struct frame frame = { FRAME_DATA, 0xc0, 0xdb, 0xc0dbdcdd, all, sizeof(all) }, back;
	unsigned found = 0;
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)(i * i >> 3 ^ i);
	memset(all + 100, 0xc0, 300);
	memset(all + 400, 0xdb, 300);
	n = frame_encode(out, sizeof(out), &frame);
	assert_true(n > sizeof(all) + 600);
	for (size_t i = 0; i < n; i++)
		if (frame_decode(&decoder, out[i], &back)) {
			found++;
			assert_int_equal(back.client, 0xc0);
			assert_int_equal(back.stream, 0xdb);
			assert_int_equal(back.offset, 0xc0dbdcdd);
			assert_int_equal(back.bytes, sizeof(all));
			assert_memory_equal(back.payload, all, sizeof(all));
		}
	assert_int_equal(found, 1);
	assert_int_equal(frame_encode(out, n - 1, &frame), 0);
	frame.bytes++;
	assert_int_equal(frame_encode(out, sizeof(out), &frame), 0);
}

static void any_garbage_before_a_frame(void **state)
{
	(void)state;
	srand(7);
	for (unsigned i = 0; i < 300; i++) {
		for (unsigned n = (unsigned)rand() % 6000; n > 0; n--)
			second_in[second_bytes++] = (uint8_t)rand();
		send(FRAME_RESET, 77, 0, 0, NULL, 0);
		turns(2);
		assert_int_equal(got_count, 1);
		assert_int_equal(got[0].kind, FRAME_RESET);
		assert_int_equal(got[0].client, 77);
	}
}

/* One bit wrong anywhere in a frame: it is none. */
static void a_wrong_bit_is_seen(void **state)
{
	size_t bytes;

	(void)state;
	call("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}");
	bytes = second_bytes;
	second_bytes = 0;
	for (size_t bit = 8; bit < 8 * (bytes - 1); bit++) {
		call("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}");
		second_in[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_string_equal(answer(), "");
	}
}

/* ---- requests ---- */

static void wrong_requests(void **state)
{
	static const struct {
		const char *text, *code, *says;
	} cases[] = {
		{ "", "-32700", "no JSON" },
		{ "{", "-32700", "no JSON" },
		{ "garbage", "-32700", "no JSON" },
		{ "[]", "-32600", "one object" },
		{ "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}]", "-32600", "one object" },
		{ "{}", "-32600", "one object" },
		{ "1", "-32700", "no JSON" },
		{ "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"echo\"}", "-32600", "jsonrpc" },
		{ "{\"jsonrpc\":2.0,\"id\":1,\"method\":\"echo\"}", "-32600", "jsonrpc" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1}", "-32600", "method" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":1}", "-32600", "method" },
		{ "{\"jsonrpc\":\"2.0\",\"method\":\"echo\"}", "-32600", "id" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"echo\"}", "-32600", "id" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":nonsense,\"method\":\"echo\"}", "-32600", "id" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":01,\"method\":\"echo\"}", "-32600", "id" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":\"a\\u0022\",\"method\":\"echo\"}", "-32600", "id" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"echo\"}", "-32600", "id" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"} {}", "-32600", "one object" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\" \"echo\"}", "-32600", "one object" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"nothing\"}", "-32601", "methods" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ech\"}", "-32601", "methods" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":[]}", "-32602", "by name" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{\"x\":1}}", "-32602",
		  "echo takes no parameters" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"take\"}", "-32602",
		  "parameter \\\"word\\\" is missing" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"take\",\"params\":{\"word\":\"a\"}}", "-32602",
		  "parameter \\\"number\\\" is missing" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"take\",\"params\":{\"wor\":\"a\"}}", "-32602",
		  "takes the parameters word number truth?" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *told = ask(cases[i].text);
		char code[40];

		snprintf(code, sizeof(code), "\"error\":{\"code\":%s,\"message\":\"", cases[i].code);
		if (!strstr(told, code) || !strstr(told, cases[i].says))
			fail_msg("%s: %s", cases[i].text, told);
	}
}

static const char *take_with(const char *params)
{
	char text[1000];

	snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"take\",\"params\":{%s}}",
		 params);
	return ask(text);
}

static void parameters_are_checked(void **state)
{
	static const struct {
		const char *params, *says;
	} wrong[] = {
		{ "\"word\":1,\"number\":1", "is to be a string" },
		{ "\"word\":{},\"number\":1", "is to be a string" },
		{ "\"word\":\"seven77\",\"number\":0", "number from 1 to 1000" },
		{ "\"word\":\"eight888\",\"number\":1", "too long" },
		{ "\"word\":\"\\n\",\"number\":1", "characters" },
		{ "\"word\":\"\\u0000\",\"number\":1", "characters" },
		{ "\"word\":\"\\ud800\",\"number\":1", "characters" },
		{ "\"word\":\"\x01\",\"number\":1", "characters" },
		{ "\"word\":\"a\",\"number\":1001", "number from 1 to 1000" },
		{ "\"word\":\"a\",\"number\":-1", "number from 1 to 1000" },
		{ "\"word\":\"a\",\"number\":1.5", "number from 1 to 1000" },
		{ "\"word\":\"a\",\"number\":1e2", "number from 1 to 1000" },
		{ "\"word\":\"a\",\"number\":18446744073709551617", "number from 1 to 1000" },
		{ "\"word\":\"a\",\"number\":\"5\"", "number from 1 to 1000" },
		{ "\"word\":\"a\",\"number\":5,\"truth\":1", "true or false" },
		{ "\"word\":\"a\",\"number\":5,\"truth\":null", "true or false" },
		{ "\"word\":\"a\",\"word\":\"b\",\"number\":5", "each once" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const char *told = take_with(wrong[i].params);

		if (!strstr(told, "\"id\":\"x\",\"error\":{\"code\":-32602") || !strstr(told, wrong[i].says))
			fail_msg("%s: %s", wrong[i].params, told);
	}
	assert_string_equal(take_with("\"number\":1000,\"truth\":true,\"word\":\"a\\u0062\\\"\\/\\\\\""),
			    "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"result\":{\"word\":\"ab\\\"/\\\\\"}}");
	assert_int_equal(number, 1000);
	assert_true(truth);
	assert_non_null(strstr(take_with("\"number\":1,\"truth\":false,\"word\":\"\""), "\"result\""));
	assert_false(truth);
}

static void deep_and_long_requests_are_refused(void **state)
{
	static char text[FRAME_PAYLOAD + 1];

	(void)state;
	memset(text, '[', 4000);
	assert_non_null(strstr(ask(text), "-32700"));
	memset(text, '{', FRAME_PAYLOAD);
	assert_non_null(strstr(ask(text), "-32700"));
	memset(text, '"', FRAME_PAYLOAD);
	assert_non_null(strstr(ask(text), "\"error\""));
}

static void long_answers_come_in_pieces(void **state)
{
	const char *told;

	(void)state;
	told = ask("{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"large\"}");
	assert_true(strlen(told) > 7000 && got_count > 14);
	assert_int_equal(got[got_count - 1].kind, FRAME_ANSWER_END);
	assert_string_equal(told + strlen(told) - 10, ",\"n\":999}}");
	told = ask("{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"flood\"}");
	assert_non_null(strstr(told, "\"id\":5,\"error\":{\"code\":-32000,"));
}

/* A second call while one waits is dropped: the host sends one at a time. Frames that only we send, too. */
static void what_is_not_ours_to_take(void **state)
{
	(void)state;
	call("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}");
	call("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"echo\"}");
	send(FRAME_ANSWER, 1, 0, 0, "x", 1);
	send(FRAME_ANSWER_END, 1, 0, 0, "x", 1);
	assert_non_null(strstr(answer(), "\"id\":1,"));
	assert_int_equal(got_count, 1);
	call("{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"echo\"}");
	send(FRAME_RESET, 1, 0, 0, NULL, 0); /* the call is forgotten */
	assert_string_equal(answer(), "");
	assert_int_equal(got_count, 1);
}

/* ---- streams ---- */

static unsigned open_by(const char *method)
{
	char text[100];
	const char *found;

	snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\"}", method);
	found = strstr(ask(text), "\"stream\":");
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
	assert_memory_equal(got[1].payload, "{\"why\":\"it \\\"ended\\\"\",\"lost\":7}", got[1].bytes);
	assert_int_equal(closes, 1);
	assert_int_equal(completes, 0);
	/* its end was lost: told again, and not to others */
	send(FRAME_END, 1, (uint8_t)n, 0, NULL, 0);
	turns(2);
	assert_int_equal(got_count, 1);
	assert_memory_equal(got[0].payload, "{\"why\":\"it \\\"ended\\\"\",\"lost\":7}", got[0].bytes);
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
		snprintf(text, sizeof(text), "%.40s", "123456789012345678901234567890\nabcdefghij\n");
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
		assert_non_null(strstr(ask("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"open-fail\"}"),
				       "\"code\":-32001,\"message\":\"not today\""));
	assert_int_equal(closes, 3 * MGMT_STREAMS);
	for (unsigned i = 0; i < MGMT_STREAMS; i++)
		assert_int_not_equal(open_by("open"), 0);
	assert_non_null(strstr(ask("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"open\"}"),
			       "\"code\":-32003,"));
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
	send(FRAME_DATA, 1, (uint8_t)n, 0, data, 1000); /* again, and not taken again */
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
		send(FRAME_END, 1, (uint8_t)n, cases[i].end, cases[i].payload, strlen(cases[i].payload));
		turns(4);
		assert_int_equal(closes, 1);
		assert_int_equal(completes, 0);
		assert_true(got_count > 0 && got[got_count - 1].kind == FRAME_END);
		assert_non_null(memmem(got[got_count - 1].payload, got[got_count - 1].bytes, cases[i].says,
				       strlen(cases[i].says)));
	}
	assert_int_equal(uploaded[3000], 0);
}

static void slow_receivers_take_some(void **state)
{
	unsigned n, taken_bytes = 0;

	(void)state;
	n = open_by("two");
	while (taken_bytes < 9) {
		send(FRAME_DATA, 1, (uint8_t)n, taken_bytes, "123456789" + taken_bytes, 9 - taken_bytes);
		turns(1);
		assert_int_equal(got[0].kind, FRAME_ACK);
		assert_true(got[0].offset == taken_bytes + 2 || got[0].offset == 9);
		taken_bytes = got[0].offset;
	}
	assert_memory_equal(uploaded, "123456789", 9);
	send(FRAME_DATA, 1, (uint8_t)open_by("open"), 0, "x", 1); /* takes none */
	turns(4);
	assert_int_equal(got[got_count - 1].kind, FRAME_END);
	assert_non_null(memmem(got[got_count - 1].payload, got[got_count - 1].bytes, "takes no bytes", 14));
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
			send((enum frame_kind)(rand() % 9), (uint8_t)(rand() % 3), (uint8_t)(rand() % 64),
			     (uint32_t)rand() % 8, noise, (size_t)rand() % sizeof(noise));
			if (rand() % 3 == 0)
				second_bytes -= second_bytes ? (size_t)rand() % second_bytes : 0;
			turns(1);
		}
		send_text("\xc0");
		turns(30);
		if (!strstr(ask("{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"echo\"}"), "\"id\":9,\"result\""))
			fail_msg("seed %u: no answer", seed);
		send(FRAME_RESET, 1, 0, 0, NULL, 0);
		turns(2);
	}
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup(f, set_up)
	const struct CMUnitTest tests[] = {
		CASE(crc_is_zlibs),
		CASE(every_byte_survives),
		CASE(any_garbage_before_a_frame),
		CASE(a_wrong_bit_is_seen),
		CASE(wrong_requests),
		CASE(parameters_are_checked),
		CASE(deep_and_long_requests_are_refused),
		CASE(long_answers_come_in_pieces),
		CASE(what_is_not_ours_to_take),
		CASE(streams_to_the_host),
		CASE(the_window_closes),
		CASE(a_silent_host_is_probed),
		CASE(records_are_whole_or_counted),
		CASE(failed_calls_open_nothing),
		CASE(uploads_arrive_whole),
		CASE(wrong_uploads),
		CASE(slow_receivers_take_some),
		CASE(garbage_by_seed),
	};

	return cmocka_run_group_tests(tests, set_up_all, NULL);
}
