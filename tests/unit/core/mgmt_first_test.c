/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The management channel on the first line, behind its escape: do frames and texts share it, each whole,
 * and do keys remain keys? Faked: as for the console.
 */
#include "tests/unit/core/console_talk.h"

static unsigned closes;

static void closed(struct mgmt_stream *s, bool complete)
{
	(void)s;
	closes += !complete;
}

static void open_one(struct mgmt_call *c)
{
	static const struct mgmt_stream_ops ops = { .closed = closed };

	mgmt_stream_open(c, &ops, NULL);
}

static void large(struct mgmt_call *c)
{
	for (unsigned i = 0; i < 1000; i++)
		json_u64(mgmt_result(c), "n", i);
}

const struct mgmt_method *test_method_at(unsigned i)
{
	static const struct mgmt_method methods[] = { { "open", "", "", open_one },
						      { "large", "", "", large } };

	return i < 2 ? &methods[i] : NULL;
}

/* Frames of the management channel on this line: only once they are asked for, and whole between texts. */
static size_t frame_on_the_line(char *out, enum frame_kind kind, const char *payload)
{
	struct frame frame = { .kind = kind,
			       .client = 3,
			       .payload = (const uint8_t *)payload,
			       .bytes = strlen(payload) };

	return frame_encode((uint8_t *)out, 500, &frame);
}

static void type_bytes(const char *bytes, size_t count)
{
	char text[600];

	assert_true(count < sizeof(text));
	memcpy(text, bytes, count);
	text[count] = '\0';
	frames_pass = true;
	typed_bytes = count + 1;
	type(text);
	typed_bytes = 0;
	typed = "";
	mgmt_work();
	mgmt_answer();
	mgmt_work();
	ticks(40);
}

static unsigned frames_shown(enum frame_kind kind)
{
	static struct frame_decoder decoder;
	struct frame frame;
	unsigned found = 0;

	memset(&decoder, 0, sizeof(decoder));
	for (size_t i = 0; i < shown_bytes; i++)
		found += frame_decode(&decoder, (uint8_t)shown[i], &frame) && frame.kind == kind &&
			 frame.client == 3;
	return found;
}

static void frames_share_the_line(void **state)
{
	char reset[500], call[500];
	size_t reset_bytes = frame_on_the_line(reset, FRAME_RESET, "");
	size_t call_bytes = frame_on_the_line(call, FRAME_CALL,
					      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}");

	(void)state;
	type_bytes(reset, reset_bytes);
	assert_int_equal(frames_shown(FRAME_RESET), 0); /* nobody has asked for frames */
	type_bytes("\x15", 1);
	type_bytes("\xc0lasthop\xc0", 9);
	assert_true(console_frames->open());
	clear();
	type_bytes(reset, reset_bytes);
	assert_int_equal(frames_shown(FRAME_RESET), 1);
	guest_prints(0, "text\n");
	type_bytes(call, call_bytes);
	log_printf("fact");
	ticks(20);
	assert_int_equal(frames_shown(FRAME_ANSWER_END), 1);
	assert_non_null(memmem(shown, shown_bytes, "text\r\n", 6));
	assert_non_null(memmem(shown, shown_bytes, "] fact\r\n", 8));
	clear();
	type("vm list\r"); /* keys between frames are keys */
	assert_string_equal(command, "vm list");
	/* a frame without its end: keys count again after a while */
	type_bytes(call, call_bytes / 2);
	ticks_per_us = 0;
	ticks(2);
	ticks_per_us = 1000000;
	commands = 0;
	type("vm x\r");
	assert_int_equal(commands, 1);
	/* a guest's byte C0 is no frame's */
	while (console_view() != 0)
		console_next_view();
	clear();
	console_flush(CONSOLE_ALL);
	guest_prints(0, "A\xc0Z");
	ticks(20);
	assert_non_null(memmem(shown, shown_bytes, "A?Z", 3));
	type_bytes("\xc0"
		   "bye\xc0",
		   5);
	assert_false(console_frames->open());
	clear();
	guest_prints(0, "\xc0");
	ticks(20);
	assert_string_equal(shown, "\xc0");
}

/* Who ends the frames without a farewell leaves no stream, and no answer that all others would wait for. */
static void the_end_of_frames_ends_all(void **state)
{
	char call[500];

	(void)state;
	type_bytes("\xc0lasthop\xc0", 9);
	type_bytes(call, frame_on_the_line(call, FRAME_CALL,
					   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"open\"}"));
	assert_true(stream_any() && closes == 0);
	type_bytes(call, frame_on_the_line(call, FRAME_CALL,
					   "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"large\"}"));
	assert_true(rpc_busy());
	type_bytes("\xc0"
		   "bye\xc0",
		   5);
	assert_false(console_frames->open());
	assert_false(rpc_busy());
	assert_false(stream_any());
	assert_int_equal(closes, 1);
	ticks(40);
	clear();
}

/* What only begins like the escape is typed. */
static void half_an_escape_is_typed(void **state)
{
	(void)state;
	guest_room = 100;
	while (console_view() != 0)
		console_next_view();
	type_bytes("\xc0last", 5);
	assert_int_equal(received_bytes, 0);
	type_bytes("x\xc0\xc0", 3);
	assert_string_equal(received, "\xc0lastx\xc0");
	ticks_per_us = 0;
	ticks(2);
	ticks_per_us = 1000000;
	ticks(2);
	assert_string_equal(received, "\xc0lastx\xc0\xc0");
	assert_false(console_frames->open());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(half_an_escape_is_typed, set_up),
		cmocka_unit_test_setup(the_end_of_frames_ends_all, set_up),
		cmocka_unit_test_setup(frames_share_the_line, set_up),
	};

	return cmocka_run_group_tests(tests, set_up_all, NULL);
}
