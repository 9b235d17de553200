/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * No receiver sleeps over an interrupt that it is owed (vswitch/rx_owed.c; hv/core/vcpu.c: flush). CPUs that
 * poll for senders publish PACKETS packets. While the receiver runs, they may owe it the interrupt, and look
 * again at each of their polls, at whatever time that is, and when they end. `owing` says that somebody is
 * owed something: who looks takes it away, and puts it back if so it stays. The receiver's own CPU settles
 * before it falls asleep, or does not (it is a matter of speed alone).
 * The policy batching may change at any time: it is a choice each time it is read.
 * Claim: when everything has come to rest, every packet was taken.
 */
#define PACKETS 3
#ifndef LAST_SETTLES
#define LAST_SETTLES 1
#endif

byte sent = 0, published = 0, taken = 0;
byte event = 0; /* the driver wants an interrupt when `published` passes it */
bool lock = false;
bool owed = false, owing = false; /* owed: under the lock */
byte owed_from = 0;
bool irq = false, running = true;

inline acquire()
{
	atomic { !lock -> lock = true }
}

/* Under the lock. */
inline due_now(polling)
{
	due = event >= owed_from && event < published;
	if
	:: due && polling && running -> owed = true; owing = true; due = false
	:: owed = false /* too late for more, or any other condition */
	fi
}

inline release_and_tell()
{
	lock = false;
	if
	:: due -> atomic { irq = true; running = true } /* vcpu_wake.pml */
	:: else
	fi
}

inline settle_all(polling)
{
	atomic { set = owing; owing = false };
	if
	:: set ->
		acquire();
		due = false;
		if
		:: owed -> due_now(polling)
		:: else
		fi;
		release_and_tell()
	:: else
	fi
}

active [2] proctype poller()
{
	bool due, set;

	do
	:: atomic { sent < PACKETS -> sent++ };
		acquire();
		published++;
		if
		:: !owed -> owed_from = published - 1
		:: else
		fi;
		due_now(true);
		release_and_tell()
	:: owing -> settle_all(true)
	:: break
	od;
	if
	:: LAST_SETTLES -> settle_all(false)
	:: else
	fi
}

active proctype receiver()
{
	bool due;

	do
	:: taken != published -> taken = published
	:: taken == published ->
		event = taken; /* asks for the next one, then looks once more */
		if
		:: taken != published
		:: else ->
			if /* HLT */
			:: owing ->
				acquire();
				due = false;
				if
				:: owed -> due_now(false)
				:: else
				fi;
				release_and_tell()
			:: true
			fi;
			running = false;
			if
			:: irq -> running = true
			:: else -> skip
			fi;
end:			running;
			irq = false
		fi
	od
}

/* When nothing else can move. */
active proctype rest()
{
	timeout;
	assert(taken == published && !owed && sent == published)
}
