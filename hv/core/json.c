/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/core/json.h"

#include <string.h>

#include "hv/core/log.h"

static void put(struct json *j, const char *text, size_t bytes)
{
	if (bytes > j->room - j->fill)
		j->full = true;
	if (j->full)
		return;
	memcpy(j->text + j->fill, text, bytes);
	j->fill += bytes;
}

static void put_text(struct json *j, const char *text)
{
	put(j, text, strlen(text));
}

/* Between quotation marks. */
static void put_string(struct json *j, const char *value)
{
	size_t end = j->fill + JSON_MAX_STRING;
	char one[8];

	put_text(j, "\"");
	for (; *value && j->fill < end && !j->full; value++) {
		unsigned char c = (unsigned char)*value;

		if (c == '"' || c == '\\')
			snprintf(one, sizeof(one), "\\%c", c);
		else if (c < ' ' || c >= 0x7f)
			snprintf(one, sizeof(one), "\\u%04x", c);
		else
			snprintf(one, sizeof(one), "%c", c);
		put_text(j, one);
	}
	put_text(j, "\"");
}

static void begin(struct json *j, const char *name)
{
	if (j->comma)
		put_text(j, ",");
	j->comma = true;
	if (!name)
		return;
	put_string(j, name);
	put_text(j, ":");
}

static void open(struct json *j, const char *name, const char *bracket)
{
	begin(j, name);
	put_text(j, bracket);
	j->comma = false;
}

static void close(struct json *j, const char *bracket)
{
	put_text(j, bracket);
	j->comma = true;
}

void json_object(struct json *j, const char *name)
{
	open(j, name, "{");
}

void json_object_end(struct json *j)
{
	close(j, "}");
}

void json_array(struct json *j, const char *name)
{
	open(j, name, "[");
}

void json_array_end(struct json *j)
{
	close(j, "]");
}

void json_u64(struct json *j, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lu", value);
	json_raw(j, name, text, strlen(text));
}

void json_i64(struct json *j, const char *name, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", value);
	json_raw(j, name, text, strlen(text));
}

void json_bool(struct json *j, const char *name, bool value)
{
	begin(j, name);
	put_text(j, value ? "true" : "false");
}

void json_string(struct json *j, const char *name, const char *value)
{
	begin(j, name);
	put_string(j, value);
}

void json_raw(struct json *j, const char *name, const char *value, size_t bytes)
{
	begin(j, name);
	put(j, value, bytes);
}
