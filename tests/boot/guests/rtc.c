/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does the real-time clock answer, as an MC146818A does: no update in progress for long, a date that
 * can be, in BCD, valid RAM, and seconds that pass as the TSC says? A wrong index does no harm.
 */
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/runtime.h"
#include "tests/boot/guests/check.h"

enum { INDEX = 0x70, DATA = 0x71, TRIES = 1000000, DAY_SECONDS = 86400, WAIT_MS = 1200 };
enum { SECONDS = 0, MINUTES = 2, HOURS = 4, DAY = 7, MONTH = 8, YEAR = 9, A = 10, B = 11, D = 13 };
enum { A_UPDATE = 0x80, B_BINARY = 0x04, B_24_HOUR = 0x02, D_VALID = 0x80 };

static uint8_t rtc(uint8_t index)
{
	out8(INDEX, index);
	return in8(DATA);
}

/* UINT32_MAX: no BCD */
static unsigned number(uint8_t index)
{
	uint8_t value = rtc(index);

	return value >> 4 > 9 || (value & 15) > 9 ? UINT32_MAX : (value >> 4) * 10u + (value & 15);
}

/* Seconds of the day; read until they are the same twice, as no update may come between. */
static unsigned time_of_day(void)
{
	unsigned last = UINT32_MAX, now = 0;

	for (unsigned i = 0; i < TRIES && now != last; i++) {
		last = now;
		now = number(HOURS) * 3600 + number(MINUTES) * 60 + number(SECONDS);
	}
	return now;
}

static void check_date(void)
{
	unsigned year = number(YEAR), month = number(MONTH), day = number(DAY);

	print("rtc: 20%u-%u-%u, second %u of the day\n", year, month, day, time_of_day());
	check(year >= 20 && year < 100 && month >= 1 && month <= 12 && day >= 1 && day <= 31,
	      "date", "the date can be");
	check(number(HOURS) < 24 && number(MINUTES) < 60 && number(SECONDS) < 60, "time",
	      "so can the time");
}

static void check_seconds(void)
{
	uint64_t end = rdtsc() + clock_ms(WAIT_MS);
	unsigned before = time_of_day(), passed;

	while (rdtsc() < end)
		clock_wait(end);
	passed = (time_of_day() + DAY_SECONDS - before) % DAY_SECONDS;
	/* what comes late is late: a busy machine may have run others meanwhile */
	check(passed >= 1 && passed <= clock_ns(rdtsc() - end) / 1000000000 + 2, "seconds",
	      "its seconds are the TSC's");
}

int guest_main(void)
{
	unsigned tries = 0;

	while (rtc(A) & A_UPDATE && tries < TRIES)
		tries++;
	check(tries < TRIES, "update", "no update is in progress for ever");
	check(rtc(D) & D_VALID, "valid", "RAM and time are valid");
	check((rtc(B) & (B_24_HOUR | B_BINARY)) == B_24_HOUR, "format", "24 hours, BCD");
	check_date();
	for (unsigned i = 0; i < 256; i++)
		(void)rtc((uint8_t)i);
	check_seconds();
	return check_status();
}
