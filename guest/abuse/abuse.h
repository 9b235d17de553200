/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hostile guest: each category is one function that does one wild thing, told by a random
 * number generator that is seeded anew for each round, so that any round can be had again.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* One act of a category. It may fault, hang or never come back: attempt() sees to that. */
typedef void abuse_act(void);

struct category {
	const char *name;
	abuse_act *act;
	abuse_act *mend;   /* after each round, may be NULL: what the next rounds need */
	unsigned limit_ms; /* for the act */
};

/* random.c: of the round that runs */
void random_seed(uint64_t seed, uint64_t stream, uint64_t round);
uint64_t random_u64(void);
uint64_t random_below(uint64_t n); /* n > 0 */
bool one_in(unsigned n);
uint64_t random_value(void); /* often a corner case: 0, all ones, one bit, … */
/* No address of interrupt messages, if set: for devices of the machine, whose messages QEMU's VT-d passes. */
extern bool random_spares_messages;
uint64_t random_address(void); /* guest-physical: in devices, in and near the end of RAM, nowhere */
uint64_t random_device(void);  /* in a device's memory */
void *random_arena(unsigned bytes, unsigned align); /* memory that nothing depends on */

/* True now and then if boot argument fatal=N (one time in N) allows what is known to end the VM. */
bool fatal_chance(void);
void fatal_set(uint64_t one_in_n);

/* Whether code may have the address-size prefix: Bochs's fast string copies end the emulator on
 * it (failed assertion in cpu/faststring.cc). */
extern bool address_prefix;

/* memory.c */
enum { ARENA_BYTES = 4 << 20 };
void arena_find(void); /* ends the guest if there is too little RAM */
uint64_t arena_base(void);
uint64_t ram_end(void); /* the first address behind RAM */

/* recover.c, attempt.S: the act ends by itself, by an exception, or by time. */
void recover_init(void);
void attempt(abuse_act *act, unsigned limit_ms);
void attempt_mend(abuse_act *mend);
bool attempt_call(abuse_act *act); /* true: it was cut off */
_Noreturn void attempt_leave(void);
_Noreturn void attempt_user(const uint64_t regs[16],
			    uint64_t rip); /* to ring 3, GPRs by number; 4 is RSP */
void recover_interrupt(unsigned vector);
void recover_own_gs(void);     /* GS base as it is now is to be put back from now on */
extern unsigned recover_steps; /* with the trap flag set: instructions left until it is cut off */
extern uint64_t recover_faults, recover_timeouts;

/* The categories */
abuse_act act_msr, act_mmio, act_vq, act_pci, act_apic, act_io, act_hcall, act_cr, act_insn;
abuse_act act_storm, act_race, act_reset;
abuse_act mend_vq, mend_pci, mend_apic, mend_cr;
void race_begin(uint64_t seed);			 /* starts the second vCPU, if there is one */
void vq_scribble(uint64_t where, uint64_t what); /* into the rings, from another vCPU */
