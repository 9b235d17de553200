/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The management channel's second line: is each whole frame understood after whatever garbage, and
 * nothing else; does each wrong request get its error? Faked: as for the console.
 */
#include "tests/unit/core/mgmt_env.h"

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
	for (unsigned i = 0; i < MGMT_ANSWER_MOST / 32; i++)
		json_string(mgmt_result(c), "name", "a string that fills the answer up");
}

static void large(struct mgmt_call *c)
{
	for (unsigned i = 0; i < 1000; i++)
		json_u64(mgmt_result(c), "n", i);
}

static unsigned counted;

static void count(struct mgmt_call *c)
{
	json_u64(mgmt_result(c), "times", ++counted);
}

static const struct mgmt_method methods[] = {
	{ "count", "", "", count },
	{ "take", "word number truth?", "", take },
	{ "flood", "", "", flood },
	{ "large", "", "", large },
};

const struct mgmt_method *test_method_at(unsigned i)
{
	return i < sizeof(methods) / sizeof(methods[0]) ? &methods[i] : NULL;
}

static int set_up(void **state)
{
	(void)state;
	begin();
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
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":[]}", "-32602",
		  "by name" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{\"x\":1}}",
		  "-32602", "echo takes no parameters" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"take\"}", "-32602",
		  "parameter \\\"word\\\" is missing" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"take\",\"params\":{\"word\":\"a\"}}",
		  "-32602", "parameter \\\"number\\\" is missing" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"take\",\"params\":{\"wor\":\"a\"}}",
		  "-32602", "takes the parameters word number truth?" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *told = ask(cases[i].text);
		char code[40];

		snprintf(code, sizeof(code), "\"error\":{\"code\":%s,\"message\":\"",
			 cases[i].code);
		if (!strstr(told, code) || !strstr(told, cases[i].says))
			fail_msg("%s: %s", cases[i].text, told);
	}
}

static const char *take_with(const char *params)
{
	char text[1000];

	snprintf(text, sizeof(text),
		 "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"take\",\"params\":{%s}}", params);
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

		if (!strstr(told, "\"id\":\"x\",\"error\":{\"code\":-32602") ||
		    !strstr(told, wrong[i].says))
			fail_msg("%s: %s", wrong[i].params, told);
	}
	assert_string_equal(
		take_with("\"number\":1000,\"truth\":true,\"word\":\"a\\u0062\\\"\\/\\\\\""),
		"{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"result\":{\"word\":\"ab\\\"/\\\\\"}}");
	assert_int_equal(number, 1000);
	assert_true(truth);
	assert_non_null(
		strstr(take_with("\"number\":1,\"truth\":false,\"word\":\"\""), "\"result\""));
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

/* What got lost on the line is sent again: it is done once, and answered each time; until its client begins anew. */
static void repeated_requests(void **state)
{
	static const char one[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"count\"}";
	static const char two[] = "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"count\"}";
	char first[100];

	(void)state;
	counted = 0;
	snprintf(first, sizeof(first), "%s", ask(one));
	assert_non_null(strstr(first, "\"times\":1"));
	assert_string_equal(ask(one), first);
	call(one);
	call(one);
	assert_string_equal(answer(), first);
	assert_int_equal(counted, 1);
	assert_non_null(strstr(ask(two), "\"times\":2"));
	assert_non_null(strstr(ask(one), "\"times\":3"));
	send(FRAME_RESET, 1, 0, 0, NULL, 0);
	turns(2);
	assert_non_null(strstr(ask(one), "\"times\":4"));
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

/* Without an interrupt it is polled, 50 times a second while all is quiet. */
static void a_line_that_does_not_ring_is_polled(void **state)
{
	uint64_t now;

	(void)state;
	turns(3);
	ticks_per_us = 100;
	for (uint64_t end = rdtsc() + 300000000; rdtsc() < end;)
		;
	timers_set = 0;
	now = rdtsc();
	mgmt_work();
	ticks_per_us = 1000000;
	assert_int_equal(timers_set, 1);
	assert_true(deadline - now >= 2000000);
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
		CASE(repeated_requests),
		CASE(what_is_not_ours_to_take),
		CASE(a_line_that_does_not_ring_is_polled),
	};

	return cmocka_run_group_tests(tests, set_up_all, NULL);
}
