/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one list of counters: of a port (kept per CPU, summed when read). Shell, JSON and
 * docs/counters.md are generated from it. X(name, unit, class, help); class: traffic, policy,
 * resource, fault. A drop's counter carries its verdict's name (lasthop/verdict.h) and is counted
 * at the port that sent the packet, but for those about the receiver, marked (rx).
 *
 * Nothing gets lost uncounted. While no CPU is in the switch it holds for each port that
 *     tx_packets = tx_delivered + tx_flooded + all tx_drop_*
 * and summed over the ports of a switch, those destroyed meanwhile included, that
 *     rx_packets + all rx_drop_* = tx_delivered + tx_drop_receiver + tx_flood_copies
 *                                  + gso_segments - gso_segmented
 * (switch_counters_balance() asks exactly this).
 */
#pragma once

#define STATS_TABLE(X)                                                                             \
	X(tx_packets, packets, traffic, "taken from the guest's transmit queues")                  \
	X(tx_bytes, bytes, traffic, "of these packets, without virtio-net headers")                \
	X(rx_packets, packets, traffic, "put into the guest's receive queues")                     \
	X(rx_bytes, bytes, traffic, "of these packets, without virtio-net headers")                \
	X(tx_delivered, packets, traffic, "sent, and copied to one receiver")                      \
	X(tx_flooded, packets, traffic, "sent to all other ports: unknown destination or a group") \
	X(tx_flood_copies, packets, traffic, "of flooded packets, one for each other port")        \
	X(tx_drop_unplugged, packets, policy, "the port's own link is down")                       \
	X(tx_drop_short, packets, fault, "shorter than an Ethernet header")                        \
	X(tx_drop_long, packets, fault, "longer than the port's MTU allows")                       \
	X(tx_drop_bad_header, packets, fault, "virtio-net header missing or not negotiated")       \
	X(tx_drop_bad_csum, packets, fault,                                                        \
	  "checksum to be made lies outside of the frame's data")                                  \
	X(tx_drop_bad_gso, packets, fault, "frame to be segmented is not what its header says")    \
	X(tx_drop_bad_source, packets, fault, "source address is a group or zero")                 \
	X(tx_drop_same_port, packets, policy, "destination is behind the port it came from")       \
	X(tx_drop_reflected, packets, policy,                                                      \
	  "from an uplink, with the source address of a port here")                                \
	X(tx_drop_transit, packets, policy, "from one uplink to another")                          \
	X(tx_drop_no_port, packets, resource, "no other port to send it to")                       \
	X(tx_drop_receiver, packets, resource, "its receiver dropped it: see there, rx_drop_*")    \
	X(tx_drop_broken, packets, fault, "of a queue that broke a rule and was stopped")          \
	X(rx_drop_filtered, packets, policy, "(rx) guest does not want this address or VLAN")      \
	X(rx_drop_link_down, packets, resource, "(rx) link down, or receive queue not running")    \
	X(rx_drop_no_buffer, packets, resource, "(rx) no free receive buffer")                     \
	X(rx_drop_buffer_small, packets, fault, "(rx) receive buffers too small for the frame")    \
	X(rx_drop_reset, packets, resource, "(rx) receiver was reset while it was copied")         \
	X(rx_drop_broken, packets, fault, "(rx) the receive queue broke a rule and was stopped")   \
	X(copies, packets, traffic, "payload copies made for packets to this port")                \
	X(copied_bytes, bytes, traffic, "bytes of these copies")                                   \
	X(lent, packets, traffic, "(rx) lent to a driver domain, not copied")                      \
	X(lent_bytes, bytes, traffic, "of these packets, without virtio-net headers")              \
	X(lent_mapped, pages, traffic, "(rx) mapped for devices of the driver domain")             \
	X(lent_flushes, events, traffic, "(rx) invalidations of the IOMMU's cache for that")       \
	X(gso_whole, packets, traffic, "(rx) frames of several segments passed on whole")          \
	X(gso_segmented, packets, traffic, "(rx) frames segmented in software for this receiver")  \
	X(gso_segments, packets, traffic, "(rx) packets they became, those dropped included")      \
	X(csum_software, packets, traffic, "(rx) checksums made in software for this receiver")    \
	X(kicks, events, traffic, "driver notifications received (each is a VM exit)")             \
	X(kicks_saved, events, traffic, "times that packets were found without a kick")            \
	X(batches, events, traffic, "transmit batches that were not empty")                        \
	X(batches_1, events, traffic, "of them, with one packet")                                  \
	X(batches_2_7, events, traffic, "of them, with 2 to 7 packets")                            \
	X(batches_8_31, events, traffic, "of them, with 8 to 31 packets")                          \
	X(batches_32_64, events, traffic, "of them, with 32 to 64 packets")                        \
	X(batches_offloaded, events, traffic, "of them, taken by a CPU that was idle")             \
	X(batches_held, events, traffic, "batches that wait for a receiver to run")                \
	X(offloads, events, traffic, "times that a queue was handed to an idle CPU")               \
	X(polls_empty, events, traffic, "looks at the queue by an idle CPU that found nothing")    \
	X(interrupts_blocked, events, traffic, "receive interrupts to a blocked vCPU")             \
	X(interrupts_runnable, events, traffic, "receive interrupts to a runnable vCPU")           \
	X(interrupts_running, events, traffic, "receive interrupts to a running vCPU")             \
	X(interrupts_tx, events, traffic, "transmit completion interrupts")                        \
	X(interrupts_saved, events, traffic,                                                       \
	  "not raised: the driver did not ask, or one for several")                                \
	X(queue_stopped, events, fault, "queues stopped because the driver broke a rule")          \
	X(queue_resets, events, resource, "queues stopped by reset or at the end of the VM")       \
	X(learned, events, traffic, "source addresses learned or moved to this port")              \
	X(fdb_full, events, resource, "source addresses not learned: table or port limit full")

enum stat_id {
#define STAT_ENUM(name, unit, class, help) STAT_##name,
	STATS_TABLE(STAT_ENUM)
#undef STAT_ENUM
		STAT_COUNT
};
