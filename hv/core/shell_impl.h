/* SPDX-License-Identifier: BSD-2-Clause */
/* The shell's commands that ask the switch (shell_switch.c), for its table. */
#pragma once

void run_port(char **args, unsigned count);
void run_fdb(char **args, unsigned count);
void run_stat(char **args, unsigned count);
void run_set(char **args, unsigned count);
void stat_help(void);
void set_help(void);
