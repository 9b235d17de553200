/* SPDX-License-Identifier: BSD-2-Clause */
/* The loader has found the lines and made them harmless (hv/boot/last_boot.c). */
#include "hv/core/last_boot.h"

#include <stddef.h>
#include <stdint.h>

#include "hv/core/console.h"
#include "hv/core/handover.h"
#include "hv/core/log.h"
#include "hv/core/pmm.h"
#include "hv/core/screen.h"

#define PREFIX "died| "

static const char *lines; /* (c) */
static size_t bytes;

/* Each line with the prefix, the last one ended. */
static void write_lines(void (*write)(const char *text, size_t n))
{
	for (size_t at = 0, next; at < bytes; at = next) {
		for (next = at; next < bytes && lines[next] != '\n'; next++)
			;
		write(PREFIX, sizeof(PREFIX) - 1);
		write(lines + at, next - at);
		write("\n", 1);
		next++;
	}
}

void last_boot_show(const struct handover *h)
{
	lines = hpa_to_ptr((hpa_t){ h->dead });
	bytes = h->dead_bytes;
	if (!bytes)
		return;
	log_printf(
		"the boot before this one died; its last lines, which \"log died\" shows again:");
	write_lines(console_show);
	screen_draw_all();
}

bool last_boot_answer(void)
{
	write_lines(console_write);
	return bytes != 0;
}
