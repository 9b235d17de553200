/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * No wake-up is lost: the transmit queue's kick re-arm (vswitch/service.c: port_service, serve,
 * arm_if_empty; vswitch/vq_split.c: vq_arm_kick). A driver puts PACKETS chains one by one and kicks
 * when the device has asked for it; a kick, and work that is due, may be taken by either of two CPUs;
 * the queue has a try-lock with a mark "look again". Steps are interleaved as in sequentially
 * consistent memory, which the code asks for at each of these accesses.
 * Claim: when everything has come to rest, every chain was taken, and taken by one CPU only.
 */
#define PACKETS 4
#define QUOTA   2

byte avail = 0;        /* driver's index */
byte event = 0;        /* the device wants a kick when this chain is put */
byte taken = 0;        /* device's position: of the CPU that holds busy */
bool busy = false, again = false;
byte kicks = 0;        /* kicks and announced work that no CPU has picked up yet */
byte serving = 0;

active proctype driver()
{
	byte old;

	do
	:: avail < PACKETS ->
		old = avail;
		avail = avail + 1;
		/* vring_need_event(event, old + 1, old) */
		if
		:: event == old -> kicks = kicks + 1
		:: else
		fi
	:: else -> break
	od
}

active [2] proctype cpu()
{
	byte quota, pending;
	bool was_busy, idle;

end_wait:
	do
	:: atomic { kicks > 0 -> kicks = kicks - 1 };
		/* fetch_or(BUSY | AGAIN) */
		atomic { was_busy = busy; busy = true; again = true };
		if
		:: was_busy -> goto end_wait
		:: else
		fi;
		quota = QUOTA;
round:
		again = false;
		idle = false;
		do
		:: quota > 0 && !idle ->
			serving++;
			assert(serving == 1);
			event = taken - 1; /* disarm(): already passed */
			pending = avail - taken;
			if
			:: pending > quota -> pending = quota
			:: else
			fi;
			taken = taken + pending;
			quota = quota - pending;
			/* arm_if_empty() */
			if
			:: avail == taken ->
				event = taken;
				idle = (avail == taken)
			:: else
			fi;
			serving--
		:: else -> break
		od;
		if
		:: idle ->
			/* compare and swap BUSY -> 0 */
			atomic {
				if
				:: !again -> busy = false; goto end_wait
				:: else
				fi
			};
			if
			:: quota > 0 -> goto round
			:: else
			fi
		:: else
		fi;
		atomic { busy = false; again = false };
		kicks = kicks + 1 /* env_more_work() */
	od
}

/* When nothing else can move: nothing is left, and nobody is at it. */
active proctype rest()
{
	timeout;
	assert(avail == PACKETS && taken == PACKETS && kicks == 0 && !busy)
}
