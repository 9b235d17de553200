/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Texts of config errors: a bounded formatter, "did you mean" by edit distance, and the one line
 * that people read. Runs in the loader, the core and on the host alike.
 */
#include <string.h>

#include "hv/core/config_impl.h"
#include "hv/core/config_policy.h"

struct sink {
	char *out;
	size_t room, length; /* length < room: there is always place for the NUL */
};

static void put(struct sink *sink, char c)
{
	if (sink->length + 1 < sink->room)
		sink->out[sink->length++] = c;
}

static void put_string(struct sink *sink, const char *s, size_t max)
{
	for (size_t i = 0; i < max && s[i]; i++)
		put(sink, s[i] >= ' ' && s[i] <= '~' ? s[i] : '?');
}

static void put_number(struct sink *sink, uint64_t value, unsigned base)
{
	char digits[20];
	unsigned count = 0;

	do {
		digits[count++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (count)
		put(sink, digits[--count]);
}

/* Reads the precision of "%.Ns" and moves *fmt past it; unlimited if there is none. */
static size_t precision(const char **fmt)
{
	size_t n = 0;

	if (**fmt != '.')
		return SIZE_MAX;
	for ((*fmt)++; **fmt >= '0' && **fmt <= '9'; (*fmt)++)
		n = n * 10 + (size_t)(**fmt - '0');
	return n;
}

size_t config_vformat(char *out, size_t room, const char *fmt, va_list args)
{
	struct sink sink = { out, room, 0 };

	if (!room)
		return 0;
	for (; *fmt; fmt++) {
		if (*fmt != '%' || !fmt[1]) {
			put(&sink, *fmt);
			continue;
		}
		fmt++;
		size_t max = precision(&fmt);
		bool is_long = *fmt == 'l';
		fmt += is_long;
		if (*fmt == 's')
			put_string(&sink, va_arg(args, const char *), max);
		else if (*fmt == 'u' || *fmt == 'x')
			put_number(&sink,
				   is_long ? va_arg(args, unsigned long) : va_arg(args, unsigned),
				   *fmt == 'u' ? 10 : 16);
		else
			put(&sink, *fmt);
	}
	out[sink.length] = 0;
	return sink.length;
}

size_t config_format(char *out, size_t room, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	size_t length = config_vformat(out, room, fmt, args);
	va_end(args);
	return length;
}

void config_fail(struct config_reporter *reporter, const char *property, const char *fmt, ...)
{
	struct config_error error;
	va_list args;

	if (++reporter->errors > CONFIG_MAX_ERRORS + 1)
		return;
	config_format(error.node, sizeof(error.node), "%s", reporter->node);
	config_format(error.property, sizeof(error.property), "%s", property);
	va_start(args, fmt);
	config_vformat(error.text, sizeof(error.text), fmt, args);
	va_end(args);
	if (reporter->errors > CONFIG_MAX_ERRORS) {
		config_format(error.text, sizeof(error.text),
			      "too many errors: those after the first %u are not listed",
			      CONFIG_MAX_ERRORS);
		error.property[0] = 0;
	}
	reporter->report(reporter->context, &error);
}

size_t config_error_format(const struct config_error *error, const char *file, char *out,
			   size_t room)
{
	if (!error->property[0])
		return config_format(out, room, "%s: %s: %s", file, error->node, error->text);
	return config_format(out, room, "%s: %s: %s: %s", file, error->node, error->property,
			     error->text);
}

enum { NEAREST_MAX = 40 }; /* longer words are no misspelt property names */

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned least = a < b ? a : b;

	return least < c ? least : c;
}

/* Levenshtein's distance without regard to case, one row of the matrix at a time; both lengths <= NEAREST_MAX. */
static unsigned edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned row[NEAREST_MAX + 1];

	for (unsigned j = 0; j <= b_len; j++)
		row[j] = j;
	for (unsigned i = 1; i <= a_len; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= b_len; j++) {
			unsigned replaced =
				diagonal + (config_lower(a[i - 1]) != config_lower(b[j - 1]));

			diagonal = row[j];
			row[j] = min3(replaced, row[j] + 1, row[j - 1] + 1);
		}
	}
	return row[b_len];
}

static bool contains(const char *text, size_t text_len, const char *word, size_t word_len)
{
	for (size_t i = 0; i + word_len <= text_len; i++) {
		size_t same = 0;

		while (same < word_len && config_lower(text[i + same]) == config_lower(word[same]))
			same++;
		if (same == word_len)
			return true;
	}
	return false;
}

const char *config_nearest(const char *word, const char *(*next)(const void *context, unsigned i),
			   const void *context)
{
	size_t length = strlen(word);
	unsigned least = length < 4 ? 2 : length < 8 ? 3 : 4; /* not that far */
	const char *best = NULL, *name;

	if (length > NEAREST_MAX)
		return NULL;
	for (unsigned i = 0; (name = next(context, i)); i++) {
		size_t name_length = strlen(name);
		unsigned distance = edit_distance(word, length, name, name_length);

		if (distance < least) {
			least = distance;
			best = name;
		} else if (!best && length >= 3 &&
			   (contains(name, name_length, word, length) ||
			    (name_length >= 3 && contains(word, length, name, name_length)))) {
			best = name;
		}
	}
	return best;
}

static const char *word_at(const void *context, unsigned index)
{
	return index < 2 ? ((const char *const *)context)[index] : NULL;
}

void config_unknown_word(struct config_reporter *reporter, const char *property, const char *given,
			 const char *word, const char *other)
{
	const char *const words[] = { word, other };
	const char *near = config_nearest(given, word_at, words);

	if (near)
		config_fail(reporter, property, "\"%.40s\" is not known: did you mean \"%s\"?",
			    given, near);
	else if (other)
		config_fail(reporter, property,
			    "\"%.40s\" is not known: \"%s\" or \"%s\" is wanted", given, word,
			    other);
	else
		config_fail(reporter, property, "\"%.40s\" is not known here: wanted is \"%s\"",
			    given, word);
}

static const char *policy_word_at(const void *policy, unsigned index)
{
	return policy_word(policy, index);
}

void config_unknown_policy_word(struct config_reporter *reporter, const struct policy *policy,
				const char *given)
{
	const char *near = config_nearest(given, policy_word_at, policy), *word;
	char all[80];
	size_t fill = 0;

	for (uint32_t i = 0; (word = policy_word(policy, i)) != NULL; i++)
		fill += config_format(all + fill, sizeof(all) - fill, "%s\"%s\"",
				      i == 0			   ? ""
				      : policy_word(policy, i + 1) ? ", "
								   : " or ",
				      word);
	if (near)
		config_fail(reporter, policy->name, "\"%.40s\" is not known: did you mean \"%s\"?",
			    given, near);
	else
		config_fail(reporter, policy->name, "\"%.40s\" is not known: %s is wanted", given,
			    all);
}
