/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypercalls of the bundled guests (include/lasthop/hypercall.h). Each struct is copied from
 * the guest once, then checked.
 */
#include "lasthop/hypercall.h"

#include <string.h>

#include "hv/core/cpu_time.h"
#include "hv/core/exit_cause.h"
#include "hv/core/lifecycle.h"
#include "hv/core/platform.h"
#include "hv/core/timer.h"
#include "hv/core/vcpu.h"
#include "hv/core/watchdog.h"
#include "lasthop/bench.h"
#include "vswitch/switch.h"

#define OUTSIDE	    "outside" /* the name of a peer that is no VM */
#define MAX_RUNS    1000u
#define MAX_RESULTS 32000u /* of a VM, which could tell for ever: 32 tests of so many runs */

static uint64_t vm_wakeups(const struct vm *vm)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < vm->vcpu_count; i++)
		sum += atomic_load_explicit(&vm->vcpus[i]->wakeups, memory_order_relaxed);
	return sum;
}

static uint64_t port_sum(const struct port *port, const enum stat_id *ids, unsigned count)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < count; i++)
		sum += port_counter(port, ids[i]);
	return sum;
}

static void add_port(struct report_window *w, const struct port *port)
{
	static const enum stat_id interrupts[] = { STAT_interrupts_blocked,
						   STAT_interrupts_runnable,
						   STAT_interrupts_running, STAT_interrupts_tx };

	w->notifications += port_sum(port, interrupts, sizeof(interrupts) / sizeof(interrupts[0]));
	/* what the receiver dropped is counted at its own port, too */
	w->drops += port_counter_drops(port, true) + port_counter_drops(port, false) -
		    port_counter(port, STAT_tx_drop_receiver);
	w->copies += port_counter(port, STAT_copies);
	w->kicks += port_counter(port, STAT_kicks);
}

static void add_peer(struct report_window *w, const struct port *port, const struct vm *peer,
		     const char **name)
{
	w->way_drops += port_counter_drops(port, false) - port_counter(port, STAT_tx_drop_receiver);
	exit_counts_add(&w->peer_exits, peer);
	w->peer_wakeups = vm_wakeups(peer);
	add_port(w, port);
	*name = peer->config->name; /* the config outlives the VM */
}

/* The counters now, of the caller and the VM with peer_mac; its name in *peer. A MAC that is nobody's is
 * of the world, if an uplink leads there. False if it is nobody's, or own_mac is not the caller's. */
static bool snapshot(struct vm *vm, const uint8_t own_mac[6], const uint8_t peer_mac[6],
		     struct report_window *out, const char **peer_name)
{
	struct vm *owner = NULL, *peer = NULL;
	struct port *own_port, *peer_port;
	uint64_t time[TIME_KINDS];
	bool ok = false;

	memset(out, 0, sizeof(*out));
	cpu_time_sum(time);
	out->root_ticks = time[TIME_ROOT];
	out->guest_ticks = time[TIME_GUEST];
	out->driver_ticks = time[TIME_DRIVER];
	out->poll_ticks = time[TIME_POLL];
	spin_lock(&vm_table_lock); /* the peer may end at any time */
	own_port = platform->port_by_mac(own_mac, &owner);
	peer_port = platform->port_by_mac(peer_mac, &peer);
	if (own_port && owner == vm && (peer_port || platform->leads_outside(own_port))) {
		out->way_drops = port_counter_drops(own_port, true);
		exit_counts_add(&out->own_exits, vm);
		add_port(out, own_port);
		*peer_name = OUTSIDE;
		if (peer_port)
			add_peer(out, peer_port, peer, peer_name);
		else /* either way: who sends, and who tells, is the VM's matter */
			out->way_drops += port_counter_drops(own_port, false);
		ok = true;
	}
	spin_unlock(&vm_table_lock);
	return ok;
}

static int64_t bench_begin(struct vm *vm, gpa_t at)
{
	struct report_window now;
	struct bench_begin b;
	const char *peer;

	if (!vm_read(vm, at, &b, sizeof(b)))
		return HC_EFAULT;
	if (b.reserved || !snapshot(vm, b.own_mac, b.peer_mac, &now, &peer))
		return HC_EINVAL;
	spin_lock(&vm->lock);
	vm->window.open = true;
	vm->window.start = now;
	memcpy(vm->window.own_mac, b.own_mac, sizeof(b.own_mac));
	memcpy(vm->window.peer_mac, b.peer_mac, sizeof(b.peer_mac));
	spin_unlock(&vm->lock);
	return 0;
}

static bool result_ok(const struct bench_result *r)
{
	if (r->test != BENCH_STREAM && r->test != BENCH_RR)
		return false;
	for (unsigned i = 0; i < sizeof(r->reserved) / sizeof(r->reserved[0]); i++)
		if (r->reserved[i])
			return false;
	return r->runs >= 1 && r->runs <= MAX_RUNS && r->run >= 1 && r->run <= r->runs &&
	       r->frame_bytes <= VS_MAX_FRAME;
}

static void subtract(struct report_window *end, const struct report_window *start)
{
	exit_counts_subtract(&end->own_exits, &start->own_exits);
	exit_counts_subtract(&end->peer_exits, &start->peer_exits);
	end->notifications -= start->notifications;
	end->copies -= start->copies;
	end->kicks -= start->kicks;
	end->drops -= start->drops;
	end->way_drops -= start->way_drops;
	end->peer_wakeups -= start->peer_wakeups;
	end->root_ticks -= start->root_ticks;
	end->guest_ticks -= start->guest_ticks;
	end->driver_ticks -= start->driver_ticks;
	end->poll_ticks -= start->poll_ticks;
}

static int64_t bench_result(struct vm *vm, gpa_t at)
{
	struct report_window now;
	struct vm_window window;
	struct bench_result r;
	const char *peer;

	if (!vm_read(vm, at, &r, sizeof(r)))
		return HC_EFAULT;
	spin_lock(&vm->lock);
	window = vm->window;
	vm->window.open = false;
	if (window.results < MAX_RESULTS)
		vm->window.results++;
	spin_unlock(&vm->lock);
	if (!window.open || window.results == MAX_RESULTS || !result_ok(&r) ||
	    !snapshot(vm, window.own_mac, window.peer_mac, &now, &peer))
		return HC_EINVAL;
	subtract(&now, &window.start);
	now.begin_ns = tsc_to_ns(rdtsc());
	now.begin_ns -= r.age_ns < now.begin_ns ? r.age_ns : now.begin_ns;
	report_result(vm->config->name, peer, &r, &now);
	return 0;
}

static int64_t carrier(struct vm *vm, uint64_t arg)
{
	if (!vm->config->driver_domain)
		return HC_EUNKNOWN;
	return platform->uplink_carrier(vm, arg >> 1, arg & 1) ? 0 : HC_EINVAL;
}

int64_t hypercall(struct vcpu *vcpu, uint64_t number, uint64_t arg)
{
	switch (number) {
	case HC_BENCH_BEGIN:
		return bench_begin(vcpu->vm, (gpa_t){ arg });
	case HC_BENCH_RESULT:
		return bench_result(vcpu->vm, (gpa_t){ arg });
	case HC_END:
		if (arg == 0)
			vm_end(vcpu->vm, END_OK, "%s", "");
		else
			vm_end(vcpu->vm, END_FAILED, "the guest ended with status %llu",
			       (unsigned long long)arg);
		return 0;
	case HC_WATCHDOG:
		return watchdog_feed(vcpu->vm, arg);
	case HC_CARRIER:
		return carrier(vcpu->vm, arg);
	default:
		return HC_EUNKNOWN;
	}
}
