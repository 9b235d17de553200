/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A packet that is held until its receiver runs is copied (vswitch/hold.c: await, port_arrive; policy
 * preemptive-copy off). One CPU serves the sender's queue, the receiver's CPU serves it as well when it
 * arrives; the queue has a try-lock with a mark "look again", as in kick.pml. The receiver sleeps, is made
 * RUNNABLE by an interrupt, gets its CPU (RUNNING), looks who waits for it, and sleeps again at any time.
 * The policy may change at any time: it is a choice each time it is read.
 * Claim: when everything has come to rest, every packet was copied, though nobody kicked for those held.
 */
#define PACKETS	   3
#define MOST_WAITS 2
#ifndef LOOKS_AGAIN
#define LOOKS_AGAIN 1
#endif

mtype = { BLOCKED, RUNNABLE, RUNNING };
mtype peer = BLOCKED;
byte avail = 0, copied = 0, waits = 0;
bool awaited = false, held = false;
bool busy = false, again = false;
byte work = 0; /* announced, or a kick */

/* batch_unheld() of one packet: `hold` */
inline unheld()
{
	held = true;
	hold = false;
	wait = false;
	saw = peer;
	if
	:: waits == MOST_WAITS || saw == RUNNING || true /* the policy has changed just now */
	:: waits < MOST_WAITS && saw == BLOCKED ->
		if
		:: atomic { peer == BLOCKED -> peer = RUNNABLE } /* env_interrupt() */
		:: atomic { peer != BLOCKED -> skip }
		fi;
		wait = true
	:: waits < MOST_WAITS && saw == RUNNABLE -> wait = true
	fi;
	if
	:: wait ->
		atomic {
			if
			:: !awaited -> awaited = true; waits++
			:: else
			fi
		};
		if
		:: LOOKS_AGAIN -> hold = (peer == RUNNABLE)
		:: else -> hold = true
		fi
	:: else
	fi;
	held = hold
}

/* service() */
inline serve()
{
	atomic { mine = !busy; busy = true; again = true };
	do
	:: mine ->
		again = false;
		do
		:: copied < avail ->
			unheld();
			if
			:: hold -> break
			:: else -> copied++; waits = 0
			fi
		:: else -> break
		od;
		atomic {
			if
			:: !again -> busy = false; mine = false
			:: else
			fi
		}
	:: else -> break
	od
}

active proctype sender()
{
	do
	:: atomic { avail < PACKETS -> avail++; work++ }
	:: else -> break
	od
}

active proctype server()
{
	bool mine, hold, wait;
	mtype saw;

end:	do
	:: atomic { work > 0 -> work-- }; serve()
	od
}

active proctype receiver()
{
	bool mine, hold, wait;
	mtype saw;

end:	do
	:: atomic { peer == RUNNABLE -> peer = RUNNING };
		/* port_arrive() */
		if
		:: atomic { awaited -> awaited = false };
			if
			:: held -> serve() /* env_work_here(), then the mail */
			:: else
			fi
		:: else
		fi;
		peer = BLOCKED
	od
}

/* When nothing else can move. */
active proctype rest()
{
	timeout;
	assert(copied == PACKETS && !busy)
}
