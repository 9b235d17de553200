/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of the first line share: its time, what is typed, and what guests print. */
#pragma once

#include "tests/unit/core/console_env.h"

/* One tick of the timer, and the run loop after it. */
static void tick(void)
{
	taken = 0;
	console_work();
	console_command();
}

static void ticks(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		tick();
}

static bool frames_pass; /* over the first line */

/* Takes the frames of the management channel out of what was shown. */
static void leave_frames_out(void)
{
	bool inside = false;
	size_t n = 0;

	for (size_t i = 0; i < shown_bytes; i++) {
		if ((uint8_t)shown[i] == FRAME_DELIMITER)
			inside = !inside;
		else if (!inside)
			shown[n++] = shown[i];
	}
	shown_bytes = n;
}

/* Whatever else is shown, the screen has it as well. */
static void clear(void)
{
	if (frames_pass)
		leave_frames_out();
	assert_int_equal(on_screen_bytes, shown_bytes);
	assert_memory_equal(on_screen, shown, shown_bytes);
	on_screen_bytes = shown_bytes = 0;
	shown[0] = '\0';
}

static void type(const char *text)
{
	typed = text;
	ticks(20);
}

static void guest_prints(unsigned vm, const char *text)
{
	while (*text)
		console_guest_put(vm, *text++);
}

static int set_up_all(void **state)
{
	static struct log_area area;

	(void)state;
	snprintf(config.vms[0].name, sizeof(config.vms[0].name), "alice");
	snprintf(config.vms[1].name, sizeof(config.vms[1].name), "bob");
	cpu.self = &cpu;
	syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu);
	log_area_begin(&area, 1);
	log_init(&(struct handover){ .log = (uint64_t)&area - DIRECT_MAP_BASE });
	if (console_init(&config))
		return -1;
	console_start();
	mgmt_start();
	return 0;
}

/* The log's view, nothing waiting, nothing typed. */
static int set_up(void **state)
{
	(void)state;
	room = 64;
	guest_room = 0;
	received_bytes = commands = 0;
	memset(received, 0, sizeof(received));
	typed = "";
	vm_table[0] = &guest;
	while (console_view() != CONSOLE_LOG)
		console_next_view();
	console_edit(NULL);
	console_flush(CONSOLE_ALL);
	clear();
	return 0;
}
