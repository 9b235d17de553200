/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * No sender sleeps over buffers that came back (vswitch/service.c: complete, settle, may_owe, port_settle;
 * hv/core/vcpu.c: flush). The driver has SLOTS buffers for PACKETS packets; when all are out it asks for an
 * interrupt, looks once more, and sleeps. Who serves the queue gives buffers back, and tells the driver if
 * that asked; but who comes by again may owe it that: the CPU of a vCPU of the guest until that leaves it, a
 * CPU that polls, as long as the driver runs, until its next poll or the end of polling.
 * Policies may change at any time: whether to owe is a choice each time.
 * Claim: when everything has come to rest, every packet was given back, and the driver knows.
 */
#define PACKETS 4
#define SLOTS	2
#ifndef LEAVING_SETTLES
#define LEAVING_SETTLES 1
#endif

byte sent = 0, done = 0, reaped = 0; /* by driver, device, driver */
byte event = 255;		     /* the driver wants an interrupt when `done` passes it */
byte owed_from = 0;
bool owed = false, lazy = false;
bool busy = false, again = false;
bool irq = false, running = true;
bool polled = true; /* else the driver kicks: poll.pml */

/* service(): may: who serves comes by again */
inline serve(may)
{
	atomic { mine = !busy; busy = true; again = true };
	do
	:: mine ->
		again = false;
		do
		:: done != sent ->
			if
			:: !owed -> owed_from = done
			:: else
			fi;
			done = sent; /* published before event is read */
			owed = true
		:: else -> break
		od;
		if
		:: owed ->
			if
			:: event < owed_from || event >= done -> owed = false
			:: event >= owed_from && event < done && may /* owes it */
			:: event >= owed_from && event < done -> /* now */
				owed = false;
				atomic { irq = true; running = true } /* vcpu_wake.pml */
			fi
		:: else
		fi;
		lazy = owed; /* arm_if_empty() */
		atomic {
			if
			:: !again && done == sent -> busy = false; mine = false
			:: else
			fi
		}
	:: else -> break
	od
}

active proctype poller()
{
	bool mine, seen_running;

	do
	:: (done != sent || owed) -> seen_running = running; serve(seen_running)
	:: break
	od;
	polled = false;
	serve(false) /* port_poll_end() */
}

active proctype driver()
{
	bool mine, kick;

end_out:
	do
	:: reaped != done -> reaped = done
	:: sent < PACKETS && sent - reaped < SLOTS ->
		atomic { sent++; kick = !polled };
		if
		:: kick -> serve(false)
		:: else
		fi
	:: reaped == done && reaped != sent ->
		event = reaped; /* asks, then looks once more */
		if
		:: reaped != done
		:: else -> /* HLT */
			if
			:: lazy -> serve(false)
			:: true /* port_settle() came too early */
			fi;
			running = false;
			if
			:: irq -> running = true
			:: else
			fi;
end_halted:		running;
			irq = false
		fi
	:: sent == PACKETS && reaped == sent -> break
	od
}

/* Another vCPU of the same guest, which kicks, has other exits, and leaves its CPU. */
active proctype beside()
{
	bool mine;

	do
	:: done != sent -> serve(true) /* env_will_flush() */
	:: lazy -> serve(true)
	:: true -> break
	od;
	if
	:: lazy && LEAVING_SETTLES -> serve(false)
	:: else
	fi
}

/* When nothing else can move. */
active proctype rest()
{
	timeout;
	assert(sent == PACKETS && reaped == sent && !busy)
}
