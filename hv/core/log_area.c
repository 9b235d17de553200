/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compiled into the loader, too. CLFLUSH (SDM 2A) is what every processor with 64 bits has; it is ordered
 * by MFENCE.
 */
#include "hv/core/log_area.h"

#include "hv/core/text_ring.h"
#include "hv/cpu/x86.h"

#define CACHE_LINE  64u /* or a multiple: then some are flushed twice */
#define MOST_COLUMN 400u

_Static_assert((LOG_TEXT_BYTES & (LOG_TEXT_BYTES - 1)) == 0, "a ring's size");

/* CRC-32 (IEEE 802.3), bit by bit: it is for a few bytes. */
static uint32_t crc32(const void *data, size_t bytes)
{
	const uint8_t *p = data;
	uint32_t crc = ~0u;

	for (size_t i = 0; i < bytes; i++) {
		crc ^= p[i];
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

static uint32_t checksum(const struct log_head *head)
{
	return crc32(head, offsetof(struct log_head, crc));
}

static void flush(const void *data, size_t bytes)
{
	uintptr_t end = (uintptr_t)data + bytes;

	for (uintptr_t at = (uintptr_t)data & ~(uintptr_t)(CACHE_LINE - 1); at < end;
	     at += CACHE_LINE)
		clflush((const void *)at);
}

static void flush_text(const struct log_area *area, uint64_t total, size_t bytes)
{
	size_t end = total & (LOG_TEXT_BYTES - 1);

	if (bytes >= LOG_TEXT_BYTES) {
		flush(area->text, LOG_TEXT_BYTES);
	} else if (bytes > end) { /* it goes round */
		flush(area->text, end);
		flush(area->text + LOG_TEXT_BYTES - (bytes - end), bytes - end);
	} else {
		flush(area->text + end - bytes, bytes);
	}
}

/* The place in turn is that of the older head. */
static void write_head(struct log_area *area, const struct log_head *head, unsigned place)
{
	area->head[place] = *head;
	area->head[place].crc = checksum(head);
	mfence();
	flush(&area->head[place], sizeof(*head));
	mfence();
}

void log_area_begin(struct log_area *area, uint64_t generation)
{
	const struct log_head head = { .magic = LOG_AREA_MAGIC, .generation = generation };

	write_head(area, &head, 0);
	write_head(area, &head, 1);
}

void log_area_put(struct log_area *area, uint64_t total, size_t bytes, bool orderly)
{
	unsigned older = area->head[0].total > area->head[1].total;
	struct log_head head = area->head[older ^ 1];

	head.total = total;
	head.orderly = orderly;
	mfence();
	flush_text(area, total, bytes);
	write_head(area, &head, older);
	if (bytes == 0) /* both have the same total: neither is to say otherwise */
		write_head(area, &head, older ^ 1);
}

static bool valid(const struct log_head *head)
{
	return head->magic == LOG_AREA_MAGIC && head->crc == checksum(head) && head->orderly <= 1;
}

bool log_area_read(const struct log_area *area, struct log_head *head)
{
	struct log_head one = area->head[0], other = area->head[1];

	if (!valid(&one) && !valid(&other))
		return false;
	*head = !valid(&other) || (valid(&one) && one.total > other.total) ? one : other;
	return true;
}

size_t log_area_last(const struct log_area *area, const struct log_head *head, unsigned lines,
		     char *out, size_t room)
{
	const struct text_ring ring = { (char *)area->text, LOG_TEXT_BYTES, head->total };
	uint64_t at = text_ring_last(&ring, ring.total, lines);
	size_t n = 0;

	if (ring.total - at > room)
		at = ring.total - room;
	for (unsigned column = 0; at < ring.total; at++) {
		char c = ring.text[at & (LOG_TEXT_BYTES - 1)];

		column = c == '\n' ? 0 : column + 1;
		if (column <= MOST_COLUMN)
			out[n++] = c == '\n' || (c >= ' ' && c <= '~') ? c : '.';
	}
	return n;
}
