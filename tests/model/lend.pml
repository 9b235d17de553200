/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is lent comes back, also when nobody sends any more (vswitch/lend.c: lend_collect, lend_watch, arm).
 * A driver domain offers buffers in bursts of any size, by some of which something is lent, and kicks when its
 * index passes the event. The switch, once when it lends and then at each kick, searches what is new
 * in the ring, asks for a kick when half of what is out could be back, and looks once more. Steps are
 * interleaved as in sequentially consistent memory.
 * Claim: when everything has come to rest, nothing is out. And an honest driver's switch looks again no
 * more often than there are buffers.
 */
#define LOANS  3
#define OTHERS 2
#define NEVER  255

byte avail = 0;	       /* driver's index */
byte event = NEVER;    /* the device wants a kick when the index passes it */
byte seen = 0;	       /* so far it was searched */
byte out = LOANS;
byte kicks = 1;	       /* and the switch's own look when it lends */
bool is_loan[LOANS + OTHERS];

active proctype driver()
{
	byte old, new, loans = LOANS, others = OTHERS;

	do
	:: loans + others > 0 ->
		old = avail;
		new = avail;
		do
		:: loans > 0 -> is_loan[new] = true; new++; loans--
		:: others > 0 -> new++; others--
		:: new > old -> break
		od;
		avail = new;
		if
		:: event >= old && event < new -> kicks++
		:: else
		fi
	:: else -> break
	od
}

inline collect()
{
	upto = avail;
	do
	:: seen < upto ->
		if
		:: is_loan[seen] -> out--
		:: else
		fi;
		seen++
	:: else -> break
	od
}

active proctype switch()
{
	byte upto, half, rounds, now;

end_wait:
	do
	:: kicks > 0 ->
		atomic { kicks--; rounds = 0 };
		collect();
		do
		:: out > 0 ->
			half = (out + 1) / 2;
			event = seen + half - 1;
			rounds++;
			assert(rounds <= LOANS + OTHERS + 1);
#ifdef NO_LOOK
			break;
#endif
			now = avail;
			if
			:: now - seen < half -> break
			:: else
			fi;
			collect()
		:: else -> event = NEVER; break
		od
	od
}

active proctype rest()
{
	timeout;
	assert(out == 0 && kicks == 0)
}
