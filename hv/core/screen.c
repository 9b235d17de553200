/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `shown` is what the framebuffer shows, cell by cell; what the terminal has is compared to it, and
 * drawn where it differs. So text that has scrolled away before anybody had time costs nothing, and
 * the framebuffer is never read.
 */
#include "hv/core/screen.h"

#include <stdatomic.h>

#include "hv/core/framebuffer.h"
#include "hv/core/log.h"
#include "hv/core/log_impl.h"
#include "hv/core/paging.h"
#include "hv/core/pmm.h"
#include "hv/core/terminal.h"

#define PIECE_BYTES (16u * 1024) /* drawn at once */
#define NO_GLYPH    0xffffu

static struct framebuffer frame;
static uint64_t frame_hpa;
static struct terminal terminal;
static struct terminal_cell *shown; /* NULL: no screen */
static unsigned draw_at;	    /* the cell to look at next */
static unsigned same;		    /* cells before it, all around, that did not differ */
static _Atomic bool behind;

/* The reason why there is none, or NULL. */
static const char *begin(const struct handover_fb *told)
{
	const char *wrong = framebuffer_init(&frame, told);
	size_t cells = (size_t)frame.rows * frame.columns;
	struct terminal_cell *both;

	if (wrong)
		return wrong;
	if (!is_foreign(told->addr, framebuffer_bytes(&frame)))
		return "the firmware has it in memory that it has given to us";
	frame_hpa = told->addr;
	frame.memory = map_framebuffer(told->addr, framebuffer_bytes(&frame));
	both = page_alloc(2 * cells * sizeof(*both));
	if (!frame.memory || !both)
		return "no memory for it";
	terminal_init(&terminal, both, frame.rows, frame.columns);
	for (size_t i = 0; i < cells; i++)
		both[cells + i].glyph = NO_GLYPH;
	framebuffer_clear(&frame);
	shown = both + cells;
	return NULL;
}

/* No other CPU runs yet. */
void screen_init(const struct handover *h)
{
	static char text[8192];
	const char *wrong = begin(&h->fb);

	if (wrong) {
		log_printf("screen: none: %s", wrong);
		return;
	}
	screen_write_text(text, log_last(frame.rows, text, sizeof(text)));
	log_printf("screen: %u x %u pixels of %u bits, %u rows of %u characters", frame.width,
		   frame.height, frame.pixel_bytes * 8, frame.rows, frame.columns);
}

bool screen_present(void)
{
	return shown != NULL;
}

bool screen_behind(void)
{
	return atomic_load_explicit(&behind, memory_order_relaxed);
}

static void changed(void)
{
	same = 0;
	atomic_store_explicit(&behind, true, memory_order_relaxed);
}

void screen_write(const char *text, size_t bytes)
{
	if (!shown || !bytes)
		return;
	terminal_write(&terminal, text, bytes);
	changed();
}

void screen_write_text(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		if (text[i] == '\n')
			screen_write("\r", 1);
		screen_write(text + i, 1);
	}
}

void screen_plain(void)
{
	if (shown)
		terminal_plain(&terminal);
}

void screen_panic(void)
{
	static bool failed;

	if (failed)
		shown = NULL;
	failed = true;
	screen_plain();
}

void screen_release(uint64_t hpa, uint64_t bytes)
{
	uint64_t end = frame_hpa + framebuffer_bytes(&frame);
	bool ours = hpa < end && frame_hpa < hpa + bytes, locked;

	if (!shown || !ours)
		return;
	log_printf("screen: it is on a device that a VM gets: it shows nothing from here on");
	locked = log_lock_take(&log_lock);
	screen_draw_all();
	shown = NULL;
	if (locked)
		spin_unlock(&log_lock);
}

/* The cursor is a cell with its colours exchanged. */
static struct terminal_cell wanted(unsigned at)
{
	struct terminal_cell cell = terminal.cells[at];

	if (at == terminal.row * terminal.columns + terminal.column)
		return (struct terminal_cell){ cell.glyph, cell.back, cell.fore };
	return cell;
}

/* True: it had to be drawn. */
static bool draw_cell(unsigned at)
{
	struct terminal_cell cell = wanted(at), *old = &shown[at];

	if (cell.glyph == old->glyph && cell.fore == old->fore && cell.back == old->back)
		return false;
	framebuffer_draw(&frame, at / frame.columns, at % frame.columns, cell.glyph, cell.fore,
			 cell.back);
	*old = cell;
	return true;
}

bool screen_draw(void)
{
	unsigned cells = frame.rows * frame.columns, drawn = 0;

	if (!shown || !screen_behind())
		return false;
	for (; same < cells && drawn < PIECE_BYTES; same++) {
		if (draw_cell(draw_at))
			drawn += framebuffer_glyph_bytes(&frame);
		draw_at = (draw_at + 1) % cells;
	}
	if (same < cells)
		return true;
	atomic_store_explicit(&behind, false, memory_order_relaxed);
	return false;
}

void screen_draw_all(void)
{
	while (screen_draw())
		;
}
