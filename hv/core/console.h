/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The serial line, shared: one view of it is the log with the shell and the lines of all guests
 * (prefixed "name| "), the others are one guest's console each; Ctrl-] goes round. What a guest
 * prints goes into its VM's ring of 64 KiB, which outlives the VM and is shown again to who
 * attaches. All of it, the log included, goes out in small pieces that never wait, by a timer of one
 * CPU: who logs is not late for its vCPUs. Who prints faster than the line takes loses the oldest,
 * and the reader is told how much. The machine's screen shows the same, and its keyboard is heard.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;

/* Rings for the VMs of the config. Before the first VM; 0 or an error, logged. */
int console_init(const struct config *config) __attribute__((warn_unused_result));

/* A ring for a VM that comes later, at a place that has none. 0 or an error, logged. */
int console_guest_add(unsigned vm, const char *name) __attribute__((warn_unused_result));

bool console_guest_there(unsigned vm); /* whether a place has one */

/* A number that is another as soon as the place is another VM's, or nobody's. Any CPU. */
unsigned console_guest_life(unsigned vm);

/* Another VM has the place: the ring is empty again. */
void console_guest_rename(unsigned vm, const char *name);

/* Its ring goes: the VM does not run, and never will. */
void console_guest_remove(unsigned vm);

/* A character, or some, that the guest of the VM with this number sent. Any CPU; never waits for the line. */
void console_guest_put(unsigned vm, char c);
void console_guest_write(unsigned vm, const char *text, size_t bytes);

/* The guest is over: its last line may lack its end. */
void console_guest_end(unsigned vm);

/* A key for that guest's console. False: it has no room for it now; one that does not run takes all. */
bool console_guest_type(unsigned vm, char c);

/* What the guest has printed, for others than the line: bytes from position *at on, at most `room`, and
 * moves it; *lost: how many before them were overwritten. Position 0 is the oldest there is; ~0 the end.
 * Any CPU. */
size_t console_guest_read(unsigned vm, uint64_t *at, char *out, size_t room, uint64_t *lost);

/* Writes what waits to be shown, waiting for the line: `bytes` of it and a piece at most. */
#define CONSOLE_ALL (8u << 20) /* more than all rings hold */
void console_flush(size_t bytes);

/* Polls the line from now on, on this CPU (hv/core/console_input.c). */
void console_start(void);

/* Answers MB_CONSOLE: takes what was typed, sends some of what waits. */
void console_work(void);

/* This CPU idles: draws some of what the screen lacks. True: there is more. */
bool console_idle(void);

/* Somebody has entered a command, and this CPU is to run it by console_command(): in its run loop,
 * with no vCPU. It takes as long as the command does. */
bool console_command_waiting(void);
void console_command(void);

/* What the shell answers. */
void console_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void console_write(const char *text, size_t bytes);

/* --- for the log only, under log_lock --- */

/* One whole line of the log: written, or not since the log is not what the line shows. */
bool console_log_line(const char *text, size_t bytes);

/* Text of our own, at once to the line; drawn with the next line of the log. */
void console_show(const char *text, size_t bytes);

/* The hypervisor fails: the log is what the line shows. */
void console_panic(void);
