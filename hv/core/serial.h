/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's serial lines, COM1 for text and COM2 for the management channel (16550, 115200 8N1), and
 * the emulators' debug port 0xE9. Each is silent where the machine has none. No locks: the log and the
 * reports have theirs, COM2 is one CPU's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* "\n" goes out as CR LF. Waits are bounded; a UART that stays full is given up. */
void serial_write(const char *text, size_t bytes);

/* The bytes as they are. */
void serial_write_raw(const char *bytes, size_t count);

/* As many of them as the UART takes at once, without a wait: how many (all, if there is none). */
size_t serial_write_some(const char *bytes, size_t count);

bool serial_present(void);

/* A character that has come in, or -1. */
int serial_read(void);

/* The same of COM2. */
bool serial2_present(void);
size_t serial2_write_some(const char *bytes, size_t count);
int serial2_read(void);

/* Whether a line that is there raises its interrupt (hv/core/serial_irq.h), and when: it has received
 * something, or has sent all that it was given. */
enum serial_line { SERIAL_FIRST, SERIAL_SECOND, SERIAL_LINES };
enum serial_interrupt { SERIAL_QUIET, SERIAL_RECEIVED, SERIAL_SENT };
void serial_interrupts(enum serial_line line, enum serial_interrupt wanted);

bool debug_port_present(void);
void debug_port_write(const char *text, size_t bytes);
