/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The core as the guest's devices see it, faked: memory with a failure counter, a VM with vCPUs
 * that run nowhere, a log. Include this before cmocka.h (both have a fail()).
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "hv/core/percpu.h"
#include "hv/core/vcpu.h"
#include "hv/core/vm.h"

#define FAKE_VCPUS 3
#define FAKE_RAM   (4u << 20)

extern struct config_vm fake_config; /* name "vm" */
extern struct vm fake_vm;	     /* its RAM: FAKE_RAM bytes from 0, tables in the last 64 KiB */
extern struct vcpu fake_vcpu[FAKE_VCPUS];
extern struct cpu fake_cpu; /* this_cpu() */
extern unsigned fake_kicks[FAKE_VCPUS];
extern unsigned fake_notified[FAKE_VCPUS]; /* of them, by vcpu_notify() */
extern unsigned fake_signals[FAKE_VCPUS];  /* enum vcpu_signal */
extern unsigned fake_sipi;		   /* vector of the last signal */
extern uint32_t fake_posted;		   /* mailbox bits sent */
extern void (*fake_await)(unsigned cpu);   /* cpu_await(), which panics without */
#define FAKE_DATE 1767225600ull		   /* 2026-01-01 00:00:00 UTC, in seconds since 1970 */

extern char fake_result[256];	    /* last report_guest_result() */
extern const char *fake_end;	    /* of the last vm_end() */
extern char fake_console[4096];	    /* what the guest printed, as far as it fits */
extern uint64_t fake_console_total; /* so many characters */
extern unsigned fake_log_lines;
extern bool fake_log_full;	 /* the limit of lines a second is reached */
extern long fake_alloc_fail;	 /* the n-th page_alloc() from now fails; negative: none */
extern long fake_allocs;	 /* not freed yet */
extern uint64_t fake_delayed_us; /* all delay_us() together */

/* All as at the start, with this many vCPUs, without platform. */
void fake_reset(unsigned vcpus);

/* A seeded sequence (xorshift). */
uint64_t fake_random(uint64_t *state);

/* How many rounds a seeded test makes: `quick`, or 50 times that with LASTHOP_SOAK. */
unsigned fake_rounds(unsigned quick);
