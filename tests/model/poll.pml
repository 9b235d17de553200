/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * No packet is forgotten when an idle CPU polls a transmit queue, or stops to (vswitch/service.c:
 * port_poll_begin, port_poll_end, and what service() and arm_if_empty() leave undone for a queue that
 * is polled). A driver puts PACKETS chains; one CPU answers kicks and announced work; another polls
 * the queue, for any time, twice. The driver's own CPU settles what the driver is owed while the queue is polled
 * and rests (port_settle(): rest.c), a service that takes nothing.
 * The policies offload and polling may change at any time: so polling may end at any time.
 * Claim: when everything has come to rest, every chain was taken.
 */
#define PACKETS 4
#define QUOTA	2
#ifndef END_SERVES
#define END_SERVES 1
#endif

byte avail = 0, event = 0, taken = 0;
bool busy = false, again = false, polled = false;
byte kicks = 0; /* and announced work */

active proctype driver()
{
	do
	:: avail < PACKETS ->
		atomic {
			if
			:: event == avail -> kicks = kicks + 1
			:: else
			fi;
			avail = avail + 1
		}
	:: else -> break
	od
}

inline service(most)
{
	atomic { mine = !busy; busy = true; again = true };
	quota = most;
	do
	:: mine && quota > 0 ->
		again = false;
		idle = false;
		do
		:: quota > 0 && !idle ->
			event = taken - 1; /* disarm() */
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
				if
				:: polled -> idle = true
				:: else ->
					event = taken;
					idle = (avail == taken)
				fi
			:: else
			fi
		:: else -> break
		od;
		if
		:: idle ->
			atomic {
				if
				:: !again -> busy = false; mine = false
				:: else
				fi
			}
		:: else
		fi
	:: mine && quota == 0 ->
		atomic { busy = false; again = false };
		if
		:: !polled -> kicks = kicks + 1 /* env_more_work() */
		:: else
		fi;
		mine = false
	:: !mine -> break
	od
}

active proctype cpu()
{
	byte quota, pending;
	bool mine, idle;

end_wait:
	do
	:: atomic { kicks > 0 -> kicks = kicks - 1 };
		service(QUOTA)
	od
}

active proctype poller()
{
	byte quota, pending, rounds = 0;
	bool mine, idle;

	do
	:: rounds < 2 ->
		rounds++;
		polled = true;
		do
		:: service(QUOTA)
		:: break
		od;
		polled = false;
		if
		:: END_SERVES -> service(QUOTA)
		:: else
		fi
	:: break
	od
}

active proctype own_cpu()
{
	byte quota, pending;
	bool mine, idle;

	if
	:: polled -> service(0)
	:: true
	fi
}

active proctype rest()
{
	timeout;
	assert(avail == PACKETS && taken == PACKETS && kicks == 0 && !busy)
}
