/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests of the management channel: JSON-RPC 2.0, one at a time, parameters by name. The request is
 * cut into tokens by jsmn, which allocates nothing and is strict about values but not about all of the
 * grammar; what it lets through is checked where it is used, and nothing of a request comes back in the
 * answer but an id that is a number or a plain string.
 */
#include <stdarg.h>
#include <string.h>

#define JSMN_STATIC
#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#include <jsmn.h>

#include "hv/core/fail.h"
#include "hv/core/log.h"
#include "hv/core/mgmt_impl.h"
#include "hv/core/pmm.h"

#define TOKENS	    128
#define ID_MOST	    40
#define METHOD_MOST 64
#define WHY_MOST    256

struct mgmt_call {
	struct mgmt_peer peer;
	char text[MGMT_REQUEST_MOST];
	size_t bytes;
	bool waiting; /* until it is answered */
	jsmntok_t token[TOKENS];
	int count;
	int params; /* token of the object, 0: none */
	char id[ID_MOST + 3];
	struct json out;
	enum mgmt_error error; /* 0: none */
	char why[WHY_MOST];
	struct mgmt_stream *opened; /* by this call */
};

static struct mgmt_call call; /* the one at a time */
static char *answer;	      /* of MGMT_ANSWER_MOST bytes */
static size_t answer_bytes, answer_at;
static struct mgmt_peer answer_to; /* line NULL: all of it is sent */

int rpc_init(void)
{
	answer = page_alloc(MGMT_ANSWER_MOST);
	return answer ? 0 : LH_NOMEM;
}

/* The same again: the host has got no answer. A client's requests differ by their ids. */
static bool is_repeated(struct mgmt_peer peer, const uint8_t *text, size_t bytes)
{
	return call.bytes && bytes == call.bytes && mgmt_same_peer(call.peer, peer) &&
	       memcmp(call.text, text, bytes) == 0;
}

bool rpc_request(struct mgmt_peer peer, const uint8_t *text, size_t bytes)
{
	if (is_repeated(peer, text, bytes)) {
		if (!call.waiting && !answer_to.line) {
			answer_to = peer;
			answer_at = 0;
		}
		return true; /* or it is about to be answered */
	}
	if (call.waiting || bytes > sizeof(call.text))
		return false;
	call.peer = peer;
	memcpy(call.text, text, bytes);
	call.bytes = bytes;
	call.waiting = true;
	return true;
}

bool rpc_waiting(void)
{
	return call.waiting && !answer_to.line;
}

bool rpc_busy(void)
{
	return call.waiting || answer_to.line;
}

void rpc_reset(struct mgmt_peer peer)
{
	if (mgmt_same_peer(call.peer, peer)) {
		call.waiting = false;
		call.bytes = 0;
	}
	if (mgmt_same_peer(answer_to, peer))
		answer_to.line = NULL;
}

bool rpc_frame(const struct mgmt_line *line, struct frame *out)
{
	size_t left = answer_bytes - answer_at;
	bool last = left <= MGMT_OUT_PAYLOAD;

	if (!line || answer_to.line != line)
		return false;
	*out = (struct frame){ last ? FRAME_ANSWER_END : FRAME_ANSWER,
			       answer_to.client,
			       0,
			       (uint32_t)answer_at,
			       (const uint8_t *)answer + answer_at,
			       last ? left : MGMT_OUT_PAYLOAD };
	answer_at += out->bytes;
	if (last)
		answer_to.line = NULL;
	return true;
}

struct mgmt_peer mgmt_call_peer(const struct mgmt_call *c)
{
	return c->peer;
}

/* ---- tokens ---- */

static size_t length(const jsmntok_t *t)
{
	return (size_t)(t->end - t->start);
}

static bool is(const struct mgmt_call *c, int i, const char *text)
{
	const jsmntok_t *t = &c->token[i];

	return t->type == JSMN_STRING && length(t) == strlen(text) &&
	       memcmp(c->text + t->start, text, length(t)) == 0;
}

/* The value of an object's member, or 0. Keys are strings with one value each. */
static int member(const struct mgmt_call *c, int object, const char *name)
{
	for (int i = object + 1; i + 1 < c->count; i++)
		if (c->token[i].parent == object && c->token[i].size == 1 && is(c, i, name) &&
		    c->token[i + 1].parent == i)
			return i + 1;
	return 0;
}

/* Members are pairs, and no name stands twice. */
static bool object_ok(const struct mgmt_call *c, int object)
{
	for (int i = object + 1; i < c->count; i++) {
		if (c->token[i].parent != object)
			continue;
		if (c->token[i].type != JSMN_STRING || c->token[i].size != 1)
			return false;
		for (int k = object + 1; k < i; k++)
			if (c->token[k].parent == object &&
			    length(&c->token[k]) == length(&c->token[i]) &&
			    !memcmp(c->text + c->token[k].start, c->text + c->token[i].start,
				    length(&c->token[i])))
				return false;
	}
	return true;
}

/* ---- what methods call ---- */

struct json *mgmt_result(struct mgmt_call *c)
{
	return &c->out;
}

void mgmt_fail(struct mgmt_call *c, enum mgmt_error error, const char *fmt, ...)
{
	va_list ap;

	if (c->error)
		return;
	c->error = error;
	va_start(ap, fmt);
	vsnprintf(c->why, sizeof(c->why), fmt, ap);
	va_end(ap);
}

static int param(struct mgmt_call *c, const char *name)
{
	int i = c->params ? member(c, c->params, name) : 0;

	if (!i)
		mgmt_fail(c, MGMT_PARAMS, "parameter \"%s\" is missing", name);
	return i;
}

bool mgmt_param_given(const struct mgmt_call *c, const char *name)
{
	return c->params && member(c, c->params, name);
}

/* One character, escapes undone, and on to the next; -1: none that a name may have. */
static int next_char(const char **at, const char *end)
{
	static const char escapes[] = "\"\\/";
	const char *found;
	char c = *(*at)++;
	int value = 0;

	if (c != '\\')
		return (unsigned char)c < ' ' || c == 0x7f ? -1 : (unsigned char)c;
	if (*at == end)
		return -1;
	c = *(*at)++;
	found = strchr(escapes, c);
	if (found && c)
		return c;
	if (c != 'u' || end - *at < 4)
		return -1;
	for (unsigned i = 0; i < 4; i++) {
		int digit = mgmt_hex_digit(*(*at)++);

		if (digit < 0)
			return -1;
		value = value << 4 | digit;
	}
	return value >= ' ' && value < 0x7f ? value : -1;
}

bool mgmt_param_string(struct mgmt_call *c, const char *name, char *out, size_t room)
{
	int i = param(c, name);
	const char *at, *end;
	size_t n = 0;

	out[0] = '\0';
	if (!i)
		return false;
	at = c->text + c->token[i].start;
	end = c->text + c->token[i].end;
	if (c->token[i].type != JSMN_STRING) {
		mgmt_fail(c, MGMT_PARAMS, "parameter \"%s\" is to be a string", name);
		return false;
	}
	while (at < end) {
		int one = next_char(&at, end);

		if (one < 0 || n + 1 >= room) {
			mgmt_fail(c, MGMT_PARAMS,
				  one < 0 ? "parameter \"%s\" has characters that no name has"
					  : "parameter \"%s\" is too long",
				  name);
			out[0] = '\0';
			return false;
		}
		out[n++] = (char)one;
	}
	out[n] = '\0';
	return true;
}

/* Decimal digits alone. */
static bool parse_u64(const char *at, size_t count, uint64_t *out)
{
	uint64_t value = 0;

	if (count == 0 || count > 20)
		return false;
	for (size_t i = 0; i < count; i++) {
		unsigned digit = (unsigned)(at[i] - '0');

		if (digit > 9 || value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*out = value;
	return true;
}

bool mgmt_param_u64(struct mgmt_call *c, const char *name, uint64_t least, uint64_t most,
		    uint64_t *out)
{
	int i = param(c, name);

	if (!i)
		return false;
	if (c->token[i].type == JSMN_PRIMITIVE &&
	    parse_u64(c->text + c->token[i].start, length(&c->token[i]), out) && *out >= least &&
	    *out <= most)
		return true;
	*out = least;
	mgmt_fail(c, MGMT_PARAMS, "parameter \"%s\" is to be a number from %llu to %llu", name,
		  (unsigned long long)least, (unsigned long long)most);
	return false;
}

bool mgmt_param_bool(struct mgmt_call *c, const char *name, bool *out)
{
	int i = param(c, name);
	const char *text = c->text + c->token[i].start;
	size_t n = length(&c->token[i]);

	*out = false;
	if (!i)
		return false;
	if (c->token[i].type == JSMN_PRIMITIVE &&
	    ((n == 4 && !memcmp(text, "true", n)) || (n == 5 && !memcmp(text, "false", n)))) {
		*out = n == 4;
		return true;
	}
	mgmt_fail(c, MGMT_PARAMS, "parameter \"%s\" is to be true or false", name);
	return false;
}

/* ---- requests ---- */

/* Whether `word` of `bytes` is among the words of a list, as "word" or "word?". */
static bool listed(const char *list, const char *word, size_t bytes)
{
	while (*list) {
		const char *space = strchr(list, ' ');
		size_t n = space ? (size_t)(space - list) : strlen(list);

		if ((n == bytes || (n == bytes + 1 && list[bytes] == '?')) &&
		    memcmp(list, word, bytes) == 0)
			return true;
		list += n + (space != NULL);
	}
	return false;
}

static bool params_ok(struct mgmt_call *c, const struct mgmt_method *method)
{
	if (!c->params)
		return true; /* what is missing, param() says */
	if (c->token[c->params].type != JSMN_OBJECT || !object_ok(c, c->params)) {
		mgmt_fail(c, MGMT_PARAMS, "parameters go by name, each once, in an object");
		return false;
	}
	for (int i = c->params + 1; i < c->count; i++) {
		if (c->token[i].parent != c->params ||
		    listed(method->params, c->text + c->token[i].start, length(&c->token[i])))
			continue;
		mgmt_fail(c, MGMT_PARAMS,
			  *method->params ? "%s takes the parameters %s (?: may be absent)"
					  : "%s takes no parameters",
			  method->name, method->params);
		return false;
	}
	return true;
}

/* An id comes back as it was: a number, or a string without escapes. */
static bool take_id(struct mgmt_call *c)
{
	int i = member(c, 0, "id");
	const jsmntok_t *t = &c->token[i];
	bool string = t->type == JSMN_STRING;
	size_t n = length(t);

	if (!i || n > ID_MOST || (t->type != JSMN_PRIMITIVE && !string))
		return false;
	for (size_t k = 0; k < n; k++) {
		char one = c->text[t->start + (int)k];
		bool digit = one >= '0' && one <= '9';

		if (string ? one < ' ' || one > '~' || one == '\\' : !digit)
			return false;
	}
	if (!string && (n == 0 || n > 15 || (n > 1 && c->text[t->start] == '0')))
		return false;
	snprintf(c->id, sizeof(c->id), string ? "\"%.*s\"" : "%.*s", (int)n, c->text + t->start);
	return true;
}

static const struct mgmt_method *find_method(struct mgmt_call *c, int i)
{
	const struct mgmt_method *method;

	for (unsigned k = 0; i && (method = mgmt_method_at(k)) != NULL; k++)
		if (is(c, i, method->name))
			return method;
	return NULL;
}

/* The method that is wanted; NULL: the call has failed. */
static const struct mgmt_method *parse(struct mgmt_call *c)
{
	const struct mgmt_method *method;
	int version, name;
	jsmn_parser parser;

	jsmn_init(&parser);
	c->count = jsmn_parse(&parser, c->text, c->bytes, c->token, TOKENS);
	if (c->count < 1) {
		mgmt_fail(c, MGMT_PARSE, "the request is no JSON, or has more than %u values",
			  TOKENS);
		return NULL;
	}
	for (int i = 1; i < c->count; i++)
		if (c->token[i].parent < 0)
			c->count = i; /* behind the object stands another: refused below */
	version = member(c, 0, "jsonrpc");
	name = member(c, 0, "method");
	if (c->token[0].type != JSMN_OBJECT || parser.toknext != (unsigned)c->count ||
	    !object_ok(c, 0) || !version || !is(c, version, "2.0") || !name ||
	    c->token[name].type != JSMN_STRING || !take_id(c)) {
		mgmt_fail(c, MGMT_REQUEST,
			  "wanted is one object with jsonrpc \"2.0\", method, and an id that is "
			  "a number or a short string");
		return NULL;
	}
	c->params = member(c, 0, "params");
	method = find_method(c, name);
	if (!method)
		mgmt_fail(c, MGMT_NO_METHOD,
			  "there is no method of that name: \"methods\" lists them");
	return method && params_ok(c, method) ? method : NULL;
}

static void begin_answer(struct mgmt_call *c)
{
	json_init(&c->out, answer, MGMT_ANSWER_MOST);
	json_object(&c->out, NULL);
	json_string(&c->out, "jsonrpc", "2.0");
	json_raw(&c->out, "id", c->id, strlen(c->id));
}

static void answer_error(struct mgmt_call *c)
{
	begin_answer(c);
	json_object(&c->out, "error");
	json_i64(&c->out, "code", c->error);
	json_string(&c->out, "message", c->why);
	json_object_end(&c->out);
	json_object_end(&c->out);
}

static void run(struct mgmt_call *c)
{
	const struct mgmt_method *method;

	snprintf(c->id, sizeof(c->id), "null");
	c->error = 0;
	c->params = 0;
	c->opened = NULL;
	method = parse(c);
	if (method) {
		begin_answer(c);
		json_object(&c->out, "result");
		method->run(c);
		if (c->opened)
			json_u64(&c->out, "stream", mgmt_stream_number(c->opened));
		json_object_end(&c->out);
		json_object_end(&c->out);
		if (c->out.full)
			mgmt_fail(c, MGMT_TOO_LONG, "the answer has more than %u bytes",
				  MGMT_ANSWER_MOST);
	}
	if (!c->error)
		return;
	if (c->opened)
		stream_undo(c->opened);
	answer_error(c);
}

void rpc_opened(struct mgmt_call *c, struct mgmt_stream *s)
{
	assert(!c->opened);
	c->opened = s;
}

void rpc_run(void)
{
	if (!rpc_waiting())
		return;
	run(&call);
	call.waiting = false;
	answer_to = call.peer;
	answer_bytes = call.out.fill;
	answer_at = 0;
}
