/* SPDX-License-Identifier: BSD-2-Clause */
/* The part of the shell's test that is about resets: what it stands in for, and the test. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/core/console.h"
#include "hv/core/last_boot.h"
#include "hv/core/log.h"
#include "hv/core/machine_reset.h"
#include "hv/core/shell.h"

#include <cmocka.h>

/* of shell_test.c */
static char out[65536];
static size_t filled;

static bool orderly, dead;

void log_printf(const char *fmt, ...)
{
	(void)fmt;
}

void log_set_orderly(bool is)
{
	orderly = is;
}

bool last_boot_answer(void)
{
	if (dead)
		console_printf("died| its last words\n");
	return dead;
}

void console_flush(size_t bytes)
{
	assert_int_equal(bytes, CONSOLE_ALL);
}

static jmp_buf after_reset;

_Noreturn void machine_reset(void)
{
	longjmp(after_reset, 1);
}

static void dead_boots_and_resets(void **state)
{
	char died[] = "log died", reset[] = "reset";

	(void)state;
	dead = true;
	filled = 0;
	shell_run(died);
	assert_string_equal(out, "died| its last words\n");
	dead = orderly = false;
	if (setjmp(after_reset) == 0) {
		shell_run(reset);
		fail();
	}
	assert_true(orderly);
}
