/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is typed on the serial line, or on the keyboard: Ctrl-] goes to the next view; in a guest's the
 * rest goes to the guest, in the log's it is edited to a command.
 *
 * Both are asked by a timer of one CPU. While nothing is typed or waits to be sent, that is 50 times a
 * second, so that neither an idle machine nor a benchmark notices; else 1000 times, which with a
 * FIFO of 16 bytes is the rate of the line. Where the line has an interrupt, that calls as well, so that
 * nothing of what is pasted onto an idle line is lost.
 *
 * A command runs in the run loop of that CPU, when no vCPU is in it: it may make a VM.
 */
#include "hv/core/console.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "hv/core/console_impl.h"
#include "hv/core/keyboard.h"
#include "hv/core/lifecycle.h"
#include "hv/core/percpu.h"
#include "hv/core/platform.h"
#include "hv/core/screen.h"
#include "hv/core/serial.h"
#include "hv/core/serial_irq.h"
#include "hv/core/shell.h"
#include "hv/core/timer.h"
#include "hv/cpu/x86.h"

#define IDLE_US	  20000
#define LIVELY_US 1000
#define STAY_US	  2000000 /* lively after a key for this long */
#define READ_MOST 64	  /* characters taken in one go */
#define QUEUE	  256	  /* typed ahead; what does not fit is dropped */

#define CTRL(letter) ((letter)&0x1f)
#define BACKSPACE    0x08
#define DELETE	     0x7f
#define ESCAPE	     0x1b

/* All of this is the home CPU's alone. */
static struct cpu *home;
static struct timer tick;
static uint64_t lively_until;
static char queue[QUEUE]; /* typed and not taken yet: queue[first % QUEUE] on */
static unsigned first, last;
static char line[CONSOLE_EDIT];
static unsigned length;
static enum { PLAIN, ESCAPED, SEQUENCE } escape; /* inside an arrow key, say */
static bool after_cr;

static char command[CONSOLE_EDIT];
static bool command_ready;

static void fire(struct timer *timer)
{
	(void)timer;
	cpu_post(this_cpu(), MB_CONSOLE);
}

void console_start(void)
{
	bool keys = keyboard_start();

	if (!serial_present() && !screen_present() && !keys)
		return;
	home = this_cpu();
	if (serial_present())
		(void)serial_irq_start(SERIAL_FIRST, MB_CONSOLE);
	timer_init(&tick, fire);
	timer_set(&tick, rdtsc());
}

/* ECMA-48: ESC [ … letter, ESC letter. True if the character belongs to one: keys we do not know. */
static bool in_escape(char c)
{
	bool was_plain = escape == PLAIN;

	if (c == ESCAPE)
		escape = ESCAPED;
	else if (escape == ESCAPED && (c == '[' || c == 'O'))
		escape = SEQUENCE;
	else if (escape == ESCAPED || (c >= '@' && c <= '~'))
		escape = PLAIN;
	return !was_plain || c == ESCAPE;
}

static void enter(void)
{
	console_edit(NULL);
	console_printf(CONSOLE_PROMPT "%s\n", line);
	memcpy(command, line, sizeof(command));
	command_ready = true;
	length = 0;
	line[0] = '\0';
}

static void edit_char(char c)
{
	bool newline = c == '\n' && !after_cr;

	after_cr = c == '\r';
	if (in_escape(c) || (c == '\n' && !newline))
		return;
	if (newline || c == '\r') {
		enter();
		return;
	}
	if (c == CTRL('U'))
		length = 0;
	else if (c == BACKSPACE || c == DELETE)
		length -= length > 0;
	else if (c >= ' ' && c < DELETE && length < sizeof(line) - 1)
		line[length++] = c;
	line[length] = '\0';
	console_edit(line);
}

bool console_guest_type(unsigned id, char c)
{
	struct vm *vm;
	bool taken;

	spin_lock(&vm_table_lock);
	vm = vm_table[id];
	taken = !vm || platform->console_input(vm, c);
	spin_unlock(&vm_table_lock);
	return taken;
}

static void next_view(void)
{
	length = 0;
	line[0] = '\0';
	console_next_view();
	console_edit(console_view() == CONSOLE_LOG ? line : NULL);
}

static void take_typed(void)
{
	while (first != last) {
		int view = console_view();
		char c = queue[first % QUEUE];

		if (view == CONSOLE_LOG && (command_ready || console_answering()))
			return;
		if (c == CTRL(']'))
			next_view();
		else if (view == CONSOLE_LOG)
			edit_char(c);
		else if (!console_guest_type((unsigned)view, c))
			return;
		first++;
	}
}

static void typed(char c)
{
	if (c == CTRL(']') && console_view() != CONSOLE_LOG) {
		take_typed();
		first = last; /* the guest may never take the rest */
		next_view();
	} else if (last - first < QUEUE) {
		queue[last++ % QUEUE] = c;
	}
}

static void read_typed(void)
{
	for (unsigned i = 0; i < READ_MOST; i++) {
		int key = keyboard_read(), c = key < 0 ? serial_read() : key;

		if (c >= 0)
			lively_until = rdtsc() + tsc_from_us(STAY_US);
		/* the line's silence counts for it as well */
		if (key >= 0 || (!(console_frames && console_frames->input(c, typed)) && c >= 0))
			typed((char)c);
		if (c < 0) {
			serial_irq_listen(SERIAL_FIRST);
			return;
		}
	}
}

void console_work(void)
{
	uint64_t now;
	bool lively;

	if (this_cpu() != home)
		return;
	read_typed();
	take_typed();
	lively = console_drain() || first != last;
	now = rdtsc();
	timer_set(&tick, now + tsc_from_us(lively || now < lively_until ? LIVELY_US : IDLE_US));
}

bool console_command_waiting(void)
{
	return command_ready && this_cpu() == home;
}

void console_command(void)
{
	if (!console_command_waiting())
		return;
	shell_run(command);
	command_ready = false;
	if (console_view() == CONSOLE_LOG)
		console_edit(line);
}
