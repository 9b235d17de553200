/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Remapping units for the tests of VT-d: registers, global commands and the invalidation queue as
 * the VT-d specification has them, strict about the order of things; memory with a failure counter,
 * and a log to look into. Include this before cmocka.h (both have a fail()).
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "hv/dev/vtd_impl.h"

#define SIM_UNITS   2
#define SIM_BASE(i) (0xfed90000ull + 0x1000 * (i))
#define SIM_RECORDS 4
#define SIM_FRO	    0x200u
#define SIM_SEEN    4096u

/* aw-bits=48 of QEMU, with four fault recording registers */
#define SIM_CAP                                                                                    \
	(6 | CAP_SAGAW_39 | CAP_SAGAW_48 | 47ull << 16 | (SIM_FRO / 16ull) << 24 | CAP_SLLPS_2M |  \
	 CAP_SLLPS_1G | (SIM_RECORDS - 1ull) << 40)
#define SIM_ECAP (ECAP_QI | ECAP_IR)

struct sim_unit {
	uint64_t cap, ecap, rtaddr, irta, iqa;
	uint32_t gsts, fsts, pmen, iqh, iqt, fectl;
	struct vtd_entry record[SIM_RECORDS]; /* fault recording registers */
	unsigned next_record;

	uint64_t root, irtes;		 /* as of SRTP and SIRTP */
	struct vtd_entry seen[SIM_SEEN]; /* descriptors done, wait descriptors apart */
	unsigned seen_count, waits;
	bool stale_context, stale_iotlb,
		stale_irtes; /* a table was set, nothing invalidated since */
	unsigned unblocked;  /* times that translation went off */
	unsigned writes;

	uint32_t deaf;	    /* bits of GCMD that it does not obey */
	int bad_in;	    /* the descriptor after so many is refused; negative: none */
	bool dead;	    /* processes none */
	bool keeps_regions; /* PMEN does nothing */
};

extern struct sim_unit sim[SIM_UNITS];
extern char sim_log[8192];
extern unsigned sim_errors; /* by fail() */
extern int sim_pages;	    /* in use */
extern int sim_pages_left;  /* until page_alloc() fails; negative: never */
extern uint64_t sim_written_back;
extern bool sim_x2apic;
extern bool sim_foreign;   /* the region of the RMRR is firmware's memory */
extern bool sim_bridge;	   /* 00:14.0 is a bridge, with buses 5 and 6 behind it */
extern jmp_buf *sim_panic; /* where panic() goes */

/* The log has that text. */
void assert_log(const char *text);
/* All as after a reset; vtd, too. */
void sim_reset(void);
/* vtd_start() with a table DMAR of so many units, the last of which covers all the rest: 00:02.0 is
 * the first's where there are two. 00:14.0 has an RMRR, 0x7f000000 to 0x7f0fffff, I/O APIC 8 is
 * ff:00.0. */
int sim_start(unsigned units);
/* Firmware has these on, with a root table and a queue of its own. */
void sim_firmware(unsigned unit, uint32_t gsts, uint64_t mode);
void sim_fault(unsigned unit, uint16_t source, uint8_t reason, bool read, uint64_t info);
/* Root or context entry of a device, as the unit reads it. */
struct vtd_entry sim_root(unsigned unit, uint8_t bus);
struct vtd_entry sim_context(unsigned unit, struct pci_address device);
struct vtd_entry sim_irte(unsigned unit, unsigned handle);
/* The descriptors that came since `from` include this one. */
bool sim_saw(unsigned unit, unsigned from, uint64_t lo);
