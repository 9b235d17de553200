/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counters of a port: a slot for each CPU that has ever counted something there, summed when read.
 * A CPU whose slot cannot be allocated counts in the port's spare slot, atomically: slower, but
 * nothing is lost.
 */
#include "vswitch/switch_impl.h"

struct stat_slot *stats_slot_slow(struct port *port, unsigned cpu)
{
	struct stat_slot *slot = env_alloc(sizeof(*slot));

	if (slot == NULL)
		return &port->spare;
	atomic_store_explicit(&port->stats[cpu], slot, memory_order_release);
	return slot;
}

struct stat_slot *stats_slot_now(struct port *port, unsigned cpu)
{
	struct stat_slot *slot = atomic_load_explicit(&port->stats[cpu], memory_order_relaxed);

	return slot != NULL ? slot : &port->spare;
}

void stats_free(struct port *port)
{
	for (unsigned cpu = 0; cpu < VS_MAX_CPUS; cpu++) {
		struct stat_slot *slot =
			atomic_load_explicit(&port->stats[cpu], memory_order_relaxed);

		if (slot != NULL)
			env_free(slot, sizeof(*slot));
	}
}

uint64_t port_counter(const struct port *port, enum stat_id id)
{
	uint64_t sum = atomic_load_explicit(&port->spare.value[id], memory_order_relaxed);

	for (unsigned cpu = 0; cpu < VS_MAX_CPUS; cpu++) {
		const struct stat_slot *slot =
			atomic_load_explicit(&port->stats[cpu], memory_order_acquire);

		if (slot != NULL)
			sum += atomic_load_explicit(&slot->value[id], memory_order_relaxed);
	}
	return sum;
}

/* The counter of a dropping verdict at the sender. */
static enum stat_id stat_of_tx_drop(enum verdict verdict)
{
	switch (verdict) {
	case VERDICT_DROP_SHORT:
		return STAT_tx_drop_short;
	case VERDICT_DROP_LONG:
		return STAT_tx_drop_long;
	case VERDICT_DROP_BAD_HEADER:
		return STAT_tx_drop_bad_header;
	case VERDICT_DROP_BAD_CSUM:
		return STAT_tx_drop_bad_csum;
	case VERDICT_DROP_BAD_GSO:
		return STAT_tx_drop_bad_gso;
	case VERDICT_DROP_UNPLUGGED:
		return STAT_tx_drop_unplugged;
	case VERDICT_DROP_BAD_SOURCE:
		return STAT_tx_drop_bad_source;
	case VERDICT_DROP_SAME_PORT:
		return STAT_tx_drop_same_port;
	case VERDICT_DROP_REFLECTED:
		return STAT_tx_drop_reflected;
	case VERDICT_DROP_TRANSIT:
		return STAT_tx_drop_transit;
	case VERDICT_DROP_NO_PORT:
		return STAT_tx_drop_no_port;
	case VERDICT_DROP_BROKEN:
		return STAT_tx_drop_broken;
	default: /* the rest is about the receiver */
		return STAT_tx_drop_receiver;
	}
}

/* ... and at the receiver. */
static enum stat_id stat_of_rx_drop(enum verdict verdict)
{
	switch (verdict) {
	case VERDICT_DROP_FILTERED:
		return STAT_rx_drop_filtered;
	case VERDICT_DROP_NO_BUFFER:
		return STAT_rx_drop_no_buffer;
	case VERDICT_DROP_BUFFER_SMALL:
		return STAT_rx_drop_buffer_small;
	case VERDICT_DROP_RESET:
		return STAT_rx_drop_reset;
	case VERDICT_DROP_BROKEN:
		return STAT_rx_drop_broken;
	default:
		return STAT_rx_drop_link_down;
	}
}

void stat_add_drops(struct stat_slot *slot, const uint32_t drops[VERDICT_COUNT], bool received)
{
	for (unsigned v = 0; v < VERDICT_COUNT; v++)
		if (drops[v] != 0)
			stat_add(slot,
				 received ? stat_of_rx_drop((enum verdict)v)
					  : stat_of_tx_drop((enum verdict)v),
				 drops[v]);
}

uint64_t port_counter_drops(const struct port *port, bool received)
{
	static const enum stat_id tx[] = {
		STAT_tx_drop_short,	 STAT_tx_drop_long,	 STAT_tx_drop_bad_header,
		STAT_tx_drop_bad_source, STAT_tx_drop_same_port, STAT_tx_drop_reflected,
		STAT_tx_drop_transit,	 STAT_tx_drop_no_port,	 STAT_tx_drop_receiver,
		STAT_tx_drop_broken,	 STAT_tx_drop_bad_csum,	 STAT_tx_drop_bad_gso,
		STAT_tx_drop_unplugged,
	};
	static const enum stat_id rx[] = {
		STAT_rx_drop_filtered,	   STAT_rx_drop_link_down, STAT_rx_drop_no_buffer,
		STAT_rx_drop_buffer_small, STAT_rx_drop_reset,	   STAT_rx_drop_broken,
	};
	const enum stat_id *list = received ? rx : tx;
	size_t count = received ? sizeof(rx) / sizeof(rx[0]) : sizeof(tx) / sizeof(tx[0]);
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += port_counter(port, list[i]);
	return sum;
}

bool port_counters_balance(const struct port *port)
{
	return port_counter(port, STAT_tx_packets) == port_counter(port, STAT_tx_delivered) +
							      port_counter(port, STAT_tx_flooded) +
							      port_counter_drops(port, false);
}

bool switch_counters_balance(const struct vswitch *sw)
{
	uint64_t sent = 0, received = 0;

	for (unsigned i = 0; i < VS_MAX_PORTS; i++) {
		const struct port *port = switch_port(sw, i);

		if (port == NULL)
			break;
		if (!port_counters_balance(port))
			return false;
		sent += port_counter(port, STAT_tx_delivered) +
			port_counter(port, STAT_tx_drop_receiver) +
			port_counter(port, STAT_tx_flood_copies) +
			port_counter(port, STAT_gso_segments) -
			port_counter(port, STAT_gso_segmented);
		received += port_counter(port, STAT_rx_packets) + port_counter_drops(port, true);
	}
	return sent == received;
}
