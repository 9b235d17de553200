/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does a client that is gone leave nothing of the config that it was to apply, and does the stream of a
 * console end when its VM goes for good? Faked: as for the console, and the change itself (apply.c).
 */
#include "tests/unit/core/mgmt_env.h"

#include "hv/core/apply.h"
#include "hv/core/facts.h"
#include "hv/core/images.h"
#include "hv/core/report.h"

static enum apply_state apply_is;
static unsigned drops, staged;

int apply_begin(const char **why)
{
	*why = "a config is being applied";
	if (apply_is > APPLY_GATHERS && apply_is < APPLY_DONE)
		return LH_BUSY;
	apply_is = APPLY_GATHERS;
	return 0;
}

void apply_drop(void)
{
	assert_int_equal(apply_is, APPLY_GATHERS);
	apply_is = APPLY_IDLE;
	drops++;
}

bool apply_declare(const char *name)
{
	(void)name;
	return apply_is == APPLY_GATHERS;
}

unsigned apply_check(const void *dtb, size_t bytes, bool all, config_error_fn *error,
		     config_change_fn *tell, void *context)
{
	(void)dtb, (void)bytes, (void)all, (void)error, (void)tell, (void)context;
	return 0;
}

int apply_run(const char **why)
{
	*why = NULL;
	apply_is = APPLY_MAKES;
	return 0;
}

struct apply_status apply_status(void)
{
	return (struct apply_status){ .state = apply_is, .why = "" };
}

int image_stage(const char *name, void *data, uint64_t bytes)
{
	(void)name, (void)bytes;
	staged++;
	page_free(data, bytes);
	return 0;
}

bool image_at(unsigned i, struct handover_image *out)
{
	(void)i, (void)out;
	return false;
}

const struct handover_image *image_find(const char *name, bool of_stage)
{
	(void)name, (void)of_stage;
	return NULL;
}

const char *config_effect_name(enum config_effect effect)
{
	(void)effect;
	return "";
}

uint64_t report_position(bool oldest)
{
	return oldest;
}

size_t report_read(uint64_t *at, char *out, size_t space)
{
	(void)at, (void)out, (void)space;
	return 0;
}

int vm_by_name(const char *name)
{
	for (unsigned i = 0; i < CONFIG_MAX_VMS; i++)
		if (!strcmp(console_guests[i].name, name))
			return (int)i;
	return -1;
}

const struct mgmt_method *test_method_at(unsigned i)
{
	for (const struct mgmt_method *m = mgmt_apply_methods; m->name; m++)
		if (i-- == 0)
			return m;
	for (const struct mgmt_method *m = mgmt_console_methods; m->name; m++)
		if (i-- == 0)
			return m;
	return NULL;
}

/* A stream of client 1 has ended with these words. */
static bool told(const char *words)
{
	bool found = false;

	for (unsigned i = 0; i < got_count; i++)
		found |= got[i].kind == FRAME_END && got[i].client == 1 &&
			 memmem(got[i].payload, got[i].bytes, words, strlen(words));
	return found;
}

static int set_up(void **state)
{
	(void)state;
	apply_is = APPLY_IDLE;
	begin();
	drops = staged = 0;
	return 0;
}

/* The number behind a name in the answer to a call of this client's; 0: an error. */
static unsigned number(uint8_t client, const char *name, const char *method, const char *params)
{
	char text[200], member[20];
	const char *found;

	snprintf(text, sizeof(text),
		 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":{%s}}", method,
		 params);
	send(FRAME_CALL, client, 0, 0, text, strlen(text));
	snprintf(member, sizeof(member), "\"%s\":", name);
	found = strstr(answer(), member);
	return found ? (unsigned)atoi(found + strlen(member)) : 0;
}

static unsigned session_of(uint8_t client)
{
	return number(client, "session", "apply.begin", "");
}

/* An upload that is announced: its stream. */
static unsigned uploads(uint8_t client, unsigned session, const char *method, const char *more)
{
	char params[80];

	snprintf(params, sizeof(params), "\"session\":%u,\"bytes\":4%s", session, more);
	return number(client, "stream", method, params);
}

static void sends(uint8_t client, unsigned stream)
{
	send(FRAME_DATA, client, (uint8_t)stream, 0, "abcd", 4);
	turns(2);
	send(FRAME_END, client, (uint8_t)stream, 4, NULL, 0);
	turns(3);
}

/* Whether the machine has a config to be checked. */
static bool has_config(uint8_t client, unsigned session)
{
	char text[120];

	snprintf(text, sizeof(text),
		 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"apply.check\",\"params\":{\"session\":"
		 "%u}}",
		 session);
	send(FRAME_CALL, client, 0, 0, text, strlen(text));
	return strstr(answer(), "\"items\":[]");
}

static void goes(uint8_t client)
{
	send(FRAME_RESET, client, 0, 0, NULL, 0);
	turns(3);
}

static void what_was_sent_goes_with_its_client(void **state)
{
	const unsigned session = session_of(1);

	(void)state;
	sends(1, uploads(1, session, "apply.config", ""));
	assert_true(has_config(1, session));
	sends(1, uploads(1, session, "apply.upload", ",\"name\":\"k\""));
	assert_int_equal(staged, 1);
	goes(2); /* another client */
	assert_int_equal(drops, 0);
	goes(1);
	assert_int_equal(drops, 1);
	assert_false(has_config(1, session));
	assert_false(stream_any());
}

static void an_upload_that_outlives_its_session_is_dropped(void **state)
{
	const unsigned stream = uploads(1, session_of(1), "apply.upload", ",\"name\":\"k\"");

	(void)state;
	assert_int_not_equal(stream, 0);
	for (unsigned n = 16; n < 256; n++) /* all others of its streams end */
		if (n != stream)
			send(FRAME_END, 1, (uint8_t)n, 0, NULL, 0);
	turns(30);
	assert_int_equal(drops, 1);
	sends(1, stream);
	assert_int_equal(staged, 0);
}

static void who_begins_next_takes_the_place(void **state)
{
	const unsigned one = session_of(1), two = session_of(2);

	(void)state;
	assert_int_equal(two, one + 1);
	assert_true(told("another config"));
	assert_int_equal(drops, 0); /* apply_begin() has dropped the first one's */
	goes(1);
	assert_int_equal(drops, 0);
	sends(2, uploads(2, two, "apply.config", ""));
	assert_true(has_config(2, two));
	goes(2);
	assert_int_equal(drops, 1);
}

/* A client that was suspended within an upload, on whichever line. */
static void who_begins_next_breaks_an_upload_off(void **state)
{
	const unsigned one = session_of(1);
	unsigned stream = uploads(1, one, "apply.upload", ",\"name\":\"k\""), two;

	(void)state;
	send(FRAME_DATA, 1, (uint8_t)stream, 0, "ab", 2);
	turns(2);
	two = session_of(2);
	assert_int_equal(two, one + 1);
	assert_true(told("another config"));
	sends(1, stream); /* it goes on: nobody takes it */
	assert_int_equal(staged, 0);
	sends(2, uploads(2, two, "apply.config", ""));
	assert_true(has_config(2, two));
	sends(2, uploads(2, two, "apply.upload", ",\"name\":\"k\""));
	assert_int_equal(staged, 1);
	goes(2);
	goes(1);
	assert_false(stream_any());
}

/* What runs goes on, and how it ended is told to whoever asks. */
static void a_change_that_runs_outlives_its_client(void **state)
{
	const unsigned session = session_of(1);
	char text[120];

	(void)state;
	sends(1, uploads(1, session, "apply.config", ""));
	snprintf(text, sizeof(text),
		 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"apply.run\",\"params\":{\"session\":%"
		 "u}}",
		 session);
	assert_non_null(strstr(ask(text), "\"errors\":0"));
	assert_int_equal(uploads(1, session, "apply.upload", ",\"name\":\"k\""), 0);
	goes(1);
	assert_int_equal(apply_is, APPLY_MAKES);
	assert_int_equal(session_of(2), 0);
	apply_is = APPLY_DONE;
	assert_non_null(strstr(ask("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"apply.state\"}"),
			       "\"state\":\"done\""));
	assert_int_equal(drops, 0);
}

static unsigned opens(const char *vm)
{
	char params[80];

	snprintf(params, sizeof(params), "\"vm\":\"%s\"", vm);
	return number(1, "stream", "console.open", params);
}

static void a_console_ends_with_its_vm(void **state)
{
	unsigned stream;

	(void)state;
	assert_int_equal(console_guest_add(5, "eve"), 0);
	assert_int_equal(console_guest_add(6, "mal"), 0);
	console_guest_write(5, "hello", 5);
	stream = opens("eve");
	assert_true(stream && opens("mal"));
	turns(4);
	assert_false(told(""));
	console_guest_rename(5, "fay"); /* the place is another's: its words are not eve's */
	console_guest_write(5, "secret", 6);
	send(FRAME_DATA, 1, (uint8_t)stream, 0, "keys", 4);
	turns(4);
	for (unsigned i = 0; i < got_count; i++)
		assert_null(memmem(got[i].payload, got[i].bytes, "secret", 6));
	assert_true(told("the VM is gone") && stream_any());
	console_guest_remove(6);
	turns(4);
	assert_true(told("the VM is gone"));
	assert_false(stream_any());
	console_guest_remove(5);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup(f, set_up)
	const struct CMUnitTest tests[] = {
		CASE(what_was_sent_goes_with_its_client),
		CASE(an_upload_that_outlives_its_session_is_dropped),
		CASE(who_begins_next_takes_the_place),
		CASE(who_begins_next_breaks_an_upload_off),
		CASE(a_change_that_runs_outlives_its_client),
		CASE(a_console_ends_with_its_vm),
	};

	second_rings = true;
	return cmocka_run_group_tests(tests, set_up_all, NULL);
}
