/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * No interrupt is lost that is requested through a posted-interrupt descriptor (hv/cpu/vapic.h:
 * posted_put, posted_take; hv/dev/vlapic_irq.c: vlapic_accept, deliver_to; hv/core/vcpu.c: vcpu_notify,
 * block, ready; hv/cpu/vmx/apicv.c and the processor's posted-interrupt processing). Two devices on CPUs
 * of their own request a vector each of one vCPU, one of them again, which runs on one of two CPUs at a
 * time; only who requests first tells it: by an IPI that makes it leave the guest while its APIC is not
 * virtualised, by a notification while it is. The vCPU computes, halts, loses its CPU and goes on on the
 * other one, and switches virtualisation on or off, at any time. Who wakes it and how it finds a CPU is
 * vcpu_wake.pml's: here it becomes RUNNING at once. Steps are interleaved as in sequentially consistent
 * memory, which the code asks for at each of these accesses.
 * Claim: when everything has come to rest, the vCPU has taken every interrupt requested.
 */
#ifndef TAKE_AT_ENTRY
#define TAKE_AT_ENTRY 1 /* vlapic_before_entry(), vlapic_irq_pending(): vlapic_take_requests() */
#endif
#ifndef NOTIFICATION_FIRST
#define NOTIFICATION_FIRST 1 /* posted_take(): `outstanding` before the requests */
#endif
#ifndef SECOND_LOOK
#define SECOND_LOOK 1 /* block(): requests are taken again, BLOCKED already */
#endif
#define DEVICES 2
#define EACH	2 /* requests of the first device; one less of the second */

mtype = { RUNNING, RUNNABLE, BLOCKED };

mtype state = RUNNING;
byte where = 0;		      /* struct vcpu ->cpu */
bool posting = false;	      /* struct vcpu ->posting */
bool request[DEVICES] = false; /* PIR */
bool outstanding = false;     /* ON */
bool irr[DEVICES] = false;
bool ipi[2] = false;	      /* a CPU's: mailbox IPI, makes a guest leave */
bool notification[2] = false; /* a CPU's: pending notification vector */

/* vlapic_accept(), vcpu_notify() */
active [DEVICES] proctype device()
{
	byte n = 0, cpu = 0;
	bool tell = false;
	mtype seen = 0;

	do
	:: n < EACH - _pid ->
		atomic { n++; request[_pid] = true };
		atomic { tell = !outstanding; outstanding = true };
		if
		:: tell ->
			seen = state;
			if
			:: seen == RUNNING ->
				if
				:: posting -> cpu = where; notification[cpu] = true
				:: else ->
					seen = state; /* vcpu_kick() */
					if
					:: seen == RUNNING -> cpu = where; ipi[cpu] = true
					:: else
					fi
				fi
			:: else
			fi;
			if
			:: seen == BLOCKED ->
				atomic {
					if
					:: state == BLOCKED -> state = RUNNABLE
					:: else
					fi
				}
			:: else
			fi
		:: else
		fi;
		atomic { tell = false; cpu = 0; seen = 0 }
	:: else -> break
	od
}

/* posted_take(), by software, or by the processor when a notification comes */
inline take()
{
	if
	:: outstanding ->
		if
		:: NOTIFICATION_FIRST -> outstanding = false
		:: else
		fi;
		atomic { irr[0] = irr[0] || request[0]; request[0] = false };
		atomic { irr[1] = irr[1] || request[1]; request[1] = false };
		if
		:: !NOTIFICATION_FIRST -> outstanding = false
		:: else
		fi
	:: else
	fi
}

/* In the guest: whatever is in IRR is delivered. */
inline deliver()
{
	atomic { irr[0] = false; irr[1] = false }
}

active proctype vcpu()
{
	do
	::
		if /* between exits: interrupts_take(), or the CPU does something else before */
		:: true -> atomic { ipi[where] = false; notification[where] = false }
		:: true
		fi;
		if
		:: TAKE_AT_ENTRY || !posting -> take()
		:: else
		fi;
		deliver();
		if
		:: true -> /* it computes, until something makes it leave */
end_guest:		do
			:: posting && notification[where] ->
				notification[where] = false;
				take();
				deliver()
			:: ipi[where] || (!posting && notification[where]) -> break
			od
		:: true -> posting = !posting
		:: true -> /* its slice is over */
			state = RUNNABLE;
			where = 1 - where;
			state = RUNNING
		:: true -> /* it halts: block() */
			state = BLOCKED;
			if
			:: SECOND_LOOK -> take()
			:: else
			fi;
			if
			:: irr[0] || irr[1]
			:: else ->
end_blocked:			state == RUNNABLE
			fi;
			state = RUNNING
		fi
	od
}

/* When nothing else can move. */
active proctype rest()
{
	timeout;
	assert(!request[0] && !request[1] && !irr[0] && !irr[1])
}
