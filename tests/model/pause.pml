/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The devices of a VM that is paused stand still only while none of its vCPUs is in the guest, and then they do
 * (hv/core/vm_command.c: pause, vm_paused_out; hv/core/vcpu.c: vcpu_kick, ready, block). Two vCPUs compute, lose their
 * CPU, and leave the guest when they are kicked; the user pauses the VM, resumes it, and pauses it again. Steps are
 * interleaved as in sequentially consistent memory, which the code asks for at each of these accesses.
 * Claim: no vCPU is in the guest while the devices stand still; when everything has come to rest, they do.
 */
#ifndef LAST_ONE
#define LAST_ONE 1 /* block(): vm_paused_out() */
#endif
#ifndef WHEN_OUT
#define WHEN_OUT 1 /* vm_paused_out(): only if no vCPU is RUNNING */
#endif
#define VCPUS  2
#define PAUSES 2

mtype = { RUNNING, RUNNABLE, BLOCKED };

mtype state[VCPUS] = RUNNABLE;
bool ipi[VCPUS] = false; /* pending for the CPU it runs on */
bool paused = false;	 /* struct vm ->paused */
bool silent = false;	 /* its devices */
bool lock = false;	 /* struct vm ->lock */
byte inside = 0;	 /* vCPUs in the guest */

/* vm_paused_out(); the states are read one by one */
inline paused_out()
{
	atomic { !lock -> lock = true };
	if
	:: paused ->
		if
		:: !WHEN_OUT || state[0] != RUNNING ->
			if
			:: !WHEN_OUT || state[1] != RUNNING -> atomic { silent = true; assert(inside == 0) }
			:: else
			fi
		:: else
		fi
	:: else
	fi;
	lock = false
}

proctype vcpu(byte me)
{
end_out:
	do
	:: atomic { state[me] == RUNNABLE -> state[me] = RUNNING }; /* next_vcpu() */
		do
		:: paused -> /* ready(); then block() */
			state[me] = BLOCKED;
			if
			:: paused ->
				if
				:: LAST_ONE -> paused_out()
				:: else
				fi;
				break
			:: else -> /* it looks again */
				atomic {
					if
					:: state[me] == BLOCKED -> state[me] = RUNNING
					:: else -> break
					fi
				}
			fi
		:: !paused ->
			if
			:: true -> /* enter() */
				atomic { inside++; assert(!silent) };
end_guest:			atomic { ipi[me] -> ipi[me] = false; inside-- }
			:: true -> state[me] = RUNNABLE; break /* its slice is over */
			fi
		od
	od
}

inline kick(who)
{
	seen = state[who];
	if
	:: seen == BLOCKED ->
		atomic {
			if
			:: state[who] == BLOCKED -> state[who] = RUNNABLE
			:: else
			fi
		}
	:: seen == RUNNING -> ipi[who] = true
	:: else
	fi
}

active proctype user()
{
	mtype seen;
	byte n = 0;

	do
	:: n < PAUSES ->
		n++;
		paused = true;
		kick(0);
		kick(1);
		paused_out();
		if
		:: n < PAUSES ->
			atomic { !lock -> lock = true };
			silent = false;
			paused = false;
			lock = false;
			kick(0);
			kick(1)
		:: else
		fi
	:: else -> break
	od
}

init
{
	atomic { run vcpu(0); run vcpu(1) }
}

/* When nothing else can move. */
active proctype rest()
{
	timeout;
	assert(paused && silent && inside == 0)
}
