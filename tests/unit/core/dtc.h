/* SPDX-License-Identifier: BSD-2-Clause */
/* Configs of the tests, as sources: dtc compiles them. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DTC_BLOB 65536

/* Into blob[DTC_BLOB]: its bytes. */
static size_t dtc_compile(const char *source, uint8_t *blob)
{
	int in[2], out[2], status;
	size_t bytes = 0;
	ssize_t got;

	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (!child) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[1]);
		execlp("dtc", "dtc", "-q", "-O", "dtb", "-", (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	assert_int_equal(write(in[1], source, strlen(source)), (ssize_t)strlen(source));
	close(in[1]);
	while ((got = read(out[0], blob + bytes, DTC_BLOB - bytes)) > 0)
		bytes += (size_t)got;
	close(out[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	return bytes;
}
