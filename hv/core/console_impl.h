/* SPDX-License-Identifier: BSD-2-Clause */
/* Between what the serial line shows (console.c) and what is typed (console_input.c). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define CONSOLE_PROMPT "lasthop> "
#define CONSOLE_EDIT   120 /* characters of a command, with its NUL */
#define CONSOLE_LOG    (-1)

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
