/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the serial line shows, and the screen. All sources are fetched piece by piece into `stage`, in
 * their final form, and leave from there as the line takes them; a log line that must go out at once
 * first sends the rest of the stage, which therefore ends with a line's end. Order of the sources: the
 * log, the shell's answers, the guests' lines in turn, the prompt. What has left for the line is on the
 * screen, too (hv/core/screen.h); where there is no line, it takes all.
 *
 * Everything is under log_lock but the guests' rings, each of which has a lock of its own, held for
 * a copy: a guest that prints waits for nobody's serial line.
 */
#include "hv/core/console.h"

#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "hv/core/config.h"
#include "hv/core/console_impl.h"
#include "hv/core/fail.h"
#include "hv/core/log.h"
#include "hv/core/log_impl.h"
#include "hv/core/mgmt_frame.h"
#include "hv/core/pmm.h"
#include "hv/core/screen.h"
#include "hv/core/serial.h"
#include "hv/core/text_ring.h"

#define GUEST_LINE     256 /* characters of a guest's line shown in one */
#define PIECE	       256
#define STAGE_BYTES    1024
#define DRAIN_BYTES    64 /* in one console_drain(): what a line of 115200 baud takes in 5 ms */
#define FLUSH_PATIENCE 1000000u	  /* looks at a line that takes nothing: about a second */
#define ERASE	       "\r\x1b[K" /* ECMA-48: to the line's beginning, erase to its end */

/* [l] under log_lock */
static unsigned guest_turn;	 /* [l] whose line is next */
static int view = CONSOLE_LOG;	 /* [l] */
static bool fetched;		 /* [l] console_drain() is called, and fetches the log as well */
static uint64_t attached_at;	 /* [l] in a guest's view: shown up to here */
static struct text_ring answers; /* [l] of the shell */
static uint64_t answers_shown;	 /* [l] */

static char stage[STAGE_BYTES]; /* [l] on its way out: stage[stage_at .. stage_end) */
static unsigned stage_at, stage_end;
static bool stage_is_frame; /* [l] of the management channel: nothing for the screen */

static char edit[CONSOLE_EDIT]; /* [l] */
static bool editing;		/* [l] there is a prompt to show */
static bool edit_shown;		/* [l] the line shows it, and nothing came after it */
static bool edit_changed;	/* [l] it differs from what was shown */

const struct console_frames *console_frames; /* (c) after mgmt_start() */

static void send_stage(void)
{
	serial_write_raw(stage + stage_at, stage_end - stage_at);
	if (!stage_is_frame)
		screen_write(stage + stage_at, stage_end - stage_at);
	stage_at = stage_end = 0;
	stage_is_frame = false;
}

static void stage_byte(char c)
{
	if (stage_is_frame)
		send_stage(); /* text comes behind all of it */
	if (stage_end < STAGE_BYTES)
		stage[stage_end++] = c;
}

/* Text of our own: "\n" becomes CR LF. */
static void stage_text(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		if (text[i] == '\n')
			stage_byte('\r');
		stage_byte(text[i]);
	}
}

static void stage_string(const char *text)
{
	stage_text(text, strlen(text));
}

/* What comes now is no part of the prompt's line. */
static void stage_erase(void)
{
	if (edit_shown)
		stage_string(ERASE);
	edit_shown = false;
}

static void stage_left_out(const char *prefix, uint64_t bytes)
{
	char note[80];

	snprintf(note, sizeof(note), "%s[%llu bytes left out]\n", prefix,
		 (unsigned long long)bytes);
	stage_string(note);
}

static void leave_view(void)
{
	struct guest_text *g = &console_guests[view];

	if (g->shown < attached_at)
		g->shown = attached_at; /* was seen */
}

/* Under log_lock. */
static void set_view(int next)
{
	if (view != CONSOLE_LOG)
		leave_view();
	view = next;
	stage_erase();
	stage_string("\n[");
	stage_string(view == CONSOLE_LOG ? "log and shell" : console_guests[view].name);
	stage_string(": Ctrl-] for the next console]\n");
	screen_plain();
	attached_at = view == CONSOLE_LOG ? 0 : text_ring_oldest(&console_guests[view].ring);
}

/* An empty ring with that memory (NULL: none), for that name. Returns the memory that it had. */
void console_leave_guest(unsigned vm)
{
	if (view != (int)vm)
		return;
	set_view(CONSOLE_LOG);
	editing = edit_changed = true;
}

int console_init(const struct config *config)
{
	answers.text = page_alloc(CONSOLE_RING_BYTES);
	if (!answers.text)
		return fail(LH_NOMEM, "console: no memory");
	answers.bytes = CONSOLE_RING_BYTES;
	for (unsigned i = 0; i < config->vm_count; i++) {
		int err = console_guest_add(i, config->vms[i].name);

		if (err < 0)
			return err;
	}
	return 0;
}

static bool fill_log(void)
{
	char text[PIECE];
	uint64_t lost;
	size_t n = log_unshown(text, sizeof(text), &lost);

	if (n)
		stage_erase();
	if (lost)
		stage_left_out("", lost);
	stage_text(text, n);
	return n != 0;
}

/* Whole lines, as many as fit: a line of the log may come between them. */
static bool fill_answers(void)
{
	uint64_t oldest = text_ring_oldest(&answers);
	char text[PIECE];
	size_t n, whole;

	if (answers_shown == answers.total)
		return false;
	stage_erase();
	if (answers_shown < oldest) {
		stage_left_out("", oldest - answers_shown);
		answers_shown = oldest;
	}
	n = text_ring_copy(&answers, answers_shown, text, sizeof(text));
	for (whole = n; whole && text[whole - 1] != '\n'; whole--)
		;
	if (whole)
		n = whole;
	stage_text(text, n);
	answers_shown += n;
	return true;
}

/* How many bytes the character has that is there; 0: it is a control, or no whole character (Unicode Standard,
 * table "Well-Formed UTF-8 Byte Sequences"). Terminals take U+0080 to U+009F for controls in either form. */
static size_t printable(const char *text, size_t left)
{
	const uint8_t *c = (const uint8_t *)text;
	size_t bytes = c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;

	if (c[0] < 0x80)
		return (c[0] >= ' ' && c[0] != 0x7f) || c[0] == '\t';
	if (c[0] < 0xc2 || c[0] > 0xf4 || bytes > left)
		return 0;
	for (size_t i = 1; i < bytes; i++)
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	if ((c[0] == 0xc2 && c[1] < 0xa0) || (c[0] == 0xe0 && c[1] < 0xa0) ||
	    (c[0] == 0xed && c[1] > 0x9f) || (c[0] == 0xf0 && c[1] < 0x90) ||
	    (c[0] == 0xf4 && c[1] > 0x8f))
		return 0;
	return bytes;
}

/* A guest's control characters must not reach the reader's terminal here: they show as '.'. */
static void stage_guest_line(const char *name, const char *line, size_t length)
{
	stage_erase();
	stage_string(name);
	stage_string("| ");
	for (size_t i = 0, n; i < length; i += n ? n : 1) {
		n = printable(line + i, length - i);
		if (n)
			stage_text(line + i, n);
		else if (line[i] != '\r')
			stage_byte('.');
	}
	stage_string("\n");
}

/* The reader is too slow: he gets the newest quarter, so that he is not left behind again at once.
 * Under the ring's lock. Returns how much he misses. */
static uint64_t skip_overwritten(struct guest_text *g)
{
	uint64_t from = g->shown;

	if (from >= text_ring_oldest(&g->ring))
		return 0;
	g->shown = g->ring.total - g->ring.bytes / 4;
	return g->shown - from;
}

static bool fill_guest(struct guest_text *g)
{
	char line[GUEST_LINE], prefix[CONFIG_MAX_NAME + 3];
	uint64_t lost, total;
	size_t n, length = 0;

	spin_lock(&g->lock);
	total = g->ring.total;
	lost = skip_overwritten(g);
	n = g->seen == total ? 0 : text_ring_copy(&g->ring, g->shown, line, sizeof(line));
	spin_unlock(&g->lock);
	if (lost) {
		snprintf(prefix, sizeof(prefix), "%s| ", g->name);
		stage_erase();
		stage_left_out(prefix, lost);
		return true;
	}
	while (length < n && line[length] != '\n')
		length++;
	if (length == n && n < sizeof(line)) {
		g->seen = total;
		return false;
	}
	g->shown += length < n ? length + 1 : n;
	stage_guest_line(g->name, line, length);
	return true;
}

static bool fill_guests(void)
{
	for (unsigned i = 0; i < console_guest_count; i++) {
		guest_turn = (guest_turn + 1) % console_guest_count;
		if (fill_guest(&console_guests[guest_turn]))
			return true;
	}
	return false;
}

static bool fill_edit(void)
{
	if (!editing || (edit_shown && !edit_changed))
		return false;
	stage_string(ERASE CONSOLE_PROMPT);
	stage_string(edit);
	edit_shown = true;
	edit_changed = false;
	return true;
}

void console_use_frames(const struct console_frames *ops)
{
	console_frames = ops;
}

static bool framed(void)
{
	return console_frames && console_frames->open();
}

/* A guest's own console: its bytes as they are. */
static bool fill_attached(struct guest_text *g)
{
	char text[PIECE];
	uint64_t lost = 0, oldest;
	size_t n;

	spin_lock(&g->lock);
	oldest = text_ring_oldest(&g->ring);
	if (attached_at < oldest) {
		lost = oldest - attached_at;
		attached_at = oldest;
	}
	n = text_ring_copy(&g->ring, attached_at, text, sizeof(text));
	spin_unlock(&g->lock);
	if (lost)
		stage_left_out("\n", lost);
	attached_at += n;
	for (size_t i = 0; i < n; i++)
		stage_byte((uint8_t)text[i] == FRAME_DELIMITER && framed() ? '?' : text[i]);
	return n != 0;
}

/* A frame of the management channel goes between two texts, in turn with them. */
static bool fill_frame(void)
{
	static bool texts_turn; /* [l] */

	texts_turn = !texts_turn;
	if (texts_turn)
		return false;
	if (console_frames)
		stage_end = (unsigned)console_frames->output(stage, STAGE_BYTES);
	stage_is_frame = stage_end != 0;
	return stage_is_frame;
}

static bool fill_text(void)
{
	if (view != CONSOLE_LOG)
		return fill_attached(&console_guests[view]);
	return fill_log() || fill_answers() || (edit_changed && fill_edit()) || fill_guests() ||
	       fill_edit();
}

/* False: nothing waits. */
static bool fill(void)
{
	if (stage_at < stage_end)
		return true;
	stage_at = stage_end = 0;
	stage_is_frame = false;
	return fill_frame() || fill_text() || fill_frame();
}

/* As much as the line takes at once: how many bytes; *more: others wait, or the screen. */
static unsigned drain(bool *more)
{
	bool locked = log_lock_take(&log_lock);
	unsigned left = DRAIN_BYTES;

	while (left && (*more = fill())) {
		unsigned wanted = stage_end - stage_at < left ? stage_end - stage_at : left;
		unsigned sent = (unsigned)serial_write_some(stage + stage_at, wanted);

		if (!sent)
			break;
		if (!stage_is_frame)
			screen_write(stage + stage_at, sent);
		stage_at += sent;
		left -= sent;
	}
	*more = screen_draw() || *more;
	if (locked)
		spin_unlock(&log_lock);
	return DRAIN_BYTES - left;
}

bool console_drain(void)
{
	bool more = true;

	fetched = true;
	(void)drain(&more);
	return more;
}

/* Others may log meanwhile: the lock is free while the line is busy. */
void console_flush(size_t bytes)
{
	size_t sent = 0;
	bool more = true;

	for (unsigned idle = 0; more && sent < bytes && idle < FLUSH_PATIENCE; idle++) {
		unsigned n = drain(&more);

		sent += n;
		if (n)
			idle = 0;
		else
			__builtin_ia32_pause();
	}
}

bool console_idle(void)
{
	bool more;

	if (!screen_behind() || !spin_trylock(&log_lock))
		return false;
	more = screen_draw();
	spin_unlock(&log_lock);
	return more;
}

void console_show(const char *text, size_t bytes)
{
	serial_write(text, bytes);
	screen_write_text(text, bytes);
}

bool console_log_line(const char *text, size_t bytes)
{
	if (fetched || view != CONSOLE_LOG)
		return false;
	stage_erase();
	send_stage();
	console_show(text, bytes);
	screen_draw_all();
	return true;
}

void console_panic(void)
{
	if (view != CONSOLE_LOG || edit_shown) {
		stage_at = stage_end = 0;
		stage_string("\n");
	}
	screen_panic();
	send_stage();
	fetched = false;
	view = CONSOLE_LOG;
	editing = edit_shown = false;
}

int console_view(void)
{
	return view; /* changed by the one CPU that asks */
}

void console_next_view(void)
{
	bool locked = log_lock_take(&log_lock);
	int next = view;

	do
		next = next + 1 < (int)console_guest_count ? next + 1 : CONSOLE_LOG;
	while (next != CONSOLE_LOG && !console_guests[next].ring.text);
	set_view(next);
	if (locked)
		spin_unlock(&log_lock);
}

void console_edit(const char *text)
{
	bool locked = log_lock_take(&log_lock);

	editing = text != NULL;
	edit_changed = editing;
	if (text)
		snprintf(edit, sizeof(edit), "%s", text);
	if (locked)
		spin_unlock(&log_lock);
}

bool console_answering(void)
{
	return answers_shown !=
	       answers.total; /* the CPU that asks is the one that puts and shows */
}

void console_write(const char *text, size_t bytes)
{
	bool locked = log_lock_take(&log_lock);

	text_ring_put(&answers, text, bytes);
	if (locked)
		spin_unlock(&log_lock);
}

void console_printf(const char *fmt, ...)
{
	char text[PIECE];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n >= (int)sizeof(text)) {
		n = sizeof(text) - 1;
		text[n - 1] = '\n';
	}
	console_write(text, (size_t)n);
}
