/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happened, for programs: one JSON object a line on the debug port 0xE9 (QEMU's isa-debugcon,
 * Bochs's port_e9_hack). Written only where reading the port gives 0xE9, as both do. Values are
 * strings and unsigned integers, or an object of them. `scripts/lasthop run` reads them; firmware may write other lines.
 *
 *   {"lasthop":1,"event":"boot","backend":"vmx","cpus":4,"tsc_khz":100000}
 *   {"lasthop":1,"event":"vm-start","vm":"alice","at_ns":40000,"free_kib":1048576,
 *        "irq_vectors":3}   at_ns: when it runs, which may be later, by the machine's clock; free_kib: of the machine's memory, this VM made; irq_vectors: host interrupts that devices of
 *        VMs have
 *   {"lasthop":1,"event":"vm-end","vm":"alice","vcpus":1,"run_us":250100,"wakeups":60,
 *        "wake_us_max":480,"exits":{"hlt":70},"end":"ok","reason":"","at_ns":90000}
 *        end: ok (HC_END 0), failed (HC_END otherwise), crash (stopped by the hypervisor; reason
 *        says why), hang (a driver domain missed its watchdog), off (the guest switched itself off), stopped (by the user). Since its start:
 *        run_us: CPU time of its vCPUs, together; wakeups: how often one was woken (blocked to
 *        runnable); wake_us_max: the longest that one then waited for a CPU; exits: by kind
 *        (hv/core/exit_cause.h)
 *   {"lasthop":1,"event":"vm-reset","vm":"alice","end":"reboot","reason":"","at_ns":50000}   at_ns: when it ended,
 *        by the machine's clock. end: reboot (by the guest), restart (by the
 *        user), or of a driver domain however it ended: it starts again (vm-start follows)
 *   {"lasthop":1,"event":"vm-waits","vm":"netd","reason":"it cannot be made again","at_ns":50500}   after a
 *        vm-reset: tried until it can, or the user stops it; told once
 *   {"lasthop":1,"event":"result","vm":"bob","peer":"alice","test":"stream", then every member of
 *        struct bench_result by name, then of the window: "exits" (both VMs), "own_exits",
 *        "peer_exits", "own_exits_by", "peer_exits_by" (objects: those by cause, hv/core/exit_cause.h),
 *        "notifications" (interrupts sent to both net devices), "copies" (packets copied, to either),
 *        "kicks" (of both drivers), "drops" (by both ports), "way_drops" (on the way from the peer to
 *        the VM: its receiver's and the peer's sender's), "peer_wakeups" (blocked to runnable),
 *        "begin_ns" (of a stream: when its first frame came, by the machine's clock), "root_ticks",
 *        "guest_ticks", "driver_ticks", "poll_ticks" (of all CPUs, hv/core/cpu_time.h)}   the peer is
 *        "outside" if its MAC is of no VM and the switch has an uplink: its counters are 0, and "way_drops"
 *        are all drops of the VM's own port
 *   {"lasthop":1,"event":"port","port":"alice/net0","switch":"lan","counters":{"tx_packets":10, then
 *        every counter of include/lasthop/stats.h by name}}   when the VM ends or starts again: a
 *        VM's ports are made anew each time it starts, and the counters are those of one such life
 *        (those of an uplink: of all its lives, when no guest is left)
 *   {"lasthop":1,"event":"uplink","port":"netd/net0","link":"up","at_ns":51000}   its driver has
 *        started, or is gone ("down"), or the first frame has come in by it since ("passes", to a
 *        millisecond); by the machine's clock; a driver that starts over and over is not told each time
 *   {"lasthop":1,"event":"link","port":"alice/net0","link":"down","at_ns":52000}   by the user, or
 *        because it follows the uplinks (link-follows-uplink)
 *   {"lasthop":1,"event":"queue-stopped","port":"alice/net0","queue":1,"reason":"…","at_ns":53000}
 *        its driver broke a rule of virtio; 5 a second and VM are told at most
 *   {"lasthop":1,"event":"vm-paused","vm":"alice","at_ns":54000}   and "vm-resumed": by the user
 *   {"lasthop":1,"event":"guest-result","vm":"bob","text":"test=tcp …","us":81000,"exits":120,
 *        "root_us":600,"guest_us":70000,"driver_us":0,"poll_us":0,"causes":{"hlt":100, then every other
 *        cause there was, hv/core/exit_cause.h}}
 *        told by the guest on its console (hv/core/marker.h); nobody has checked the text. When: by
 *        the machine's clock, and by its VM exits so far, those of all VMs; and what the
 *        CPUs' time went into so far, of all CPUs
 *   {"lasthop":1,"event":"feature","part":"VT-x","where":"","name":"INVEPT","state":"ok"}
 *        of a boot that only checks the machine (hv/cpu/feature.h); where: the device, if it is of one;
 *        state: ok, missing (optional), MISSING or unknown
 *   {"lasthop":1,"event":"refused","reason":"…"}   the loader or core cannot start; nothing runs
 *   {"lasthop":1,"event":"panic","reason":"…"}     the hypervisor failed
 *   {"lasthop":1,"event":"end"}                    every guest is off; driver domains may run on
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/core/exit_cause.h"
#include "lasthop/stats.h"

struct bench_result;

/* Counters of one measured window, both ends together unless named otherwise. */
struct report_window {
	struct exit_counts own_exits, peer_exits;
	uint64_t notifications, copies, kicks;
	uint64_t drops, way_drops, peer_wakeups;
	uint64_t begin_ns; /* of what was measured, by the machine's clock */
	uint64_t root_ticks, guest_ticks, driver_ticks,
		poll_ticks; /* TSC, of all CPUs (hv/core/cpu_time.h) */
};

/* Of a VM since its start, all vCPUs together. */
struct report_life {
	uint64_t run_us, wakeups, wake_us_max;
	uint64_t end_ns; /* by the machine's clock */
	struct exit_counts exits;
};

/* Of the whole machine since its start. */
struct report_machine {
	uint64_t us, root_us, guest_us, driver_us, poll_us;
	struct exit_counts exits;
};

/* Each writes one whole line; callable from any CPU, in any context (lines do not mix). */
void report_boot(const char *backend, unsigned cpus, uint64_t tsc_khz);
void report_vm_start(const char *vm, uint64_t at_ns, uint64_t free_kib, unsigned irq_vectors);
void report_vm_end(const char *vm, unsigned vcpus, const char *end, const char *reason,
		   const struct report_life *life);
void report_vm_reset(const char *vm, const char *end, const char *reason, uint64_t at_ns);
void report_vm_waits(const char *vm, const char *reason, uint64_t at_ns);
void report_result(const char *vm, const char *peer, const struct bench_result *result,
		   const struct report_window *window);
void report_port(const char *port, const char *switch_name, const uint64_t counters[STAT_COUNT]);
void report_uplink(const char *port, const char *link, uint64_t at_ns);
void report_link(const char *port, bool up, uint64_t at_ns);
void report_queue_stopped(const char *port, unsigned queue, const char *why, uint64_t at_ns);
void report_vm_paused(const char *vm, bool paused, uint64_t at_ns);
void report_feature(const char *part, const char *where, const char *name, const char *state);
void report_guest_result(const char *vm, const char *text, const struct report_machine *machine);
void report_refused(const char *reason);
void report_panic(const char *reason);
void report_end(void);

/*
 * What of it is an event (all but results and ports' counters) is kept, the last 64 KiB, for the
 * management channel. report_position: where the oldest whole line begins, or where the next will.
 * report_read: the bytes from there on, at most `room`, and moves the position; none also if they are
 * overwritten (the position is older than report_position(true)). Any CPU.
 */
#define REPORT_RING (64u * 1024)
uint64_t report_position(bool oldest);
size_t report_read(uint64_t *at, char *out, size_t room);
