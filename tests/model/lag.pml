/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * No packet is forgotten that was put without a kick (policy batching: vswitch/service.c: kick_after,
 * port_flush; hv/core/vcpu.c: flush). A guest's two vCPUs put PACKETS chains. A vCPU that serves the
 * queue at one of its VM exits may ask for a kick only after LAG more, since it will serve it again: at
 * its next exit, which a timer makes if nothing else does, and before it leaves its CPU; then, or when
 * another CPU serves the queue (announced work), the next chain kicks.
 * The policy batching may change at any time: it is a choice each time it is read.
 * Claim: when everything has come to rest, every chain was taken.
 */
#define PACKETS 4
#define LAG     3
#ifndef LEAVING_FLUSHES
#define LEAVING_FLUSHES 1
#endif

byte avail = 0, event = 0, taken = 0;
bool busy = false, again = false;
bool lazy = false;     /* armed for a later chain: port_flush() looks */
byte work = 0;         /* announced to the CPU beside */

/* service(), with its try-lock. trust: env_will_flush() is true, and then `flush` is set. */
inline serve(trust)
{
	atomic { mine = !busy; busy = true; again = true };
	do
	:: mine ->
		again = false;
		do
		:: event = taken - 1; /* disarm() */
			taken = avail;
			if
			:: trust -> flush = true; lazy = true; event = taken + LAG - 1
			:: lazy = false; event = taken
			fi;
			if
			:: avail == taken -> break
			:: else
			fi
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

inline port_flush(trust)
{
	if
	:: lazy -> serve(trust)
	:: else
	fi
}

active [2] proctype vcpu()
{
	bool mine, kick;
	bool flush = false; /* v->flush_tsc is set */

	do
	:: avail < PACKETS -> /* in the guest: puts a chain, and kicks if that is wanted */
		atomic {
			kick = false;
			if
			:: avail < PACKETS -> kick = (event == avail); avail = avail + 1
			:: else
			fi
		};
		if
		:: kick -> serve(true)
		:: else
		fi
	:: flush -> /* another exit */
		port_flush(true)
	:: flush -> /* the time is up */
		flush = false;
		port_flush(true)
	:: true -> /* HLT, or another runs: it leaves its CPU, and does not come back */
		if
		:: flush && LEAVING_FLUSHES -> port_flush(false)
		:: else
		fi;
		break
	od
}

/* Work announced to another CPU: env_more_work(), or an idle one. */
active proctype beside()
{
	bool mine, flush;

	serve(false)
}

/* When nothing else can move: all who wanted to put did, and nothing is left. */
active proctype rest()
{
	timeout;
	assert(avail == taken && !busy)
}
