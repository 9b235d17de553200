/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * No wake-up is lost, and nobody waits for a CPU while one idles: an interrupt for a vCPU that halts
 * (hv/core/vcpu.c: vcpu_kick, vcpu_wake, block), the run queues and idle CPUs (hv/core/sched.c:
 * sched_enqueue, sched_offer, next_vcpu; hv/core/runq.c; hv/core/trap.c: cpu_wait; hv/core/smp.c:
 * cpu_post). Two vCPUs on two CPUs; a device on a third sends interrupts. Steps are interleaved as in
 * sequentially consistent memory, which the code asks for at each of these accesses. A vCPU blocked
 * stays loaded in its CPU and may then run there only; one that runs computes until an IPI makes it
 * leave the guest, or halts, or its slice is over just then.
 * Claim: a vCPU is run by one CPU at a time; one that is loaded by its CPU only; when everything has
 * come to rest, each vCPU has taken every interrupt sent to it, and none waits in a queue, as there
 * are CPUs for all.
 */
#ifndef SECOND_LOOK
#define SECOND_LOOK 1 /* block(): look for interrupts again, BLOCKED already */
#endif
#ifndef IDLE_LOOK
#define IDLE_LOOK 1   /* next_vcpu(): look into the queues again, idle already */
#endif
#ifndef OFFER_LOADED
#define OFFER_LOADED 1 /* vcpu_run(): sched_offer() after load() */
#endif
#define CPUS	   2
#define VCPUS	   2
#define INTERRUPTS 2 /* all in all */
#define NONE	   255

mtype = { RUNNING, RUNNABLE, BLOCKED };

mtype state[VCPUS] = BLOCKED;
byte where[VCPUS] = 0;      /* struct vcpu ->cpu */
bool loaded[VCPUS] = false;
bool irq[VCPUS] = false;    /* vlapic's IRR */
byte runners[VCPUS] = 0;

byte queue[VCPUS] = NONE;   /* the run queue that the vCPU is in */
byte length[CPUS] = 0;
byte in_cpu[CPUS] = NONE;   /* struct cpu ->loaded */
bool idle[CPUS] = false;
bool mail[CPUS] = false;
bool ipi[CPUS] = false;     /* pending in the local APIC */

inline post(at) /* cpu_post() */
{
	atomic {
		ipi[at] = ipi[at] || !mail[at];
		mail[at] = true
	}
}

/* runq_helper(): the other CPU, if idle, may take somebody who waits in q */
inline offer(q)
{
	if
	:: length[q] > 0 ->
		if
		:: (queue[0] == q && !loaded[0]) || (queue[1] == q && !loaded[1]) ->
			if
			:: idle[1 - q] -> post(1 - q)
			:: else
			fi
		:: else
		fi
	:: else
	fi
}

/* sched_enqueue(): v is RUNNABLE and this process alone has it */
inline enqueue(who, to)
{
	if
	:: loaded[who] -> to = where[who]
	:: else ->
		if
		:: idle[0] && length[0] == 0 -> to = 0
		:: else ->
			if
			:: idle[1] && length[1] == 0 -> to = 1
			:: else -> to = where[who]
			fi
		fi
	fi;
	atomic { where[who] = to; queue[who] = to; length[to] = length[to] + 1 }; /* runq_lock */
	post(to);
	if
	:: !idle[to] -> offer(to)
	:: else
	fi
}

/* The device: makes the interrupt visible, then vcpu_kick(). */
active proctype device()
{
	byte n = 0, v, chosen;
	mtype seen = 0;

	do
	:: n < INTERRUPTS ->
		atomic {
			n++;
			if
			:: v = 0
			:: v = 1
			fi;
			irq[v] = true
		};
		seen = state[v];
		if
		:: seen == BLOCKED ->
			atomic {
				if
				:: state[v] == BLOCKED -> state[v] = RUNNABLE; seen = RUNNABLE
				:: else
				fi
			};
			if
			:: seen == RUNNABLE -> enqueue(v, chosen)
			:: else
			fi
		:: seen == RUNNING ->
			chosen = where[v];
			post(chosen)
		:: else
		fi;
		atomic { seen = 0; v = 0; chosen = 0 } /* dead: fewer states */
	:: else -> break
	od
}

/* runq_take(): of the own queue, else of the other one if not loaded there */
inline take(self, got)
{
	got = NONE;
	if
	:: length[self] > 0 ->
		atomic {
			if
			:: queue[0] == self -> got = 0
			:: queue[1] == self -> got = 1
			:: else
			fi;
			if
			:: got != NONE -> queue[got] = NONE; length[self] = length[self] - 1; where[got] = self
			:: else
			fi
		}
	:: else
	fi;
	if
	:: got == NONE && length[1 - self] > 0 ->
		atomic {
			if
			:: queue[0] == 1 - self && !loaded[0] -> got = 0
			:: queue[1] == 1 - self && !loaded[1] -> got = 1
			:: else
			fi;
			if
			:: got != NONE ->
				queue[got] = NONE;
				length[1 - self] = length[1 - self] - 1;
				where[got] = self
			:: else
			fi
		}
	:: else
	fi
}

proctype physical(byte me)
{
	byte v = NONE, other = 0;
	bool back = false;

sched_loop:
	do
	::
		mail[me] = false;
		take(me, v);
		if
		:: v == NONE ->
			idle[me] = true;
			if
			:: IDLE_LOOK -> take(me, v)
			:: else
			fi
		:: else
		fi;
		if
		:: v != NONE -> idle[me] = false; break
		:: else
		fi;
		/* cpu_wait(): an IPI that comes after the look at the mailbox ends the HLT */
		if
		:: !mail[me] ->
end_hlt:		atomic { ipi[me] -> ipi[me] = false }
		:: else
		fi;
		idle[me] = false
	od;
	atomic {
		state[v] = RUNNING;
		runners[v]++;
		assert(runners[v] == 1 && where[v] == me);
		assert(!loaded[v] || in_cpu[me] == v)
	};
	/* load() */
	atomic {
		if
		:: in_cpu[me] != v && in_cpu[me] != NONE -> loaded[in_cpu[me]] = false
		:: else
		fi
	};
	atomic { in_cpu[me] = v; loaded[v] = true };
	if
	:: OFFER_LOADED -> offer(me)
	:: else
	fi;
	/* vcpu_run() */
	do
	::
		mail[me] = false;
		if
		:: irq[v] -> irq[v] = false /* offer_interrupt() */
		:: else
		fi;
		if
		:: true -> /* it computes */
end_guest:		atomic { ipi[me] -> ipi[me] = false }
		:: true -> /* it halts: block() */
			atomic { runners[v]--; state[v] = BLOCKED };
			if
			:: SECOND_LOOK && irq[v] ->
				atomic {
					if
					:: state[v] == BLOCKED ->
						state[v] = RUNNING; runners[v]++; back = true
					:: else
					fi
				}
			:: else
			fi;
			if
			:: back -> back = false
			:: else -> v = NONE; goto sched_loop
			fi
		:: length[me] > 0 -> /* its slice is over */
			atomic { in_cpu[me] = NONE; loaded[v] = false };
			atomic { runners[v]--; state[v] = RUNNABLE };
			enqueue(v, other);
			atomic { v = NONE; other = 0 };
			goto sched_loop
		fi
	od
}

init
{
	atomic { run physical(0); run physical(1) }
}

/* When nothing else can move. */
active proctype rest()
{
	timeout;
	assert(!irq[0] && !irq[1]);
	assert(state[0] != RUNNABLE && state[1] != RUNNABLE);
	assert(queue[0] == NONE && queue[1] == NONE)
}
