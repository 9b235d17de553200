/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * As lend.pml, while lending goes on: what is out grows between two looks, the event moves with it, and
 * buffers go round: those that the switch has filled, some with loans and some with copies, are offered again, in any
 * order and in bursts of any size. Each time that it fills one the switch searches what is new, takes
 * a buffer, and looks once more.
 * Claim: when the switch has no more to send and everything has come to rest, nothing is out; no buffer is
 * taken by which something is lent; and it looks again no more often than there are buffers.
 */
#define BUFFERS 3
#define PACKETS 4
#define NEVER	255

byte avail = BUFFERS;	  /* driver's index; ring[] never wraps here */
byte event = NEVER;	  /* the device wants a kick when the index passes it */
byte seen = 0;		  /* so far it was searched */
byte next = 0;		  /* so far it was taken */
byte out = 0;
byte kicks = 0;
byte packets = PACKETS;	  /* left to send */
byte ring[BUFFERS + PACKETS];
bool loan[BUFFERS];	  /* something is lent by it */
bool used[BUFFERS];	  /* the driver's to offer again */

active proctype driver()
{
	byte old, new;

end_wait:
	do
	:: used[0] || used[1] || used[2] ->
		old = avail;
		new = avail;
		do
		:: used[0] -> used[0] = false; ring[new] = 0; new++
		:: used[1] -> used[1] = false; ring[new] = 1; new++
		:: used[2] -> used[2] = false; ring[new] = 2; new++
		:: new > old -> break
		od;
		avail = new;
		if
		:: event >= old && event < new -> kicks++
		:: else
		fi
	od
}

inline collect(upto)
{
	do
	:: seen < upto ->
		if
		:: loan[ring[seen]] -> loan[ring[seen]] = false; out--
		:: else
		fi;
		seen++
	:: else -> break
	od
}

inline watch()
{
	rounds = 0;
	do
	:: out > 0 ->
		half = (out + 1) / 2;
		event = seen + half - 1;
		watching = true;
		rounds++;
		assert(rounds <= BUFFERS + 1);
#ifdef NO_LOOK
		break;
#endif
		now = avail;
		if
		:: now - seen < half -> break
		:: else
		fi;
		now = avail;
		collect(now)
	:: else ->
		if
		:: watching -> watching = false; event = NEVER
		:: else
		fi;
		break
	od
}

active proctype switch()
{
	byte half, rounds, now, id;
	bool watching = false;

	d_step { ring[0] = 0; ring[1] = 1; ring[2] = 2 };
end_wait:
	do
	:: atomic { kicks > 0 -> kicks-- };
		now = avail;
		collect(now);
		watch()
	:: packets > 0 && next < avail ->
		packets--;
		now = avail;
		collect(now);
		id = ring[next];
		next++;
		assert(!loan[id]);
		if
		:: loan[id] = true; out++
		:: skip /* copied */
		fi;
		watch();
		used[id] = true
	od
}

active proctype rest()
{
	timeout;
	assert(out == 0 && kicks == 0)
}
