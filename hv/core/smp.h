/* SPDX-License-Identifier: BSD-2-Clause */
/* Starts the other CPUs (INIT-SIPI-SIPI, SDM 3A "MP Initialization"); one that does not answer
 * within its bound is left out with a log line. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Makes struct cpu of the boot CPU and loads it into GS. */
void smp_init_boot_cpu(void);

/* Starts all enabled CPUs of the MADT; each runs entry() on its own stack, tables loaded, local
 * APIC and timer ready, interrupts off. Returns when all are online. */
void smp_start(uint64_t trampoline, void (*entry)(void));

/* A moment of a wait for another CPU, which began at start_tsc and may take a minute: an emulator on
 * a busy machine takes its time. Then a panic names that CPU, and what was waited for. */
void cpu_await(uint64_t start_tsc, unsigned cpu, const char *what);

/* Stops all other CPUs (for a panic): NMI or mailbox, bounded. */
void smp_stop_others(void);

/* Whether a panic is stopping the machine: an NMI then means cpu_halt() (trap.h). */
bool smp_stopping(void);
