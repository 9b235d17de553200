/* SPDX-License-Identifier: BSD-2-Clause */
/* Between what the serial line shows (console.c) and what is typed (console_input.c). */
#pragma once

#include <stdbool.h>

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
