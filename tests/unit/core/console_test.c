/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does each reader of the serial line see all of what is meant for him, in whole lines and once,
 * however slow the line is; is what is typed edited, or given to the guest that is shown? Faked: the
 * UART, which takes `room` bytes at a time, the guest that receives, the timer. The log is real.
 */
#include "tests/unit/core/console_talk.h"

const struct mgmt_method *test_method_at(unsigned i)
{
	(void)i;
	return NULL;
}

/* Shown with all that was taken back (behind a CR and ESC [ K) left out. */
static const char *settled(void)
{
	static char out[SHOWN_BYTES];
	size_t n = 0, line = 0;

	for (size_t i = 0; i < shown_bytes; i++) {
		if (strncmp(shown + i, "\r\x1b[K", 4) == 0) {
			n = line;
			i += 3;
		} else if (shown[i] != '\r') {
			out[n++] = shown[i];
			if (shown[i] == '\n')
				line = n;
		}
	}
	out[n] = '\0';
	return out;
}

static void guests_lines_are_prefixed(void **state)
{
	(void)state;
	guest_prints(0, "hello\r\nhalf");
	guest_prints(1, "\x1b[2Jdanger\tok\x7f\n\n");
	assert_string_equal(shown, "");
	ticks(3);
	assert_string_equal(settled(), "bob| .[2Jdanger\tok.\nalice| hello\nbob| \n");
	clear();
	console_guest_end(0);
	console_guest_end(0);
	ticks(3);
	assert_string_equal(settled(), "alice| half\n");
}

/* Characters pass; what a terminal takes for a control, or the host for the edge of a frame, does not. */
static void guests_lines_are_text(void **state)
{
	static const char *const cases[][2] = {
		{ "gr\xc3\xb6\xc3\x9f\x65r \xe6\x9d\xb1 \xf0\x9f\x98\x80",
		  "gr\xc3\xb6\xc3\x9f\x65r \xe6\x9d\xb1 \xf0\x9f\x98\x80" },
		{ "a\x9b\x32Jb", "a.2Jb" },	 /* CSI in 8 bits */
		{ "a\xc2\x9b\x32Jb", "a..2Jb" }, /* ... and in UTF-8 */
		{ "a\xc0lasthop\xc0", "a.lasthop." },
		{ "\xc1\xbf \xe0\x80\x80 \xed\xa0\x80 \xf4\x90\x80\x80 \xf5", ".. ... ... .... ." },
		{ "cut \xe6\x9d", "cut .." },
		{ "\xc2\xa0", "\xc2\xa0" },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char expected[80];

		clear();
		guest_prints(0, cases[i][0]);
		guest_prints(0, "\n");
		ticks(3);
		snprintf(expected, sizeof(expected), "alice| %s\n", cases[i][1]);
		assert_string_equal(settled(), expected);
	}
}

static void log_lines_wait_for_nobody_and_mix_with_nothing(void **state)
{
	(void)state;
	room = 5;
	guest_prints(0, "a line of the guest\n");
	tick();
	assert_string_equal(settled(), "alice");
	log_printf("fact");
	guest_prints(0, "more\n");
	log_printf("another");
	assert_string_equal(settled(), "alice");
	ticks(20);
	assert_string_equal(settled(), "alice| a line of the guest\n[    0.000000] fact\n"
				       "[    0.000000] another\nalice| more\n");
}

static void log_overrun_is_told(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3000; i++)
		log_printf("%0100u", i);
	log_printf("last");
	console_flush(CONSOLE_ALL);
	assert_non_null(strstr(settled(), " bytes left out]\n"));
	assert_non_null(strstr(settled(), "[    0.000000] last\n"));
}

static void slow_line_gets_all(void **state)
{
	char expected[200];

	(void)state;
	for (room = 1; room < 20; room++) {
		clear();
		snprintf(expected, sizeof(expected), "bob| number %zu\n", room);
		guest_prints(1, expected + 5);
		ticks(60);
		assert_string_equal(settled(), expected);
	}
}

static void overrun_is_told(void **state)
{
	unsigned long long lost;
	char last[64], *note;

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(last, sizeof(last), "line %05u\n", i);
		guest_prints(0, last);
	}
	ticks(2000);
	note = strstr(shown, "alice| [");
	assert_ptr_equal(note, shown);
	assert_int_equal(sscanf(note, "alice| [%llu bytes left out]", &lost), 1);
	assert_int_equal(lost, 10000 * 11 - 16384);
	assert_non_null(strstr(shown, "alice| line 09999\r\n"));
	assert_null(strstr(strchr(note, '\n'), "left out"));
}

static void attached_sees_the_ring_and_no_log(void **state)
{
	const char *was;

	(void)state;
	guest_prints(0, "before\r\n");
	ticks(3);
	clear();
	type("\x1d");
	ticks(2000); /* a full ring */
	assert_non_null(was = strstr(shown, "[alice: Ctrl-] for the next console]\r\n"));
	assert_non_null(strstr(was, "before\r\n"));
	clear();
	guest_prints(0, "\x1b[1mraw\n");
	guest_prints(1, "bob's\n");
	log_printf("while away");
	ticks(3);
	assert_string_equal(shown, "\x1b[1mraw\n");
	clear();
	type("\x1d\x1d");
	assert_non_null(was = strstr(settled(), "[log and shell: "));
	assert_non_null(strstr(was, "[    0.000000] while away\nbob| bob's\nlasthop> "));
	assert_null(strstr(was, "raw")); /* was seen */
	clear();
	log_printf("again");
	ticks(2);
	assert_string_equal(settled(), "[    0.000000] again\nlasthop> ");
}

/* 64 KiB of what a VM printed are shown to who attaches, and not a byte more. */
static void the_ring_has_64_kib(void **state)
{
	static char text[200001], *replay;

	(void)state;
	for (unsigned i = 0; i < 20000; i++)
		snprintf(text + i * 10, 11, "%08u\r\n", i);
	guest_prints(0, text);
	ticks(2000);
	clear();
	type("\x1d");
	ticks(2000);
	assert_non_null(replay = strstr(shown, "[alice: Ctrl-] for the next console]\r\n"));
	replay = strchr(replay, '\n') + 1;
	assert_int_equal(strlen(replay), 65536);
	assert_string_equal(replay, text + 200000 - 65536);
}

static void typed_lines_are_edited(void **state)
{
	static const struct {
		const char *typed, *command;
	} cases[] = {
		{ "vm list\r", "vm list" },
		{ "port\n", "port" },
		{ "vx\bm\x7fm list\r", "vm list" },
		{ "junk\x15stat\r", "stat" },
		{ "\b\b\x7flog\r", "log" },
		{ "a\x1b[Ab\x1b[1;5Cc\x1bOPd\r", "abcd" },
		{ "\r", "" },
		{ "tab\there\x01\r", "tabhere" },
	};
	char echo[3 * CONSOLE_EDIT];

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set_up(NULL);
		commands = 0;
		type(cases[i].typed);
		assert_int_equal(commands, 1);
		assert_string_equal(command, cases[i].command);
		snprintf(echo, sizeof(echo), "lasthop> %s\nanswer to %s\nand its end\nlasthop> ",
			 command, command);
		assert_string_equal(settled(), echo);
	}
	commands = 0;
	type("one\r\ntwo\r\n");
	assert_int_equal(commands, 2);
	assert_string_equal(command, "two");
}

static void long_lines_are_cut(void **state)
{
	char line[300];

	(void)state;
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 2] = '\r';
	line[sizeof(line) - 1] = '\0';
	type(line);
	ticks(50);
	assert_int_equal(commands, 1);
	assert_int_equal(strlen(command), CONSOLE_EDIT - 1);
}

static void prompt_gives_way_and_comes_back(void **state)
{
	(void)state;
	type("sta");
	assert_string_equal(settled(), "lasthop> sta");
	log_printf("fact");
	tick();
	assert_string_equal(settled(), "[    0.000000] fact\nlasthop> sta");
	guest_prints(0, "line\n");
	tick();
	assert_string_equal(settled(), "[    0.000000] fact\nalice| line\nlasthop> sta");
	type("t\r");
	assert_string_equal(command, "stat");
}

static void attached_guest_receives(void **state)
{
	char many[1000];

	(void)state;
	guest_room = 3;
	type("\x1dhello");
	assert_string_equal(received, "hel");
	guest_room = 100;
	ticks(2);
	assert_string_equal(received, "hello");
	guest_room = 0;
	memset(many, 'm', sizeof(many));
	many[sizeof(many) - 1] = '\0';
	typed = many;
	ticks(40);
	type("\x1d"); /* not stopped by a guest that takes nothing */
	assert_int_equal(console_view(), 1);
	vm_table[1] = NULL; /* does not run: what is typed goes nowhere */
	type("lost\x1dlog\r");
	assert_int_equal(console_view(), CONSOLE_LOG);
	assert_string_equal(command, "log");
	assert_string_equal(received, "hello");
}

static void command_typed_before_leaving_is_run(void **state)
{
	(void)state;
	guest_room = 100;
	type("stat\r\x1dx");
	assert_int_equal(commands, 1);
	assert_string_equal(command, "stat");
	assert_string_equal(received, "x");
}

/* One that comes later is shown as the others are; when it goes, the line shows the log again, and its place
 * is empty for the next. */
static void guests_come_and_go(void **state)
{
	(void)state;
	assert_false(console_guest_there(2));
	assert_int_equal(console_guest_add(2, "carol"), 0);
	assert_true(console_guest_there(2));
	guest_prints(2, "here\n");
	ticks(3);
	assert_string_equal(settled(), "carol| here\n");
	for (unsigned i = 0; i < 3; i++)
		type("\035");
	assert_int_equal(console_view(), 2);
	console_guest_remove(2);
	assert_false(console_guest_there(2));
	assert_int_equal(console_view(), CONSOLE_LOG);
	clear();
	guest_prints(2, "late\n");
	ticks(3);
	assert_null(strstr(settled(), "late"));
	for (unsigned i = 0; i < 3; i++) /* round: two guests, the log */
		type("\035");
	assert_int_equal(console_view(), CONSOLE_LOG);
	assert_int_equal(console_guest_add(2, "dave"), 0);
	console_guest_rename(2, "erin");
	clear();
	guest_prints(2, "next\n");
	ticks(3);
	assert_non_null(strstr(settled(), "erin| next\n"));
	console_guest_remove(2);
}

static void flush_is_bounded(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		guest_prints(0, "0123456789\n");
	console_flush(100);
	assert_in_range(shown_bytes, 100, 100 + 300);
	console_flush(CONSOLE_ALL);
	assert_int_equal(shown_bytes, 1000 * strlen("alice| 0123456789\r\n"));
}

/* What the line lacks of the log comes first, then each line at once, whatever the view. */
static void panic_shows_the_log(void **state)
{
	(void)state;
	type("\x1d");
	guest_prints(0, "half a li");
	tick();
	clear();
	log_printf("before");
	log_panic_begin();
	log_panic_show();
	log_printf("panic: reason");
	assert_string_equal(settled(), "\n[    0.000000] before\n[    0.000000] panic: reason\n");
}

static void garbage_by_seed(void **state)
{
	unsigned rounds = getenv("LASTHOP_SOAK") ? 2000000 : 40000;
	uint64_t x = 88172645463325252;
	char text[8] = "";

	(void)state;
	for (unsigned i = 0; i < rounds; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		room = x >> 8 & 63;
		guest_room = x & 1 ? received_bytes + 1 : 0;
		received_bytes %= sizeof(received) - 2;
		text[0] = (char)(x >> 16 & 7 ? x >> 24 : 0x1d);
		text[1] = (char)(x >> 32);
		typed = text;
		for (unsigned n = x >> 40 & 127; n; n--)
			console_guest_put(x >> 50 & 1, (char)(x >> n % 56));
		if (i % 16 == 0)
			log_printf("%s", text);
		tick();
		if (shown_bytes > SHOWN_BYTES / 2)
			clear();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(guests_lines_are_prefixed, set_up),
		cmocka_unit_test_setup(guests_lines_are_text, set_up),
		cmocka_unit_test_setup(log_lines_wait_for_nobody_and_mix_with_nothing, set_up),
		cmocka_unit_test_setup(log_overrun_is_told, set_up),
		cmocka_unit_test_setup(slow_line_gets_all, set_up),
		cmocka_unit_test_setup(overrun_is_told, set_up),
		cmocka_unit_test_setup(attached_sees_the_ring_and_no_log, set_up),
		cmocka_unit_test_setup(the_ring_has_64_kib, set_up),
		cmocka_unit_test_setup(typed_lines_are_edited, set_up),
		cmocka_unit_test_setup(long_lines_are_cut, set_up),
		cmocka_unit_test_setup(prompt_gives_way_and_comes_back, set_up),
		cmocka_unit_test_setup(attached_guest_receives, set_up),
		cmocka_unit_test_setup(command_typed_before_leaving_is_run, set_up),
		cmocka_unit_test_setup(flush_is_bounded, set_up),
		cmocka_unit_test_setup(panic_shows_the_log, set_up),
		cmocka_unit_test_setup(garbage_by_seed, set_up),
		cmocka_unit_test_setup(guests_come_and_go, set_up),
	};

	return cmocka_run_group_tests(tests, set_up_all, NULL);
}
