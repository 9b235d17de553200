/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's screen: a terminal in memory, and a framebuffer that follows it. Text is written to
 * the terminal at once; what differs on the screen is drawn piece by piece, by who has time. A
 * machine without a screen takes all text and shows nothing.
 *
 * All under log_lock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/core/handover.h"

/* After paging_init(); shows the log so far, and logs what it has found. */
void screen_init(const struct handover *h);
bool screen_present(void);

/* Text as a line would get it, or (the second) of our own, whose "\n" is CR LF. */
void screen_write(const char *text, size_t bytes);
void screen_write_text(const char *text, size_t bytes);

/* Another writer comes: what the last one has begun does not hide what he writes. */
void screen_plain(void);

/* The hypervisor fails, and what it says is to be seen; if it fails once more, drawing may be the reason,
 * and nothing is drawn any more. No lock. */
void screen_panic(void);

/* These addresses are to be a VM's, which has got the device: if the framebuffer is there, nothing is drawn
 * any more. Takes the lock. */
void screen_release(uint64_t hpa, uint64_t bytes);

/* Draws some of what has changed, some tens of microseconds' worth. True: there is more. */
bool screen_draw(void);
void screen_draw_all(void);

/* Whether something is to be drawn; no lock. */
bool screen_behind(void);
