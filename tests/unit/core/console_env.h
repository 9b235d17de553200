/* SPDX-License-Identifier: BSD-2-Clause */
/* What the console test stands in for: the serial line, the VMs, the timer, the shell. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <asm/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hv/core/config.h"
#include "hv/core/console.h"
#include "hv/core/console_impl.h"
#include "hv/core/keyboard.h"
#include "hv/core/lifecycle.h"
#include "hv/core/log.h"
#include "hv/core/log_area.h"
#include "hv/core/log_impl.h"
#include "hv/core/percpu.h"
#include "hv/core/platform.h"
#include "hv/core/pmm.h"
#include "hv/core/screen.h"
#include "hv/core/serial.h"
#include "hv/core/shell.h"
#include "hv/core/timer.h"

#include <cmocka.h>

#define SHOWN_BYTES (1u << 20)

static char shown[SHOWN_BYTES];
static size_t shown_bytes;
static char on_screen[SHOWN_BYTES];
static size_t on_screen_bytes;
static size_t room;  /* what the UART takes in one console_work() */
static size_t taken; /* of it */
static const char *typed = "";
static char received[400]; /* by the guest */
static size_t received_bytes, guest_room;
static char command[CONSOLE_EDIT];
static unsigned commands;
static struct config config = { .vm_count = 2 };
static struct cpu cpu;
static struct vm guest;

struct spinlock vm_table_lock;
struct vm *vm_table[CONFIG_MAX_VMS];

static void show(char c)
{
	assert_true(shown_bytes < SHOWN_BYTES - 1);
	shown[shown_bytes++] = c;
	shown[shown_bytes] = '\0';
}

void serial_write(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		if (text[i] == '\n')
			show('\r');
		show(text[i]);
	}
}

void serial_write_raw(const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		show(bytes[i]);
}

size_t serial_write_some(const char *bytes, size_t count)
{
	size_t n = 0;

	for (; n < count && taken < room; n++, taken++)
		show(bytes[n]);
	if (n == 0)
		taken = 0; /* some time later */
	return n;
}

/* The screen takes what the line has got, and nothing else. */
void screen_write(const char *text, size_t bytes)
{
	assert_true(on_screen_bytes + bytes <= SHOWN_BYTES);
	memcpy(on_screen + on_screen_bytes, text, bytes);
	on_screen_bytes += bytes;
}

void screen_write_text(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		screen_write(text[i] == '\n' ? "\r\n" : text + i, text[i] == '\n' ? 2 : 1);
}

bool screen_present(void)
{
	return true;
}

bool screen_behind(void)
{
	return false;
}

bool screen_draw(void)
{
	return false;
}

void screen_draw_all(void)
{
}

void screen_plain(void)
{
}

void screen_panic(void)
{
}

bool keyboard_start(void)
{
	return true;
}

/* Every other character is typed there, so that the two are mixed. */
int keyboard_read(void)
{
	static bool turn;

	turn = !turn;
	return turn && *typed ? (unsigned char)*typed++ : -1;
}

bool serial_present(void)
{
	return true;
}

int serial_read(void)
{
	return *typed ? (unsigned char)*typed++ : -1;
}

void *page_alloc(size_t bytes)
{
	return calloc(1, bytes);
}

void panic(const char *fmt, ...)
{
	(void)fmt;
	abort();
}

uint64_t tsc_khz(void)
{
	return 0;
}

uint64_t tsc_to_ns(uint64_t ticks)
{
	return ticks;
}

uint64_t tsc_from_us(uint64_t us)
{
	return us;
}

void timer_init(struct timer *timer, void (*fire)(struct timer *))
{
	timer->fire = fire;
}

void timer_set(struct timer *timer, uint64_t deadline_tsc)
{
	(void)timer;
	(void)deadline_tsc;
}

void cpu_post(struct cpu *to, uint32_t bits)
{
	(void)to;
	(void)bits;
}

void shell_run(char *line)
{
	snprintf(command, sizeof(command), "%s", line);
	commands++;
	console_printf("answer to %s\nand its end\n", line);
}

static bool guest_receives(struct vm *vm, char c)
{
	assert_ptr_equal(vm, &guest);
	if (received_bytes >= guest_room || received_bytes >= sizeof(received) - 1)
		return false;
	received[received_bytes++] = c;
	return true;
}

static const struct platform_ops fake_platform = { .console_input = guest_receives };
const struct platform_ops *platform = &fake_platform;
