/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of the console and of the management channel stand in for: the serial lines, the VMs, the
 * timer, the shell. */
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
#include "hv/core/mgmt_impl.h"
#include "hv/core/percpu.h"
#include "hv/core/platform.h"
#include "hv/core/pmm.h"
#include "hv/core/screen.h"
#include "hv/core/serial.h"
#include "hv/core/serial_irq.h"
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
static size_t typed_bytes; /* so many of it, NULs among them; 0: up to its end */
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
	return turn && !typed_bytes && *typed ? (unsigned char)*typed++ : -1;
}

bool serial_present(void)
{
	return true;
}

int serial_read(void)
{
	if (typed_bytes)
		return --typed_bytes ? (unsigned char)*typed++ : -1;
	return *typed ? (unsigned char)*typed++ : -1;
}

/* The second line: `second_in` comes in, `second_out` has what was sent. */
static bool second_present;
static uint8_t second_in[1u << 16], second_out[1u << 20];
static size_t second_at, second_bytes, second_sent;

bool serial2_present(void)
{
	return second_present;
}

size_t serial2_write_some(const char *bytes, size_t count)
{
	assert_true(second_sent + count < sizeof(second_out));
	memcpy(second_out + second_sent, bytes, count);
	second_sent += count;
	return count;
}

int serial2_read(void)
{
	return second_at < second_bytes ? second_in[second_at++] : -1;
}

/* The second line's interrupt, if it has one. */
static bool second_rings, listening;

bool serial_irq_start(enum serial_line line, uint32_t mail)
{
	assert_int_equal(mail, line == SERIAL_SECOND ? MB_MGMT : MB_CONSOLE);
	return line == SERIAL_SECOND && second_rings;
}

void serial_irq_listen(enum serial_line line)
{
	listening |= line == SERIAL_SECOND;
}

void *page_alloc(size_t bytes)
{
	return calloc(1, bytes);
}

void page_free(void *p, size_t bytes)
{
	(void)bytes;
	free(p);
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

static uint64_t ticks_per_us = 1000000; /* no time passes; 0: at once */

uint64_t tsc_from_us(uint64_t us)
{
	return us * ticks_per_us;
}

void timer_init(struct timer *timer, void (*fire)(struct timer *))
{
	timer->fire = fire;
}

static unsigned timers_set;
static uint64_t deadline; /* of the last one */

void timer_set(struct timer *timer, uint64_t deadline_tsc)
{
	(void)timer;
	timers_set++;
	deadline = deadline_tsc;
}

static uint32_t mail;

void cpu_post(struct cpu *to, uint32_t bits)
{
	(void)to;
	mail |= bits;
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

static void echo(struct mgmt_call *call)
{
	json_string(mgmt_result(call), "echo", "…");
}

static const struct mgmt_method echo_method = { "echo", "", "", echo };

const struct mgmt_method *test_method_at(unsigned i);

const struct mgmt_method *mgmt_method_at(unsigned i)
{
	return i == 0 ? &echo_method : test_method_at(i - 1);
}

static const struct platform_ops fake_platform = { .console_input = guest_receives };
const struct platform_ops *platform = &fake_platform;
