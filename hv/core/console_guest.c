/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What guests print: a ring for each place of a VM, with a lock of its own, held for a copy. Who shows it is
 * console.c.
 */
#include "hv/core/console.h"

#include <string.h>

#include "hv/core/console_impl.h"
#include "hv/core/fail.h"
#include "hv/core/log.h"
#include "hv/core/log_impl.h"
#include "hv/core/pmm.h"

struct guest_text console_guests[CONFIG_MAX_VMS];
unsigned console_guest_count;

void console_guest_write(unsigned vm, const char *text, size_t bytes)
{
	struct guest_text *g = &console_guests[vm];

	spin_lock(&g->lock);
	text_ring_put(&g->ring, text, bytes);
	spin_unlock(&g->lock);
}

void console_guest_put(unsigned vm, char c)
{
	console_guest_write(vm, &c, 1);
}

void console_guest_end(unsigned vm)
{
	struct guest_text *g = &console_guests[vm];
	char last = '\n';

	spin_lock(&g->lock);
	if (g->ring.total)
		text_ring_copy(&g->ring, g->ring.total - 1, &last, 1);
	if (last != '\n')
		text_ring_put(&g->ring, "\r\n", 2);
	spin_unlock(&g->lock);
}

size_t console_guest_read(unsigned vm, uint64_t *at, char *out, size_t room, uint64_t *lost)
{
	struct guest_text *g = &console_guests[vm];
	uint64_t oldest;
	size_t n;

	spin_lock(&g->lock);
	oldest = text_ring_oldest(&g->ring);
	*lost = *at && *at < oldest ? oldest - *at : 0;
	if (*at > g->ring.total)
		*at = g->ring.total;
	if (*at < oldest)
		*at = oldest;
	n = text_ring_copy(&g->ring, *at, out, room);
	spin_unlock(&g->lock);
	*at += n;
	return n;
}

static char *set_ring(unsigned vm, char *text, const char *name)
{
	struct guest_text *g = &console_guests[vm];
	bool locked = log_lock_take(&log_lock);
	char *old;

	console_leave_guest(vm);
	spin_lock(&g->lock);
	old = g->ring.text;
	g->lives++;
	g->ring = (struct text_ring){ .text = text, .bytes = text ? CONSOLE_RING_BYTES : 0 };
	spin_unlock(&g->lock);
	snprintf(g->name, sizeof(g->name), "%s", name);
	g->shown = g->seen = 0;
	if (text && vm >= console_guest_count)
		console_guest_count = vm + 1;
	if (locked)
		spin_unlock(&log_lock);
	return old;
}

int console_guest_add(unsigned vm, const char *name)
{
	char *text = page_alloc(CONSOLE_RING_BYTES);

	if (!text)
		return fail(LH_NOMEM, "vm %s: no memory for its console", name);
	set_ring(vm, text, name);
	return 0;
}

unsigned console_guest_life(unsigned vm)
{
	struct guest_text *g = &console_guests[vm];
	unsigned life;

	spin_lock(&g->lock);
	life = g->lives;
	spin_unlock(&g->lock);
	return life;
}

bool console_guest_there(unsigned vm)
{
	return console_guests[vm].ring.text != NULL; /* changed by the one CPU that asks */
}

void console_guest_rename(unsigned vm, const char *name)
{
	set_ring(vm, console_guests[vm].ring.text, name);
}

void console_guest_remove(unsigned vm)
{
	page_free(set_ring(vm, NULL, ""), CONSOLE_RING_BYTES);
}
