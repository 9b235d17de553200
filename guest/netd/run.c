/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The main loop: polls both sides of all ports in turn while frames come, with interrupts off. When
 * there is nothing to do, arms both sides, looks once more, and halts.
 */
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/print.h"
#include "guest/lib/runtime.h"
#include "guest/lib/trap.h"
#include "guest/netd/netd.h"
#include "lasthop/hypercall.h"

enum { TICK_MS = 250, POLL_US = 500, STUCK_MS = 5000 };

static uint64_t next_tick, tick_ms = TICK_MS, watchdog;

static void drop(struct netd_path *path, const struct nic_frame *frame)
{
	for (unsigned i = 0; i < frame->segments; i++)
		if (frame->segment[i].buffer != NIC_FOREIGN)
			path->from->ops->release(path->from, frame->segment[i].buffer);
}

bool netd_forward(struct netd_path *path, bool link_up)
{
	struct nic *from = path->from, *to = path->to;
	unsigned frames = 0, buffers = 0;
	struct nic_frame *frame;
	uint16_t buffer;

	/* Each buffer is out once: there are not more than the receiver has. */
	for (; to->ops->sent(to, &buffer); buffers++)
		from->ops->release(from, buffer);
	for (; frames < NETD_BURST && (frame = from->ops->receive(from)); frames++) {
		if (link_up && to->ops->send(to, frame))
			continue;
		drop(path, frame);
		path->dropped += link_up;
		path->link_dropped += !link_up;
	}
	if (frames)
		to->ops->flush(to);
	if (frames || buffers)
		from->ops->refill(from);
	return frames || buffers;
}

/* Uplinks come in the order of the bus, and so do their ports. */
void netd_tell_carrier(const struct netd_port *port)
{
	(void)hypercall(HC_CARRIER, 2 * (uint64_t)(port - netd_ports) + port->link.up, 0);
}

static void check_link(struct netd_port *port)
{
	struct nic_link link = port->nic->ops->link(port->nic);

	if (link.up == port->link.up && link.mbit_s == port->link.mbit_s)
		return;
	port->link_changes += link.up != port->link.up;
	port->link = link;
	netd_tell_carrier(port);
	netd_report_link(port);
}

static void check_trouble(struct nic *nic)
{
	if (nic->trouble)
		guest_fail("%s 00:%02x.%x: %s", nic->ops->name, nic->devfn >> 3, nic->devfn & 7,
			   nic->trouble);
}

/* A NIC that has a link but sends nothing any more is as good as dead. Once a tick: a time in which we are paused
 * ourselves is none of the NIC's. */
static void check_stuck(struct netd_port *port)
{
	struct nic *nic = port->nic;
	uint64_t sent = nic->stats.tx_frames - nic->sending;

	if (!nic->sending || !port->link.up || sent != port->stuck_sent) {
		port->stuck_sent = sent;
		port->stuck_ms = 0;
		return;
	}
	port->stuck_ms += tick_ms;
	if (port->stuck_ms > STUCK_MS)
		guest_fail("%s 00:%02x.%x: it has sent nothing for %d ms", nic->ops->name,
			   nic->devfn >> 3, nic->devfn & 7, STUCK_MS);
}

static void obey(char key)
{
	for (unsigned i = 0; i < netd_port_count; i++) {
		if (key == 's')
			netd_report_stats(&netd_ports[i]);
		else if (key == 'r')
			netd_open(&netd_ports[i]);
	}
}

static void tick(void)
{
	next_tick = rdtsc() + clock_ms(tick_ms);
	if (watchdog)
		(void)hypercall(HC_WATCHDOG, watchdog, 0);
	for (unsigned i = 0; i < netd_port_count; i++) {
		struct netd_port *port = &netd_ports[i];

		check_link(port);
		check_stuck(port);
		port->nic->ops->count(port->nic);
		port->uplink->ops->count(port->uplink);
	}
	obey(uart_key());
}

static bool poll(void)
{
	bool busy = false;

	for (unsigned i = 0; i < netd_port_count; i++) {
		struct netd_port *port = &netd_ports[i];

		if (port->nic->link_changed)
			check_link(port);
		busy |= netd_forward(&port->out, port->link.up);
		busy |= netd_forward(&port->in, true);
		check_trouble(port->nic);
		check_trouble(port->uplink);
	}
	return busy;
}

static void disarm_all(void)
{
	for (unsigned i = 0; i < netd_port_count; i++) {
		netd_ports[i].nic->ops->disarm(netd_ports[i].nic);
		netd_ports[i].uplink->ops->disarm(netd_ports[i].uplink);
	}
}

/* A line interrupt comes again after its EOI unless the device has let go of the line: so the handler
 * disarms. Lines are shared; whose it was shows the next look. */
static void on_interrupt(unsigned vector)
{
	(void)vector;
	disarm_all();
}

static void sleep(void)
{
	uint64_t until = next_tick;
	bool quiet = true;

	for (unsigned i = 0; i < netd_port_count; i++) {
		struct netd_port *port = &netd_ports[i];

		quiet &= port->nic->ops->arm(port->nic);
		quiet &= port->uplink->ops->arm(port->uplink);
		if (!port->nic->interrupt && until > rdtsc() + clock_us(POLL_US))
			until = rdtsc() + clock_us(POLL_US);
	}
	if (quiet)
		clock_wait(until);
	disarm_all();
}

_Noreturn void netd_run(uint64_t watchdog_ms)
{
	irq_hook = on_interrupt;
	if (watchdog_ms && hypercall_present()) {
		watchdog = watchdog_ms;
		tick_ms = watchdog_ms / 4 < TICK_MS ? watchdog_ms / 4 : TICK_MS;
	}
	for (;;) {
		bool busy = poll(); /* first: after a pause, what is done is not to look stuck */

		if (rdtsc() >= next_tick)
			tick();
		if (!busy)
			sleep();
	}
}
