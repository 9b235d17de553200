/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes JSON (RFC 8259) into a buffer: reports (report.c) and answers of the management channel
 * (mgmt.h). What does not fit is left out, and `full` says so. Strings may hold whatever a guest or a
 * config wrote: all but printable ASCII is escaped. A name is NULL for an element of an array.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_MAX_STRING 600 /* bytes of one string after escaping; the rest is left out */

struct json {
	char *text; /* not terminated by NUL */
	size_t room, fill;
	bool comma; /* something stands before at this level */
	bool full;  /* what was to be written did not fit: nothing more is */
};

static inline size_t json_left(const struct json *j)
{
	return j->room - j->fill;
}

static inline void json_init(struct json *j, char *text, size_t room)
{
	*j = (struct json){ .text = text, .room = room };
}

void json_object(struct json *j, const char *name); /* "name":{ */
void json_object_end(struct json *j);
void json_array(struct json *j, const char *name); /* "name":[ */
void json_array_end(struct json *j);
void json_u64(struct json *j, const char *name, uint64_t value);
void json_i64(struct json *j, const char *name, int64_t value);
void json_bool(struct json *j, const char *name, bool value);
void json_string(struct json *j, const char *name, const char *value);
/* A value that is JSON already. */
void json_raw(struct json *j, const char *name, const char *value, size_t bytes);
