/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The clock's registers, derived from the time of day whenever they are read.
 */
#include "hv/dev/rtc.h"

#include "hv/core/fail.h"
#include "hv/core/guest_map.h"
#include "hv/core/list.h"
#include "hv/core/wall.h"
#include "hv/cpu/x86.h"

#define DAY_SECONDS   86400u
#define REG_B_24_HOUR 0x02u /* and BCD, bit 2 being clear */
#define REG_D_VALID   0x80u

/* MC146818A, figure "Address Map" */
enum rtc_index {
	RTC_SECONDS = 0,
	RTC_MINUTES = 2,
	RTC_HOURS = 4,
	RTC_WEEKDAY = 6,
	RTC_DAY = 7,
	RTC_MONTH = 8,
	RTC_YEAR = 9,
	RTC_A = 10,
	RTC_B = 11,
	RTC_C = 12,
	RTC_D = 13,
	RTC_CENTURY = 0x32,
};

struct date {
	unsigned year, month, day;
};

static bool leap(unsigned year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* days: since 1970-01-01; the VM will not live for centuries. */
static struct date date_of(uint64_t days)
{
	static const uint8_t month_days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	struct date d = { .year = 1970, .month = 1 };

	while (days >= 365u + leap(d.year))
		days -= 365u + leap(d.year++);
	for (;;) {
		unsigned in_month = month_days[d.month - 1] + (d.month == 2 && leap(d.year));

		if (days < in_month)
			break;
		days -= in_month;
		d.month++;
	}
	d.day = (unsigned)days + 1;
	return d;
}

static uint8_t bcd(unsigned n)
{
	return (uint8_t)(n / 10 % 10 << 4 | n % 10);
}

uint8_t rtc_register(unsigned index, uint64_t seconds)
{
	struct date d = date_of(seconds / DAY_SECONDS);

	switch (index) {
	case RTC_SECONDS:
		return bcd(seconds % 60);
	case RTC_MINUTES:
		return bcd(seconds / 60 % 60);
	case RTC_HOURS:
		return bcd(seconds / 3600 % 24);
	case RTC_WEEKDAY: /* Sunday is 1; 1970 began on a Thursday */
		return bcd((seconds / DAY_SECONDS + 4) % 7 + 1);
	case RTC_DAY:
		return bcd(d.day);
	case RTC_MONTH:
		return bcd(d.month);
	case RTC_YEAR:
		return bcd(d.year % 100);
	case RTC_CENTURY:
		return bcd(d.year / 100);
	case RTC_B:
		return REG_B_24_HOUR;
	case RTC_D:
		return REG_D_VALID;
	default: /* A: no update in progress; C: no interrupt; the RAM is empty */
		return 0;
	}
}

static void rtc_access(struct bus_region *region, struct bus_access *access)
{
	struct rtc *rtc = container_of(region, struct rtc, region);
	uint64_t seconds = wall_ns_at(rdtsc()) / 1000000000u;

	spin_lock(&rtc->lock);
	if (access->offset == 0 && access->write)
		rtc->index = access->value & 0x7f; /* bit 7 gates NMIs on a PC */
	else if (access->offset == 0)
		access->value = 0xff; /* write-only */
	else if (!access->write)
		access->value = rtc_register(rtc->index, seconds);
	spin_unlock(&rtc->lock);
}

int rtc_init(struct rtc *rtc, struct bus *io)
{
	rtc->region = (struct bus_region){ .bytes = 2, .widest = 1, .access = rtc_access };
	if (!bus_map(io, &rtc->region, GUEST_RTC_PORT))
		return fail(LH_INVAL, "rtc: its ports overlap a device");
	return 0;
}
