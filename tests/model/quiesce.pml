/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory of a VM that has ended is freed only when no CPU holds a pointer into it, be it a nested
 * translation in its TLB or one that the switch took for a pass of the run loop (hv/core/quiesce.c:
 * quiesce; hv/core/sched.c: sched_mail). One CPU reaps, one VM after the other; another goes round
 * its run loop: takes its mail, drops what it holds if asked to, and may then use the VM if that
 * still lives. Claim: when quiesce() comes back, nothing of the VM is held.
 */
#ifndef COUNT_FLUSHES
#define COUNT_FLUSHES 1 /* sched_mail(): count after a flush, not after every pass */
#endif
#define VMS 3

bool alive = true;
bool mail = false;  /* MB_FLUSH */
bool held = false;
byte answers = 0;   /* struct cpu ->flushes */

active proctype reaper()
{
	byte vm = 0, seen;

	do
	:: vm < VMS ->
		alive = false; /* its last vCPU is out, its ports are gone */
		seen = answers;
		mail = true;
		answers != seen;
		assert(!held);
		vm++;
		alive = true /* the next one is made in its place */
	:: else -> break
	od
}

active proctype cpu()
{
	bool asked;

end:	do
	:: atomic { asked = mail; mail = false }
		if
		:: asked -> held = false
		:: else
		fi;
		if
		:: asked || !COUNT_FLUSHES -> answers = (answers + 1) % 16
		:: else
		fi;
		if
		:: alive -> held = true /* and is on its way with it until the next pass */
		:: else
		fi
	od
}
