/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ordered publishing without waiting: several CPUs fill one receive queue (vswitch/rx.c: rx_reserve,
 * rx_complete, publish_done), and its owner may stop it meanwhile (vswitch/port.c: port_stop_queue).
 * Each CPU reserves the next place under a lock, copies, marks its reservation done, and then,
 * under the publish lock, publishes the oldest reservations as far as they are done.
 * Three CPUs with one packet each (hand-over along a chain) by default; also to be checked with
 * -DCPUS=2 -DEACH=3 (reservations used again).
 * Claims: what is published is filled; every reservation is published or discarded, once; none is
 * left when all CPUs have gone; nothing is published once the stop has returned.
 */
#ifndef CPUS
#define CPUS  3
#define EACH  1          /* packets of a CPU */
#endif
#define TOTAL (CPUS * EACH)
#define SLOTS 2          /* RX_RESERVATIONS */

byte head = 0, tail = 0; /* reservations made, and published or discarded */
bool done[SLOTS];
bool filled[TOTAL];
byte published = 0, discarded = 0, refused = 0;
bool reserve_lock = false, publish_lock = false;
bool running = true, stop_returned = false;
bool in_batch[CPUS];
byte gone = 0;

#define LOCK(l)   atomic { !l -> l = true }
#define UNLOCK(l) l = false

proctype cpu(byte self)
{
	byte n, slot, number, t;
	bool live;

	for (n : 1 .. EACH) {
		in_batch[self] = true;
		if
		:: !running -> refused++; goto out
		:: else
		fi;
		LOCK(reserve_lock);
		if
		:: head - tail == SLOTS -> /* as without a buffer */
			UNLOCK(reserve_lock);
			refused++;
			goto out
		:: else
		fi;
		d_step { number = head; slot = head % SLOTS; head = head + 1 };
		UNLOCK(reserve_lock);

		d_step { assert(!done[slot]); filled[number] = true };
		done[slot] = true;

		LOCK(publish_lock);
		live = running;
		t = tail;
		do
		:: done[t % SLOTS] ->
			assert(filled[t]);
			assert(t < head);
			if
			:: live -> assert(!stop_returned); published++
			:: else -> discarded++
			fi;
			d_step { done[t % SLOTS] = false; t = t + 1 }
		:: else -> break
		od;
		tail = t;
		UNLOCK(publish_lock);
out:
		in_batch[self] = false
	}
	gone++
}

proctype owner()
{
	byte i;

	running = false;
	/* switch_quiesce(): each CPU has ended the batch it was in */
	for (i : 0 .. CPUS - 1) {
		!in_batch[i]
	}
	stop_returned = true;
	assert(head == tail)
}

init {
	atomic {
		byte i;

		for (i : 0 .. CPUS - 1) {
			run cpu(i)
		}
		run owner()
	}
	gone == CPUS && stop_returned;
	assert(head == tail);
	assert(published + discarded == head);
	assert(published + discarded + refused == TOTAL)
}
