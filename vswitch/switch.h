/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The switch: an Ethernet bridge between the virtio-net devices of VMs. One copy, from the
 * sender's buffer to the receiver's, by the CPU that serves the sender's queue.
 *
 * A port is the device side of one virtio-net device (virtio 1.2, 5.1): queue 2i is receive i,
 * queue 2i+1 transmit i. Whoever owns the device model negotiates features and queue addresses,
 * and hands them over; from then on the port reads the rings.
 *
 * Locking: switch_*, port_create/destroy, port_start/stop_queue, port_set_* are control path: callers
 * serialise them per switch; they are safe against concurrent port_service() on other CPUs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lasthop/stats.h"
#include "lasthop/verdict.h"
#include "vswitch/gmem.h"

#define VS_MAX_CPUS	   256
#define VS_MAX_PORTS	   64 /* a switch */
#define VS_MAX_QUEUE_PAIRS 8
#define VS_BATCH	   64	 /* chains taken at a time */
#define VS_MAX_FRAME	   65553 /* bytes: an IP packet of 64 KiB - 1, Ethernet and VLAN */

/* virtio feature bits that the data plane acts on (virtio 1.2, 5.1.3 and 6) */
#define VIRTIO_NET_F_CSUM	(1ull << 0)
#define VIRTIO_NET_F_GUEST_CSUM (1ull << 1)
#define VIRTIO_NET_F_GUEST_TSO4 (1ull << 7)
#define VIRTIO_NET_F_GUEST_TSO6 (1ull << 8)
#define VIRTIO_NET_F_HOST_TSO4	(1ull << 11)
#define VIRTIO_NET_F_HOST_TSO6	(1ull << 12)
#define VIRTIO_NET_F_MRG_RXBUF	(1ull << 15)
#define VIRTIO_F_INDIRECT_DESC	(1ull << 28)
#define VIRTIO_F_EVENT_IDX	(1ull << 29)
#define VIRTIO_F_VERSION_1	(1ull << 32)
#define VIRTIO_F_RING_PACKED	(1ull << 34)
#define VIRTIO_NET_F_GUEST_USO4 (1ull << 54)
#define VIRTIO_NET_F_GUEST_USO6 (1ull << 55)
#define VIRTIO_NET_F_HOST_USO	(1ull << 56)

/* Device features this data plane implements: what a device model may offer. */
uint64_t switch_features(void);

struct vswitch;
struct port;

struct port_config {
	const char *name; /* "vm/node"; copied */
	uint8_t mac[6];
	unsigned mtu;		/* largest L3 packet: frames up to mtu + 18 bytes pass */
	unsigned queue_pairs;	/* 1..VS_MAX_QUEUE_PAIRS */
	bool uplink;		/* leads to the world: see port_attach() and batch.c */
	const struct gmem *mem; /* the VM's RAM; must outlive the port, or port_detach() */
	void *owner;		/* of the environment: port_owner() */
};

struct filter;

struct vswitch *switch_create(const char *name); /* NULL: no memory */
void switch_destroy(struct vswitch *sw);	 /* without ports */

/* A port with its link up and no queue running; NULL: no memory or VS_MAX_PORTS reached. */
struct port *port_create(struct vswitch *sw, const struct port_config *config);
/* Stops its queues, forgets it in the FDB, takes it from the switch: its counters are final then.
 * Only they and its name may be asked for afterwards. */
void port_retire(struct port *port);
void port_destroy(struct port *port); /* retires it first, if that was not done */
void *port_owner(const struct port *port);

/*
 * A port outlives the driver behind it, with its counters and what was learned of it: detach stops its
 * queues, and afterwards no CPU knows the old owner; it has none (NULL) until a new one attaches. What is
 * sent to it meanwhile is dropped, as while no queue runs. What the owner has set (filter, pairs), it has
 * undone before. Control path, bounded like port_stop_queue().
 */
void port_detach(struct port *port);
void port_attach(struct port *port, const struct gmem *mem, void *owner);
bool port_is_uplink(const struct port *port);
const char *port_name(const struct port *port);
const char *port_switch_name(const struct port *port);
const uint8_t *port_mac(const struct port *port);

/* One virtqueue as the driver set it up. */
struct queue_setup {
	unsigned size;		       /* 1..32768, of a split ring a power of two: checked */
	uint64_t desc, driver, device; /* GPAs: table, available and used ring, or ring, driver and
					* device event area: checked */
	uint64_t features;	       /* negotiated feature bits */
};

/* 0, or a negative number if the rings are not in RAM, misaligned, or the size is wrong: the queue
 * then stays stopped and *why says what is wrong. */
int port_start_queue(struct port *port, unsigned queue, const struct queue_setup *setup,
		     const char **why);

/* After it returns no CPU touches the queue's rings or buffers (design: "Queue reset"). Bounded by
 * one batch of each other CPU. Not to be called from inside an env_*() call, nor with a lock held
 * that an env_*() call takes. */
void port_stop_queue(struct port *port, unsigned queue);

/* Changes what receive queues that run take unsegmented and unsummed: of GUEST_CSUM, GUEST_TSO4/6
 * and GUEST_USO4/6 those in `features` (5.1.6.5.8, Offloads State Configuration). Starting a queue
 * sets it as negotiated. Control path. */
void port_set_guest_offloads(struct port *port, uint64_t features);

/* The offloads in use now: VIRTIO_NET_F_* of the first pair, of a queue that runs. */
uint64_t port_offloads(const struct port *port);

/* Which frames the guest wants (vswitch/filter.h), copied; NULL, and so it begins: all. The address in it is
 * the port's own from then on, beside the config's: no uplink can have it. Bounded like port_stop_queue(), and
 * not to be called from where that is not. */
void port_set_filter(struct port *port, const struct filter *filter);

/* The link of a port, up to begin with: what is sent or comes while it is down is dropped, but for the
 * batches that other CPUs are in. What the guest is told of it is the device model's affair. */
void port_set_link(struct port *port, bool up);
bool port_link(const struct port *port);

/* So many receive queues, from the first one, get frames: 1..queue_pairs; it begins with 1. */
void port_set_pairs(struct port *port, unsigned pairs);

/* The driver kicked the queue, of either kind (a kick of a receive queue says that there are new
 * buffers): counts it, and is port_service() otherwise. */
unsigned port_kick(struct port *port, unsigned queue, unsigned quota);

/*
 * The queue's work is due: after env_more_work(), or because nobody else would look. Serves a
 * transmit queue: at most `quota` packets; returns the packets taken. What remains is announced by
 * env_more_work(). If another CPU is serving the queue, that CPU is made to look again and 0 is
 * returned at once.
 */
unsigned port_service(struct port *port, unsigned queue, unsigned quota);

/*
 * The guest may have put packets without a kick (policy batching): takes them, from each of the
 * port's queues of which that is so. Whoever answered env_will_flush() with true calls it. late: the
 * time is up, or the guest's CPU goes away; what was not used of the trust is withdrawn.
 */
void port_flush(struct port *port, bool late);

/* The guest's CPU goes away: interrupts that a CPU which polls has left for later are raised, if they are
 * wanted still. */
void port_settle(struct port *port);

/* A vCPU of the port's guest has got a CPU, which calls this before it enters: queues that hold packets
 * for it (policy preemptive-copy off) are announced by env_work_here(). */
void port_arrive(struct port *port);

/*
 * Polling of a transmit queue by one CPU that has nothing else to do. From port_poll_begin() on, if it
 * returns true, the driver need not kick; that CPU calls port_poll() again and again, which returns
 * the packets taken, at most a batch, and at the end port_poll_end(), which takes `quota` more at most, from 1 on:
 * others that are there are announced by env_more_work(). Others may serve the queue meanwhile.
 */
bool port_poll_begin(struct port *port, unsigned queue);
unsigned port_poll(struct port *port, unsigned queue);
void port_poll_end(struct port *port, unsigned queue, unsigned quota);

/* Forwards one frame held by the hypervisor itself (tests, later ARP and the like): from `port` as
 * if its guest had sent it; data without virtio-net header. The verdict is what became of it. */
enum verdict port_inject(struct port *port, const void *frame, size_t bytes);

/* FDB: a look at it, entry by entry. */
struct fdb_view {
	uint8_t mac[6];
	const struct port *port;
	uint64_t age_us;
};
unsigned switch_fdb(const struct vswitch *sw, struct fdb_view *out, unsigned room);

/* Counters (include/lasthop/stats.h): of a port, summed over CPUs. */
uint64_t port_counter(const struct port *port, enum stat_id id);

/* All packets dropped at the port as a sender (tx_drop_*), or as a receiver (rx_drop_*). */
uint64_t port_counter_drops(const struct port *port, bool received);

/* Do the equations at the head of stats.h hold? While no CPU is in the switch; for the switch as a
 * whole, if no port of it was destroyed. */
bool port_counters_balance(const struct port *port);
bool switch_counters_balance(const struct vswitch *sw);

/* Ports of a switch, for listing: NULL past the last, and of no switch (NULL). */
struct port *switch_port(const struct vswitch *sw, unsigned i);
const char *switch_name(const struct vswitch *sw);
