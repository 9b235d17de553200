/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the log lies (hv/core/log_area.h), and what the boot before has left in it. The places are the
 * same at each boot: the first that the firmware lets us have is taken, and as it uses its memory alike
 * each time, that is where the last boot's log is. All are looked at, since it need not be so. They are far
 * from the ends of memory, where firmware keeps what is its own.
 *
 * The other places may have been a guest's, which may have written there what it wants to be read. So the
 * generations begin with a number that no guest knows: beside a log at our own place, one elsewhere counts only
 * if it is of the next few boots.
 *
 * A firmware that clears memory at a reset leaves nothing to find; then nothing is told.
 */
#include "hv/boot/boot_impl.h"

#include "hv/core/log_area.h"
#include "hv/cpu/x86.h"

#define ONE_MIB (1ull << 20)

enum {
	FIRST_MIB = 64,
	STEP_MIB = 32,
	PLACES = 31, /* up to 1 GiB */
	DEAD_LINES = 40,
	DEAD_BYTES = 16384,
	NEAR = 16, /* boots */
};

static uint64_t newest; /* generation of the newest log so far; 0: there is none */

/* The last lines of the log here, if it is the newest so far: nothing, if it ended orderly. Our own first. */
static bool take(const struct log_area *area, char *lines)
{
	struct log_head head;

	if (!log_area_read(area, &head) || (newest && head.generation - newest > NEAR))
		return false;
	newest = head.generation;
	boot.handover->dead_bytes =
		head.orderly ? 0 : log_area_last(area, &head, DEAD_LINES, lines, DEAD_BYTES);
	return true;
}

struct log_area *log_area_find(void)
{
	char *lines = pages_alloc(DEAD_BYTES, PAGES_HANDOVER, UINT64_MAX);
	struct log_area *ours = NULL;

	newest = 0;
	if (!lines)
		return NULL;
	boot.handover->dead = (uintptr_t)lines;
	for (unsigned i = 0; i < PLACES; i++) {
		uint64_t place = (FIRST_MIB + (uint64_t)i * STEP_MIB) * ONE_MIB;
		struct log_area *area = pages_at(place, sizeof(*area));

		if (!area)
			continue;
		(void)take(area, lines);
		if (ours)
			pages_free_last();
		else
			ours = area;
	}
	if (!ours)
		ours = pages_alloc(sizeof(*ours), PAGES_HANDOVER, UINT64_MAX);
	if (ours)
		log_area_begin(ours, newest ? newest + 1 : rdtsc());
	return ours;
}
