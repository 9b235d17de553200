/* SPDX-License-Identifier: BSD-2-Clause */
/* The shell on the serial line: runs one command, and answers by console_printf(). */
#pragma once

/* Takes the line apart. On the console's CPU, with no vCPU in it and no lock held. */
void shell_run(char *line);
