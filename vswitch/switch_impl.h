/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the switch share. Three rules carry it:
 *  - A CPU touches rings, buffers, and ports other than its own only inside a batch
 *    (batch_begin/end). Taking something away is: make it unreachable, then switch_quiesce(), which
 *    waits until each CPU has ended the batch it is in. Who then enters one sees the new state.
 *  - A transmit queue is served by one CPU at a time (service.c), a receive queue is filled by any
 *    number of them (rx.c).
 *  - Counters have a slot for each CPU, written by that CPU alone.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lasthop/uplink.h"
#include "vswitch/env.h"
#include "vswitch/fdb.h"
#include "vswitch/filter.h"
#include "vswitch/frame.h"
#include "vswitch/gso.h"
#include "vswitch/prefetch.h"
#include "vswitch/spin.h"
#include "vswitch/switch.h"
#include "vswitch/vq.h"

#define VS_NAME_BYTES 64 /* "VM/NODE", each of CONFIG_MAX_NAME */
#define CACHE_LINE    64

/* Room for the pieces of a transmit batch: a chain may have VQ_MAX_CHAIN, and a batch ends
 * when less than that is left. */
#define TX_SEGS		(2 * VQ_MAX_CHAIN)
/* A batch or reservation also ends when it has read this many descriptors. */
#define READ_DESCS	2048u
/* ... or when its frames may become so many segments. */
#define BATCH_SEGMENTS	1024u
/* Pieces, and chains, that one received packet may be spread over. */
#define RX_PACKET_SEGS	256u
#define RX_SEGS		(4 * RX_PACKET_SEGS)
/* Descriptors read for one received packet; more break the queue. Its pieces need a descriptor each,
 * and each of their chains may be an indirect table: 512. A packed ring's chain is walked to its end
 * besides, and the longest that Linux makes has 19. */
#define RX_PACKET_DESCS 1024u
/* ... and for all packets of one batch, their segments included; what is left is dropped as if there
 * were no buffers. Frames of 64 KiB in buffers of 1500 bytes need 2816, 1024 segments in two buffers
 * each 2048, or 4096 in indirect tables. */
#define RX_BATCH_DESCS	8192u
/* Packets of a reservation. */
#define RX_PACKETS	256u
/* Reservations of one receive queue that wait to be published: see rx.c. */
#define RX_RESERVATIONS 256u
/* A stream's packets are so large, and hardly those of anybody who waits for an answer to each. */
#define BULK_BYTES	8192u
/* Packets of a transmit queue that may be lent at a time, and the part of its ring: the rest is there for other
 * receivers if a driver domain does not give them back. */
#define LEND_PACKETS	256u
#define LEND_SHARE	2u
/* Flows that a port remembers, by their hash. */
#define STEER_FLOWS	256u

_Static_assert(VS_BATCH <= 64, "sets of packets are 64-bit words");
_Static_assert(VS_MAX_PORTS <= 64, "sets of ports are 64-bit words");
_Static_assert(RX_PACKET_SEGS <= RX_SEGS, "a reservation takes one packet at least");

static inline unsigned set_size(uint64_t set)
{
	set -= set >> 1 & 0x5555555555555555ull;
	set = (set & 0x3333333333333333ull) + (set >> 2 & 0x3333333333333333ull);
	set = (set + (set >> 4)) & 0x0f0f0f0f0f0f0f0full;
	return (unsigned)(set * 0x0101010101010101ull >> 56);
}

/* STOPPED -> RUNNING -> STOPPED, or RUNNING -> BROKEN -> STOPPED (port.c). */
enum queue_state { QUEUE_STOPPED, QUEUE_RUNNING, QUEUE_BROKEN };

/* Receive buffers taken by one CPU for a list of packets, until they are given to the driver. */
struct reservation {
	_Atomic uint32_t done; /* set by its owner, cleared by who publishes it */
	uint16_t end;	       /* position behind it */
	uint16_t packets;
	uint16_t unicast; /* of them: counted as delivered at `from` */
	uint64_t bytes;
	struct port *from;
};

/* A chain of a transmit queue that is given back later, and out of turn. */
struct lent_chain {
	uint16_t id, slots; /* struct vq_chain's */
	uint16_t descs;	    /* of the ring */
};

/* A packet in a receive buffer that is lent, not copied: lend.c. */
struct loan {
	struct port *from; /* NULL: the sender has stopped its queue, and waits for nothing */
	unsigned queue;
	struct lent_chain chain;
	unsigned pieces; /* 0: none is lent by this descriptor */
	struct uplink_piece piece[UPLINK_PIECES];
};

/* (c) constant while running  (a) atomic  [s] owner of `service`  [r] under reserve  [p] under
 * publish  (w) written once by the owner of the reservation, read [p] after `done` */
struct queue {
	struct vq vq;		/* (c) */
	_Atomic uint32_t state; /* (a) enum queue_state */
	_Atomic uint64_t
		offloads;    /* (a) offload_usable(): the driver's, or of it what it wants now */
	uint64_t negotiated; /* (c) offload_usable() */
	_Atomic uint16_t desc_guess; /* (a) number of the descriptor that may come next */

	_Alignas(CACHE_LINE) _Atomic uint32_t service; /* (a) transmit: SERVICE_* in service.c */
	bool kicks_on;	     /* [s] transmit: the driver is asked to kick, */
	_Atomic bool lazy;   /* (a) ... but not at the next packet, or owed: port_flush() is due */
	_Atomic bool polled; /* (a) a CPU polls it: no kicks wanted */
	_Atomic uint64_t kicked_us; /* (a) when the driver kicked last */
	uint16_t owed;		    /* [s] transmit: packets given back, the driver not told, */
	uint16_t owed_from;	    /* [s] ... from here on, */
	uint32_t owed_slots;	    /* [s] ... so many of the ring */
	uint64_t owed_us;	    /* [s] ... since then, if by one who polls */
	_Atomic bool held;	    /* (a) transmit: it waits for a receiver to run (hold.c), */
	uint8_t waits;		    /* [s] ... its first packet for the so manieth time */
	int64_t deficit;	    /* [s] what it may still cost in this turn (service.c) */
	bool late;		    /* [s] this service is one by port_flush(late) */
	bool polling;		    /* [s] this service is one by port_poll() */
	uint64_t taken_us;	    /* [s] when as many packets as were asked for were taken last */
	uint64_t begun_us;	    /* [s] when this service began */
	bool more;		    /* [s] the last batch left some: no need to look */
	_Atomic uint8_t towards;    /* (a) transmit: the port that the last batch went to */
	_Atomic uint64_t rest_us;   /* (a) who polls leaves it alone until then; 0: not */
	uint16_t careful;	    /* [s] ... for so many batches more, */
	uint64_t restless_us;	    /* [s] ... but not before then */
	_Atomic uint64_t bulk_us;   /* (a) transmit: when large ones were, 0: never */
	uint16_t lag;		    /* [s] packets after which a kick is wanted: 1..VS_BATCH */
	uint16_t packets;	    /* [s] of the last batch, at least 1 */
	uint16_t packet_descs;	    /* [s] of one of them, at least 1 */
	uint32_t packet_bytes;	    /* [s] the same */
	uint16_t next;		    /* [s] or [r] next entry of the available ring; for receive
	                                     * buffers, given back in order, also the used index when
	                                     * all that was taken is back */
	uint16_t used;		    /* [s] transmit: used index, behind next by what is lent */
	uint16_t lent_chains;	    /* [s] transmit: lent, and not seen to be back, */
	uint16_t lent_descs;	    /* [s] ... so many descriptors of the ring, */
	uint16_t lent_slots;	    /* [s] ... and as positions: struct vq_chain's slots */
	struct lent_chain *back;    /* LEND_PACKETS of them, under `returned` */
	_Atomic uint32_t back_count; /* (a) those valid; changed under `returned` */
	struct spin returned;	     /* behind the receiver's `reserve` */

	_Alignas(CACHE_LINE) struct spin reserve; /* receive, from here on */
	bool mergeable;				  /* (c) */
	uint16_t disarmed_at;			  /* [r] see vq_disarm_kick() */
	uint32_t resv_head;			  /* [r] reservations made */
	struct loan *loans; /* (c) one for each descriptor; NULL: nothing is lent here. [r] */
	uint32_t loans_out; /* [r] of them */
	uint16_t seen;	    /* [r] so far the available ring was searched for their return */
	bool watching;	    /* [r] the driver is asked for kicks for that */

	_Alignas(CACHE_LINE) struct spin publish;
	_Atomic uint32_t resv_tail; /* [p] (a) reservations published */
	_Atomic uint16_t published; /* [p] (a) used index */
	bool rx_owed;		    /* [p] the driver is to be interrupted for what was published */
	uint16_t rx_owed_from;	    /* [p] ... from here on */
	uint64_t rx_owed_us;	    /* [p] ... since then */
	uint32_t rx_owed_packets;   /* [p] ... so many */
	uint8_t calm;		    /* [p] ... for 2^calm times as long as another, if it runs */
	struct reservation *resv;   /* RX_RESERVATIONS of them, (w) */
};

struct capture;

struct stat_slot {
	_Alignas(CACHE_LINE) _Atomic uint64_t value[STAT_COUNT];
	bool shared; /* the port's spare slot, for CPUs there was no memory for */
};

struct port {
	struct vswitch *sw; /* constant from here ... */
	unsigned id;
	unsigned queues; /* 2 * queue pairs */
	uint32_t mtu;
	bool uplink;
	uint8_t mac[6];
	char name[VS_NAME_BYTES];	       /* ... to here */
	const struct gmem *mem;		       /* constant while a queue runs */
	_Atomic(void *) owner;		       /* NULL: detached */
	bool retired;			       /* control path */
	struct queue *queue;		       /* constant array; see struct queue */
	_Atomic(const struct filter *) filter; /* one of filters[], or NULL: no filter */
	_Atomic uint64_t guest_mac;	       /* that its guest has taken; 0: none, or an uplink */
	_Atomic(struct capture *) capture;     /* NULL: nobody looks (capture.c) */
	struct filter filters[2];	       /* the other one is port_set_filter()'s */
	_Atomic uint32_t pairs;		       /* receive queues in use */
	_Atomic bool unplugged;		       /* link down: nothing passes */
	_Atomic uint64_t awaited_by;	       /* set of ports that hold packets for it: hold.c */
	_Atomic uint8_t flow[STEER_FLOWS];     /* by hash: pair it went out by, + 1; 0: unknown */
	_Atomic(struct stat_slot *) stats[VS_MAX_CPUS]; /* NULL until that CPU counts something */
	struct stat_slot spare;
};

/* One packet of a batch. off.needs is always valid, the rest of off if that is not 0. */
struct packet {
	struct seg *seg;     /* what follows head[], in the sender's memory */
	uint32_t bytes;	     /* of the frame */
	uint32_t head_bytes; /* in head[] */
	uint16_t chain;	     /* transmit: descriptor to give back */
	uint8_t verdict;     /* enum verdict */
	uint8_t pieces;	     /* shared to be lent, in vs_cpu.piece[]; 0: it is copied */
	bool lent;	     /* it is: its chain comes back later */
	struct offload off;
	uint8_t head[HEAD_ROOM]; /* virtio-net header and beginning of the frame: HEAD_BYTES, or
				  * all headers of a GSO frame; not the guest's */
};

#define NO_QUEUE UINT32_MAX

/* Packets taken from one port, sorted by destination: bit i of a set is pkt[i]. */
struct batch {
	struct port *from;
	unsigned queue; /* of the sender's, transmit; NO_QUEUE */
	unsigned count;
	unsigned expected; /* packets, by a guess; below 2 the FDB is not prefetched */
	unsigned lends,
		lend_descs; /* packets that are shared to be lent, descriptors of the ring */
	uint64_t last_src;  /* the address learned last */
	struct addresses {
		uint64_t first8; /* the 12 bytes of both addresses */
		uint64_t last4;	 /* never more than 32 bits */
	} last_read,		 /* of the packet read last */
		last_addresses;	 /* delivered last, to one port alone: */
	unsigned last_dest;
	bool unplugged;	   /* the sender's link is down */
	uint64_t offloads; /* the sender's: of struct queue, transmit */
	uint64_t tx_bytes;
	uint64_t beside;   /* cost of what its packets and their bytes do not tell, in bytes */
	unsigned segments; /* that its frames may become */
	bool polling;	   /* this CPU polls: it comes by again soon */
	unsigned refused;  /* packets to one port, which had no buffer for them */
	bool woke;	   /* a receiver that was blocked got an interrupt */
	bool dropped;	   /* any of drops[], else they are not valid */
	uint32_t drops[VERDICT_COUNT];
	uint64_t flood;			 /* packets to all other ports */
	uint64_t dests;			 /* ports with a bit in to[] */
	uint64_t to[VS_MAX_PORTS];	 /* packets to this port alone; all 0 between batches */
	struct port *dest[VS_MAX_PORTS]; /* of dests */
	struct packet pkt[VS_BATCH];
};

/* Receive buffers of one reservation, in the order of their packets. A GSO frame that the receiver
 * does not take whole is many packets, of one reservation or more. */
struct rx_take {
	unsigned queue;	   /* set by the caller of rx_reserve() */
	uint64_t left;	   /* packets to try again: this reservation is full, */
	unsigned segment;  /* ... the first of them from this segment on */
	unsigned spent;	   /* descriptors read in the batch's earlier reservations */
	uint64_t offloads; /* the receiver's */
	bool dropped;	   /* any of drops[], else they are not valid */
	uint32_t drops[VERDICT_COUNT];
	uint64_t dropped_set;	/* packets of the batch that are in drops[], and */
	uint8_t why[VS_BATCH];	/* ... each one's verdict; valid as drops[] are */
	unsigned unicast_drops; /* of them, packets to this port alone */
	uint32_t too_few_for;	/* the buffers that come next are too few for a packet of so many
			       * bytes with its header: */
	enum verdict too_few_why;
	enum vq_fault fault; /* the queue is to be stopped */
	uint16_t start, end; /* positions of the first buffer, and behind the last */
	uint32_t resv;	     /* number of the reservation */
	unsigned npkts, nbufs, nsegs, descs;
	unsigned unicast;		   /* of npkts, packets to this port alone: of a segmented
					  * frame, the first */
	unsigned segmented, segments;	   /* frames segmented, packets they become */
	unsigned gso_whole, csum_software; /* from rx_fill() */
	struct rx_packet {
		uint32_t bytes; /* of the frame, or of this segment of it */
		uint16_t buf, nbufs;
		uint16_t seg;
		uint16_t segment;
		uint8_t pkt;
		bool lent;
	} pkt[RX_PACKETS];
	struct rx_buf {
		uint16_t head, slots; /* struct vq_chain's id and slots */
		uint32_t bytes;	      /* room in the buffer's pieces */
	} buf[RX_SEGS];
	struct seg seg[RX_SEGS];
};

/* One CPU's scratch memory in one switch. */
struct vs_cpu {
	_Alignas(CACHE_LINE) _Atomic uint32_t seq; /* odd inside a batch; written by its CPU */
	unsigned cpu;
	uint32_t now_s; /* set by batch_begin() */
	struct batch batch;
	struct rx_take rx;
	struct seg tx_seg[TX_SEGS];
	uint16_t tx_slots[VS_BATCH];	   /* of the batch's chains: struct vq_chain's slots */
	uint16_t tx_descs[VS_BATCH];	   /* ... and descriptors of the ring */
	uint64_t back_ports;		   /* whose packets have come back in this batch, */
	uint8_t back_queues[VS_MAX_PORTS]; /* ... to pairs of each */
	struct share_cost cost;		   /* in this batch, not counted yet */
	struct uplink_piece piece[VS_BATCH][UPLINK_PIECES]; /* of struct packet */
};

struct vswitch {
	struct fdb *fdb;	  /* constant */
	char name[VS_NAME_BYTES]; /* constant */
	_Atomic(struct port *) port[VS_MAX_PORTS];
	_Atomic(struct vs_cpu *) cpu[VS_MAX_CPUS]; /* NULL until it comes by */

	/* set of ports that may be owed interrupts: rx_owed.c */
	_Alignas(CACHE_LINE) _Atomic uint64_t owing;
};

/* What a packet costs beside its bytes, in bytes that could be copied in the same time (make bench: 40 ns
 * for one of 64 bytes, 0.04 ns for each byte more), and a descriptor above one a packet (5 ns). */
#define PACKET_COST 1024u
#define DESC_COST   128u

static inline uint64_t more_descs_cost(unsigned descs, unsigned packets)
{
	return descs > packets ? (uint64_t)(descs - packets) * DESC_COST : 0;
}

/* --- switch.c --- */

/* Enters a batch on this CPU: its scratch memory, or NULL if there is no memory or the CPU is
 * inside one already. */
struct vs_cpu *batch_begin(struct vswitch *sw);
void batch_end(struct vs_cpu *cpu);

/* Waits until each CPU has been outside of a batch; not to be called inside one. */
void switch_quiesce(struct vswitch *sw);

/* --- port.c --- */

static inline enum queue_state queue_state(const struct queue *q)
{
	return (enum queue_state)atomic_load_explicit(&q->state, memory_order_seq_cst);
}

/* vq_prefetch() of the queue, with the guess that guess_next() made of the last descriptor read. */
static inline void queue_prefetch(const struct queue *q, uint16_t pos, unsigned count)
{
	prefetch_read(&q->vq.avail[1]);
	vq_prefetch(&q->vq, pos, atomic_load_explicit(&q->desc_guess, memory_order_relaxed), count);
}

static inline void guess_next(struct queue *q, uint16_t last)
{
	atomic_store_explicit(&q->desc_guess, (uint16_t)(last + 1), memory_order_relaxed);
}

/* Stops a running queue whose driver broke a rule, and tells the environment. */
void queue_break(struct port *port, unsigned queue, enum vq_fault fault, unsigned cpu);

/* In a batch: where the queue's last batch went to; NULL: it has gone. */
static inline struct port *queue_towards(const struct port *port, const struct queue *q)
{
	unsigned id = atomic_load_explicit(&q->towards, memory_order_relaxed);

	return atomic_load_explicit(&port->sw->port[id], memory_order_seq_cst);
}

/* --- rest.c --- */

/* After a batch, by the owner of `service`: is the queue to be left alone for a while? */
void rest_after(struct queue *q, const struct batch *b);

/* How many packets of the queue who polls may take now, 0 while it rests. Not in a batch. */
unsigned rest_quota(struct port *port, struct queue *q);

/* --- stats.c --- */

struct stat_slot *stats_slot_slow(struct port *port, unsigned cpu);
void stats_free(struct port *port);

/* Counts drops[], those of a sender, or of a receiver. */
void stat_add_drops(struct stat_slot *slot, const uint32_t drops[VERDICT_COUNT], bool received);

/* The slot of this CPU. */
static inline struct stat_slot *stats_slot(struct port *port, unsigned cpu)
{
	struct stat_slot *slot = atomic_load_explicit(&port->stats[cpu], memory_order_relaxed);

	return slot != NULL ? slot : stats_slot_slow(port, cpu);
}

static inline void stat_add(struct stat_slot *slot, enum stat_id id, uint64_t n)
{
	_Atomic uint64_t *value = &slot->value[id];

	if (slot->shared)
		atomic_fetch_add_explicit(value, n, memory_order_relaxed);
	else
		atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + n,
				      memory_order_relaxed);
}

/* As stats_slot(), but never allocates: under a lock. */
struct stat_slot *stats_slot_now(struct port *port, unsigned cpu);

/* --- frame reading and forwarding: batch.c --- */

/* Begins to collect packets that come from this port. The sender has no offloads, unless
 * batch->offloads is set then. */
struct batch *batch_open(struct vs_cpu *cpu, struct port *from);

/* Reads and checks one packet, and adds it. seg[]: chain_bytes of virtio-net header and
 * frame, in the caller's list, which stays his until batch_forward() and is cut behind the headers.
 * chain: transmit descriptor, for the caller's use. */
void batch_add(struct vs_cpu *cpu, struct seg *seg, uint64_t chain_bytes, uint16_t chain);

/* Takes all but the first `count` packets out again, as if they had not been added. */
void batch_cut(struct batch *b, unsigned count);

/* Learns the sources of what is in the batch, and finds out the destinations. Once, after all are there:
 * what it needs of the FDB was asked for by batch_add(). */
void batch_sort(struct vs_cpu *cpu);

/* Delivers and counts what is in the batch; pkt[].verdict then holds the outcome. */
void batch_forward(struct vs_cpu *cpu);

/* In a batch: is it the address of another port, by the config, or because its guest has taken it, which
 * cannot be one that the config gives to this port? */
bool batch_has_address(const struct port *from, uint64_t src);

/* --- tx_read.c --- */

/* Reads up to `most` chains, and what else bounds a batch, into the CPU's empty batch, and sorts it. A rule
 * broken by the driver ends it, with the chains before. By the owner of `service`. avail: see vq_read(). */
enum vq_fault tx_read(struct vs_cpu *cpu, struct queue *q, uint16_t avail, unsigned most);

/* --- tx_complete.c --- */

/* By the owner of `service`: gives the chains of the CPU's batch back, but for those that are lent; or those
 * that were, and have come back. */
void tx_complete(struct queue *q, const struct vs_cpu *cpu);
void tx_complete_returned(struct queue *q);

/* --- hold.c --- */

/* How many packets of the batch are to be forwarded now, from the first on: all of them with the policy
 * preemptive-copy, else up to the first whose receiver is to run before it is copied; the transmit queue
 * is `held` then. */
unsigned batch_unheld(struct batch *b, struct queue *tx, unsigned cpu);

/* --- steer.c --- */

/* The same for both directions of a flow. Of a packet whose headers are sound. */
uint32_t steer_hash(const struct packet *p);

/* The port's guest sent the packet by its pair `pair_index`: what comes back goes there. */
void steer_learn(struct port *port, const struct packet *p, unsigned pair_index);

/* The receive queue's pair, of `pairs` in use. */
unsigned steer_pair(const struct port *to, const struct packet *p, unsigned pairs);

bool steer_wants(const struct filter *f, const struct packet *p);

/* --- rx.c --- */

/* Takes receive buffers for packets of the batch's set `want`, in order: fills cpu->rx. If it took any,
 * rx_fill() and rx_complete() must follow in the same batch. */
void rx_reserve(struct vs_cpu *cpu, struct port *to, uint64_t want);

/* In a batch that is not open: what would become of a packet of `need` bytes with its header? Takes none. */
enum verdict rx_would_take(struct vs_cpu *cpu, struct port *to, unsigned queue, uint32_t need);

/* The copy: rx_fill.c. */
void rx_fill(struct port *to, struct vs_cpu *cpu);

/* Is the packet cut for a receiver with these offloads? */
static inline bool rx_segments(const struct packet *p, uint64_t offloads)
{
	return (p->off.needs & OFFLOAD_GUEST_GSO & ~offloads) != 0;
}

/* The buffers are filled: publishes them, or leaves that to the CPU that holds an earlier
 * reservation. */
void rx_complete(struct port *to, struct batch *b, const struct rx_take *take, struct vs_cpu *cpu);

/* --- rx_owed.c --- */

/* Under the publish lock: is the driver to be told now of the packets published from `before` on? By one who
 * polls it may be owed until rx_settle(). Counts what is saved. */
bool rx_interrupt_due(struct port *to, unsigned queue, uint16_t before, unsigned packets,
		      bool polling, struct stat_slot *slot);

/* Raises the interrupt and counts it; true: the receiver was blocked. */
bool rx_interrupt(struct port *to, unsigned queue, struct stat_slot *slot);

/* What the port is owed, on its own CPU; or what any port of the switch is, by one who polls: what may
 * wait no longer, or all of it (last). Not inside a batch. */
void rx_settle(struct port *port);
/* The queue has stopped, and nobody is inside. */
void rx_forget_owed(struct port *port, unsigned queue);
void rx_settle_all(struct vswitch *sw, bool last);
