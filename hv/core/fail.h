/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Errors: 0 or a negative enum lh_err. fail() logs where the error is born; callers pass it on.
 */
#pragma once

enum lh_err {
	LH_OK = 0,
	LH_NOMEM = -1,	 /* no memory of the kind wanted */
	LH_INVAL = -2,	 /* an argument or a table is wrong */
	LH_UNSUPP = -3,	 /* the machine lacks something */
	LH_TIMEOUT = -4, /* hardware did not answer within its bound */
	LH_NOENT = -5,	 /* not there */
	LH_BUSY = -6,	 /* in use */
	LH_FAULT = -7,	 /* guest address not in RAM */
	LH_AGAIN = -8,	 /* not yet: to be asked again */
};

#define __must_check __attribute__((warn_unused_result))

/* Logs "error: " and the text (what failed, on which object, the mend); returns err. */
int fail(enum lh_err err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What we promise, never what a guest, a device or a user can cause. */
#define assert(cond)                                                                               \
	((cond) ? (void)0 : panic("%s:%d: assertion failed: %s", __FILE__, __LINE__, #cond))

/* Registers, back trace, last log lines; event "panic"; stops all CPUs. */
_Noreturn void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
