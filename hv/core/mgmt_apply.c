/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Another config, by the management channel (docs/apply.md). A client begins, and has a number from then on;
 * uploads the blob; says which of its files the machine does not have as they are; has all of it checked,
 * which changes nothing; uploads those files; and has it run. What goes on is told to who asks. It holds what
 * has come by a stream, on which nothing goes: with that it goes, and so does it with a client that is gone.
 */
#include <string.h>

#include "hv/core/apply.h"
#include "hv/core/images.h"
#include "hv/core/mgmt_impl.h"
#include "hv/core/pmm.h"

#define CRC_MOST  (256u << 10) /* bytes in one call: it holds up a CPU */
#define ITEM_MOST 500u	       /* differences and errors told */

static uint64_t session;	  /* of the client that began last */
static struct mgmt_stream *holds; /* what it gathers; NULL: it does no more */

static struct {
	void *data; /* NULL: it has not come yet */
	size_t bytes;
} blob;

/* One at a time. */
static struct {
	struct mgmt_upload upload;
	bool busy;
	uint64_t session;
	char name[CONFIG_MAX_FILE + 1]; /* "": the blob */
} coming;

static void drop_blob(void)
{
	if (blob.data)
		page_free(blob.data, blob.bytes);
	blob.data = NULL;
}

/* The caller is who began last. */
static bool ours(struct mgmt_call *call)
{
	uint64_t given;

	if (!mgmt_param_u64(call, "session", 1, UINT64_MAX, &given))
		return false;
	if (given != session) {
		mgmt_fail(call, MGMT_REFUSED,
			  "another config has been begun meanwhile: begin again");
		return false;
	}
	return true;
}

static bool no_upload(struct mgmt_call *call)
{
	if (coming.busy)
		mgmt_fail(call, MGMT_REFUSED, "a file is being uploaded: wait until that is done");
	return !coming.busy;
}

/* The client has ended it, or is gone. What runs goes on; how it has ended is still to be asked. */
static void let_go(struct mgmt_stream *s, bool complete)
{
	(void)complete;
	if (s != holds)
		return; /* another has begun since */
	holds = NULL;
	drop_blob();
	if (apply_status().state == APPLY_GATHERS)
		apply_drop();
}

static const struct mgmt_stream_ops holding = { .closed = let_go };

static void begin(struct mgmt_call *call)
{
	static const char another[] = "another config has been begun";
	struct mgmt_stream *before = holds;
	const char *why;
	const int err = apply_begin(&why);

	if (err != LH_BUSY &&
	    coming.busy) /* its client may be suspended, and what it was for is dropped */
		mgmt_upload_break(&coming.upload, another);
	if (err < 0) {
		mgmt_fail(call, MGMT_REFUSED, "%s", why);
		return;
	}
	drop_blob();
	holds = mgmt_stream_open(call, &holding, NULL);
	if (before)
		mgmt_stream_end(before, another);
	if (holds)
		json_u64(mgmt_result(call), "session", ++session);
	else
		apply_drop();
}

static void uploaded(struct mgmt_upload *u, bool complete)
{
	coming.busy = false;
	complete = complete && holds && coming.session == session;
	if (complete && !coming.name[0]) {
		drop_blob();
		blob.data = u->buffer;
		blob.bytes = u->bytes;
	} else if (!complete || image_stage(coming.name, u->buffer, u->bytes) < 0) {
		page_free(u->buffer, u->bytes);
	}
}

static void upload(struct mgmt_call *call, size_t bytes)
{
	void *buffer = page_alloc(bytes);

	if (!buffer) {
		mgmt_fail(call, MGMT_NOMEM, "there are no %zu KiB of memory for it", bytes / 1024);
		return;
	}
	coming.session = session;
	coming.upload = (struct mgmt_upload){ .buffer = buffer, .bytes = bytes, .done = uploaded };
	coming.busy = mgmt_upload(call, &coming.upload);
	if (!coming.busy)
		page_free(buffer, bytes);
}

static void config(struct mgmt_call *call)
{
	uint64_t bytes;

	if (!ours(call) || !no_upload(call) ||
	    !mgmt_param_u64(call, "bytes", 1, CONFIG_MAX_DTB_BYTES, &bytes))
		return;
	coming.name[0] = '\0';
	upload(call, bytes);
}

/* The file that is named, from now on another than the one here. */
static bool declared(struct mgmt_call *call, char name[CONFIG_MAX_FILE + 1])
{
	if (!ours(call) || !no_upload(call) ||
	    !mgmt_param_string(call, "name", name, CONFIG_MAX_FILE + 1))
		return false;
	if (!name[0])
		mgmt_fail(call, MGMT_PARAMS, "name: is empty");
	else if (apply_status().state != APPLY_GATHERS) /* what is checked stays as it is */
		mgmt_fail(call, MGMT_REFUSED, "no config is being gathered: begin again");
	else if (!apply_declare(name))
		mgmt_fail(call, MGMT_REFUSED, "there are too many files");
	else
		return true;
	return false;
}

static void differs(struct mgmt_call *call)
{
	char name[CONFIG_MAX_FILE + 1];

	(void)declared(call, name);
}

static void image_upload(struct mgmt_call *call)
{
	char name[CONFIG_MAX_FILE + 1];
	uint64_t bytes;

	if (!declared(call, name) ||
	    !mgmt_param_u64(call, "bytes", 1, CONFIG_MAX_IMAGE_BYTES, &bytes))
		return;
	memcpy(coming.name, name, sizeof(coming.name));
	upload(call, bytes);
}

struct items {
	struct json *j;
	unsigned left, more;
};

static bool room_for(struct items *items)
{
	if (!items->left) {
		items->more++;
		return false;
	}
	items->left--;
	return true;
}

static void tell_error(void *context, const struct config_error *error)
{
	struct items *items = context;

	if (!room_for(items))
		return;
	json_object(items->j, NULL);
	json_string(items->j, "what", "error");
	json_string(items->j, "node", error->node);
	json_string(items->j, "property", error->property);
	json_string(items->j, "text", error->text);
	json_object_end(items->j);
}

static void tell_change(void *context, const struct config_change *c)
{
	static const char *const what[] = { "added", "removed", "changed" };
	struct items *items = context;

	if (!room_for(items))
		return;
	json_object(items->j, NULL);
	json_string(items->j, "what", what[c->kind]);
	json_string(items->j, "effect", config_effect_name(c->effect));
	json_string(items->j, "node", c->node);
	json_string(items->j, "property", c->property);
	json_string(items->j, "from", c->from);
	json_string(items->j, "to", c->to);
	json_object_end(items->j);
}

/* How many errors there are; what is told is in the result. */
static unsigned checked(struct mgmt_call *call, bool staged)
{
	struct items items = { .j = mgmt_result(call), .left = ITEM_MOST };
	unsigned errors;

	json_array(items.j, "items");
	errors = apply_check(blob.data, blob.bytes, staged, tell_error, tell_change, &items);
	json_array_end(items.j);
	json_u64(items.j, "more", items.more);
	json_u64(items.j, "errors", errors);
	return errors;
}

static bool ready(struct mgmt_call *call)
{
	if (!ours(call) || !no_upload(call))
		return false;
	if (!blob.data || apply_status().state != APPLY_GATHERS) {
		mgmt_fail(call, MGMT_REFUSED,
			  "there is no config to be applied: begin, and upload one");
		return false;
	}
	return true;
}

static void check(struct mgmt_call *call)
{
	if (ready(call))
		checked(call, false);
}

static void run(struct mgmt_call *call)
{
	const char *why;

	if (!ready(call) || checked(call, true))
		return;
	if (apply_run(&why) < 0)
		mgmt_fail(call, MGMT_REFUSED, "%s", why);
	else
		drop_blob();
}

static void state(struct mgmt_call *call)
{
	static const char *const names[] = { "idle", "gathers", "stops", "makes",
					     "back", "done",	"failed" };
	const struct apply_status s = apply_status();
	struct json *j = mgmt_result(call);

	json_string(j, "state", names[s.state]);
	json_u64(j, "done", s.done);
	json_u64(j, "of", s.of);
	json_string(j, "why", s.why);
}

static void image_list(struct mgmt_call *call)
{
	struct json *j = mgmt_result(call);
	struct handover_image image;

	json_array(j, "images");
	for (unsigned i = 0; image_at(i, &image); i++) {
		json_object(j, NULL);
		json_string(j, "name", image.name);
		json_u64(j, "bytes", image.bytes);
		json_object_end(j);
	}
	json_array_end(j);
}

static void image_crc(struct mgmt_call *call)
{
	char name[CONFIG_MAX_FILE + 1];
	const struct handover_image *image;
	uint64_t at, bytes;

	if (!mgmt_param_string(call, "name", name, sizeof(name)) ||
	    !mgmt_param_u64(call, "at", 0, CONFIG_MAX_IMAGE_BYTES, &at) ||
	    !mgmt_param_u64(call, "bytes", 1, CRC_MOST, &bytes))
		return;
	image = image_find(name, false);
	if (!image)
		mgmt_fail(call, MGMT_NOENT, "there is no file \"%s\": image.list shows them", name);
	else if (at > image->bytes || bytes > image->bytes - at)
		mgmt_fail(call, MGMT_PARAMS, "%s has %llu bytes only", name,
			  (unsigned long long)image->bytes);
	else
		json_u64(mgmt_result(call), "crc",
			 crc32((const uint8_t *)hpa_to_ptr((hpa_t){ image->addr }) + at, bytes));
}

const struct mgmt_method mgmt_apply_methods[] = {
	{ "image.list", "", "the files that VMs are made from", image_list },
	{ "image.crc", "name at bytes", "the CRC-32 of a part of one, at most 256 KiB", image_crc },
	{ "apply.begin", "",
	  "a new config is to come; drops one that was not run; with the stream that it opens, "
	  "what has come goes",
	  begin },
	{ "apply.config", "session bytes", "uploads it, as a blob", config },
	{ "apply.differs", "session name", "this file is not on the machine as it is to be",
	  differs },
	{ "apply.upload", "session name bytes", "uploads such a file", image_upload },
	{ "apply.check", "session", "errors, and what is another than now", check },
	{ "apply.run", "session", "the same with the files, and does it if there is no error",
	  run },
	{ "apply.state", "", "how far it is: idle, gathers, stops, makes, back, done, failed",
	  state },
	{ NULL, NULL, NULL, NULL },
};
