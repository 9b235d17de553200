/* SPDX-License-Identifier: BSD-2-Clause */
/* Between what the serial line shows (console.c) and what is typed (console_input.c). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/core/config.h"
#include "hv/core/lock.h"
#include "hv/core/text_ring.h"

#define CONSOLE_PROMPT "lasthop> "
#define CONSOLE_EDIT   120 /* characters of a command, with its NUL */
#define CONSOLE_LOG    (-1)

#define CONSOLE_RING_BYTES (64u * 1024)

/* What a guest prints (console_guest.c). [g] under lock [l] under log_lock */
extern struct guest_text {
	struct spinlock lock;
	char name[CONFIG_MAX_NAME + 1]; /* [l] */
	struct text_ring ring;		/* [g] no text: nobody is there */
	unsigned lives;			/* [g] how many have had the place */
	uint64_t shown;			/* [l] in the log's view: up to here */
	uint64_t seen;			/* [l] ring.total when it had no whole line to show */
} console_guests[CONFIG_MAX_VMS];
extern unsigned console_guest_count; /* [l] places that are, or were, somebody's */

/* Its ring goes: the line shows the log if it shows that guest. Under log_lock. */
void console_leave_guest(unsigned vm);

/* What the line shows: CONSOLE_LOG, or a VM's number. */
int console_view(void);

/* Goes on to the next view, and says which. */
void console_next_view(void);

/* The command as far as it is typed, shown last behind a prompt; NULL: no prompt. */
void console_edit(const char *text);

/* Some of the shell's answers wait to be shown. */
bool console_answering(void);

/* Sends what the line takes now, a bounded number of bytes. True: there is more. */
bool console_drain(void);

/* Frames of the management channel on this line (mgmt.c); without them all that comes is keys. */
typedef void console_typed_fn(char c);
struct console_frames {
	/* A character that has come, or (-1) none for now. True: it is no key. Characters that were
	 * held back and are keys go to typed(). On the home CPU. */
	bool (*input)(int c, console_typed_fn *typed);
	/* The frame that is to leave, if there is one: whole, if `room` is 1024. Under log_lock. */
	size_t (*output)(char *out, size_t room);
	/* Frames are understood: a delimiter in what is shown would be taken for one's. */
	bool (*open)(void);
};
void console_use_frames(const struct console_frames *ops);
extern const struct console_frames *console_frames; /* NULL: none */
