/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's clock is an MC146818A behind ports 0x70 and 0x71. It is read until two readings
 * agree with no update in between; a clock that is absent or tells nonsense gives a fixed date.
 */
#include "hv/core/wall.h"

#include <stdbool.h>

#include "hv/core/log.h"
#include "hv/core/timer.h"
#include "hv/cpu/x86.h"

#define PORT_INDEX  0x70
#define PORT_DATA   0x71
#define NMI_OFF	    0x80u	  /* bit 7 of the index; nobody uses NMIs through it */
#define FALLBACK    1767225600ull /* 2026-01-01 00:00:00 UTC */
#define READ_TRIES  100000u	  /* an update takes 2 ms, a port access about 1 us */
#define DAY_SECONDS 86400ull

/* MC146818A, "Address Map" */
enum {
	CMOS_SECONDS = 0,
	CMOS_MINUTES = 2,
	CMOS_HOURS = 4,
	CMOS_DAY = 7,
	CMOS_MONTH = 8,
	CMOS_YEAR = 9,
	CMOS_A = 10,
	CMOS_B = 11
};
#define A_UPDATING 0x80u
#define B_24_HOUR  0x02u
#define B_BINARY   0x04u
#define HOURS_PM   0x80u

struct reading {
	uint8_t second, minute, hour, day, month, year;
};

static uint64_t boot_ns, boot_tsc;

static uint8_t cmos(uint8_t index)
{
	outb(PORT_INDEX, NMI_OFF | index);
	return inb(PORT_DATA);
}

static struct reading read_once(void)
{
	return (struct reading){ cmos(CMOS_SECONDS), cmos(CMOS_MINUTES), cmos(CMOS_HOURS),
				 cmos(CMOS_DAY),     cmos(CMOS_MONTH),	 cmos(CMOS_YEAR) };
}

static bool same(const struct reading *a, const struct reading *b)
{
	return a->second == b->second && a->minute == b->minute && a->hour == b->hour &&
	       a->day == b->day && a->month == b->month && a->year == b->year;
}

static bool read_stable(struct reading *out)
{
	struct reading again;

	for (unsigned i = 0; i < READ_TRIES; i++) {
		if (cmos(CMOS_A) & A_UPDATING)
			continue;
		*out = read_once();
		if (cmos(CMOS_A) & A_UPDATING)
			continue;
		again = read_once();
		if (same(out, &again))
			return true;
	}
	return false;
}

static uint8_t from_bcd(uint8_t n)
{
	return (uint8_t)((n >> 4) * 10 + (n & 15));
}

static void to_binary(struct reading *r, uint8_t b)
{
	bool pm = r->hour & HOURS_PM;

	r->hour &= (uint8_t)~HOURS_PM;
	if (!(b & B_BINARY))
		*r =
			(struct reading){ from_bcd(r->second), from_bcd(r->minute),
					  from_bcd(r->hour),   from_bcd(r->day),
					  from_bcd(r->month),  from_bcd(r->year) };
	if (!(b & B_24_HOUR))
		r->hour = (uint8_t)(r->hour % 12 + (pm ? 12 : 0));
}

/* Days since 1970-01-01 of a date from 2000 to 2099, where every fourth year is a leap year. */
static uint64_t days_since_1970(const struct reading *r)
{
	static const uint16_t before[12] = {
		0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334
	};
	uint64_t days = 10957 + r->year * 365u + (r->year + 3u) / 4; /* 10957: 2000-01-01 */

	return days + before[r->month - 1] + (r->month > 2 && r->year % 4 == 0) + r->day - 1u;
}

void wall_init(void)
{
	struct reading r;
	uint64_t seconds = FALLBACK;
	bool good = read_stable(&r);

	if (good) {
		to_binary(&r, cmos(CMOS_B));
		good = r.second < 60 && r.minute < 60 && r.hour < 24 && r.day >= 1 && r.day <= 31 &&
		       r.month >= 1 && r.month <= 12 && r.year < 100;
	}
	if (good)
		seconds = days_since_1970(&r) * DAY_SECONDS + r.hour * 3600u + r.minute * 60u +
			  r.second;
	else
		log_printf("clock: the machine's tells no time: guests start at 2026-01-01");
	boot_tsc = rdtsc();
	boot_ns = seconds * 1000000000u;
}

uint64_t wall_ns_at(uint64_t tsc)
{
	return boot_ns + tsc_to_ns(tsc - boot_tsc);
}
