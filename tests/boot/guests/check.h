/* SPDX-License-Identifier: BSD-2-Clause */
/* One line a check: "PASS|FAIL|SKIP name: fact". */
#pragma once

#include <stdbool.h>

#include "guest/lib/print.h"

static unsigned check_count, check_failures;

static inline bool check(bool ok, const char *name, const char *fact)
{
	print("%s %s: %s\n", ok ? "PASS" : "FAIL", name, fact);
	check_count++;
	check_failures += !ok;
	return ok;
}

static inline void skip(const char *name, const char *why)
{
	print("SKIP %s: %s\n", name, why);
}

/* The guest's end status: 0 if there were checks and none failed. */
static inline int check_status(void)
{
	print("%u checks, %u failed\n", check_count, check_failures);
	return check_failures || !check_count ? 1 : 0;
}
