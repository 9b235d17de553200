/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All that the data plane asks of its surroundings. Bound by the linker: the hypervisor implements
 * it once (hv/dev/switch_env.c, reuse_env.c, virtio_net.c), the tests and the native benchmark again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct port;
struct seg;
struct uplink_piece;

enum peer_state { PEER_BLOCKED, PEER_RUNNABLE, PEER_RUNNING, PEER_OFF };

/* State of the vCPU that takes this queue's interrupt, at a glance: may be stale when read. A sequentially
 * consistent read. */
enum peer_state env_peer_state(const struct port *port, unsigned queue);

/* Raises the queue's interrupt (MSI-X) at the guest, waking it if it is blocked. */
void env_interrupt(struct port *port, unsigned queue);

/* The driver broke a rule on the queue: NEEDS_RESET, configuration interrupt, a limited log line.
 * why: a short sentence. */
void env_device_broken(struct port *port, unsigned queue, const char *why);

/* A transmit queue has more than one service may take: port_service() wants to be called again soon, best on
 * the sender's CPU. */
void env_more_work(struct port *port, unsigned queue);

/* A transmit queue's receiver is about to run on this CPU, which calls port_service() before it enters it. */
void env_work_here(struct port *port, unsigned queue);

/* The port's guest may put packets without a kick from now on, or is owed an interrupt: does this CPU
 * call port_flush() for it, at each VM exit of the guest, and within_us from now at the latest? Only if it
 * is about to go on with that guest. Of several calls the earliest time counts, until that comes by. */
bool env_will_flush(struct port *port, uint32_t within_us);

/* The transmit queue is busy: if there is an idle CPU, let that poll it (port_poll_begin()) from soon
 * on; true: it will. */
bool env_offload(struct port *port, unsigned queue);

/* What lending has cost: pages mapped, and invalidations of the IOMMU's cache. Added to what is there. */
struct share_cost {
	uint32_t mapped, flushes;
};

/* Shares the first `bytes` of seg[], memory of the guest of `from`, with the devices of the driver domain of
 * `to`, an uplink: they may read it until it is unshared, and afterwards as long as that is kept for reuse.
 * Fills piece[] with what to tell them: the number, at most `room`. 0: it cannot be, nothing is shared. */
unsigned env_share(struct port *to, const struct port *from, const struct seg *seg, uint32_t bytes,
		   struct uplink_piece *piece, unsigned room, struct share_cost *cost);
/* So many pieces, which env_share() has filled, are in use no more. */
void env_unshare(struct port *to, const struct uplink_piece *piece, unsigned pieces,
		 struct share_cost *cost);
/* The guest whose memory these pieces are takes it back, though they are in use: devices read zeroes there instead,
 * but where a packet lies that is shared still, until that is unshared. Valid when env_revoke() has returned. */
void env_disown(struct port *to, const struct uplink_piece *piece, unsigned pieces);
/* The same as env_unshare(), of pieces that were disowned. */
void env_unshare_disowned(struct port *to, const struct uplink_piece *piece, unsigned pieces,
			  struct share_cost *cost);
/* When it returns, no device of any driver domain reads memory of the guest of `from` but what is shared and not
 * disowned. */
void env_revoke(const struct port *from);
/* The driver domain of `to` lets go of what it had: as env_revoke(), but for pages that are shared with other
 * ports of it. */
void env_reclaim(struct port *to);

/* CPUs whose scratch memory a new switch sets aside; others get theirs at their first batch. */
unsigned env_cpus(void);
unsigned env_cpu(void);	   /* this CPU's number, below VS_MAX_CPUS; the caller stays on it */
uint64_t env_now_us(void); /* monotonic */
/* A moment of a wait for the end of a CPU's batch, which began at since_us. Does not come back if that
 * takes far too long. */
void env_await(unsigned cpu, uint64_t since_us);
void *env_alloc(size_t bytes); /* zeroed, 64-byte aligned at least; NULL if there is none */
void env_free(void *p, size_t bytes);
