/* SPDX-License-Identifier: BSD-2-Clause */
/* The benchmark guest's beginning: boot arguments, the device, then its role (see bench.h). */
#include "guest/bench/bench.h"

#include "guest/lib/args.h"
#include "guest/lib/clock.h"
#include "guest/lib/print.h"
#include "guest/lib/runtime.h"
#include "guest/lib/string.h"
#include "guest/lib/virtio_pci.h"
#include "lasthop/hypercall.h"

static enum net_tx_mode tx_mode(const char *cmdline)
{
	char mode[16];

	if (!args_string(cmdline, "tx", mode, sizeof(mode)) || !strcmp(mode, "single"))
		return NET_TX_SINGLE;
	if (!strcmp(mode, "chain"))
		return NET_TX_CHAIN;
	if (!strcmp(mode, "indirect"))
		return NET_TX_INDIRECT;
	guest_fail("tx=%s: single, chain or indirect is wanted", mode);
}

/* ring=packed, control=on and offload=on; all are off unless they are asked for. */
static uint64_t features_wanted(const char *cmdline)
{
	uint64_t features = 0;
	char word[16];

	if (args_string(cmdline, "ring", word, sizeof(word))) {
		if (!strcmp(word, "packed"))
			features |= VIRTIO_F_RING_PACKED;
		else if (strcmp(word, "split"))
			guest_fail("ring=%s: split or packed is wanted", word);
	}
	if (args_string(cmdline, "control", word, sizeof(word)) && !strcmp(word, "on"))
		features |= NET_F_CTRL_VQ | NET_F_CTRL_RX | NET_F_CTRL_MAC_ADDR;
	if (args_string(cmdline, "offload", word, sizeof(word)) && !strcmp(word, "on"))
		features |= NET_F_CSUM | NET_F_HOST_USO | NET_F_GUEST_CSUM | NET_F_GUEST_USO4 |
			    VIRTIO_F_INDIRECT_DESC; /* of frames that lie elsewhere */
	return features;
}

/* Through the control queue: our own address and broadcasts, no groups. */
static const char *net_filter(void)
{
	static const uint8_t no_tables[8], off;
	const char *error = net_command(0, 0, &off, 1); /* VIRTIO_NET_CTRL_RX, PROMISC */

	if (!error)
		error = net_command(1, 0, no_tables, sizeof(no_tables)); /* MAC, TABLE_SET */
	return error;
}

bool bench_begin(const struct link *link)
{
	static struct bench_begin begin;
	int64_t error;

	begin = (struct bench_begin){ 0 };
	memcpy(begin.own_mac, link->own.mac, 6);
	memcpy(begin.peer_mac, link->peer.mac, 6);
	error = hypercall(HC_BENCH_BEGIN, (uintptr_t)&begin, 0);
	if (!error || !hypercall_present())
		return true;
	print("bench: HC_BENCH_BEGIN answers %ld\n", error);
	return false;
}

static void print_result(const struct bench_result *r)
{
	uint64_t us = r->nanoseconds / 1000;

	if (r->test == BENCH_RR) {
		print("bench: rr %u run %u/%u: %lu answered, %lu lost, p50 %lu ns, p99 %lu ns\n",
		      r->frame_bytes, r->run, r->runs, r->transactions, r->lost, r->p50_ns,
		      r->p99_ns);
		return;
	}
	print("bench: stream %u run %u/%u: %lu of %lu in %lu us (%lu Mbit/s), %lu lost, "
	      "%lu reordered, %lu corrupt, %lu stalls\n",
	      r->frame_bytes, r->run, r->runs, r->packets, r->sent, us, us ? r->bytes * 8 / us : 0,
	      r->lost, r->reordered, r->corrupt, r->sender_stalls);
}

bool bench_report(const struct bench_result *result)
{
	static struct bench_result shown;
	int64_t error;

	shown = *result;
	error = hypercall(HC_BENCH_RESULT, (uintptr_t)&shown, 0);
	print_result(result); /* slow, but the window is closed */
	if (!error || !hypercall_present())
		return true;
	print("bench: HC_BENCH_RESULT answers %ld\n", error);
	return false;
}

static void open_device(struct link *link, const char *cmdline)
{
	const struct net_info *info = net_info();
	const char *error;
	uint64_t index;

	if (!args_u64(cmdline, "net", 0, &index) || index > 255)
		guest_fail("net= is not the number of a net device");
	net_want(features_wanted(cmdline));
	error = net_open((unsigned)index, tx_mode(cmdline));
	if (!error && info->features & NET_F_CTRL_VQ)
		error = net_filter();
	if (error)
		guest_fail("virtio-net device %lu: %s", index, error);
	memcpy(link->own.mac, info->mac, 6);
	print("bench: %02x:%02x:%02x:%02x:%02x:%02x mtu %u, %u receive buffers, %u transmit slots, "
	      "features %lx, TSC %lu kHz (%s)\n",
	      info->mac[0], info->mac[1], info->mac[2], info->mac[3], info->mac[4], info->mac[5],
	      info->mtu, info->rx_buffers, info->tx_slots, info->features, clock_tsc_khz(),
	      clock_source());
}

/* Never gives its CPU away. With interrupts on, though none comes: Bochs holds the hypervisor's own back
 * from a guest that was entered with them off. */
static __attribute__((noreturn)) void busy_main(void)
{
	__asm__ volatile("sti");
	for (volatile uint64_t turns = 0;; turns++)
		;
}

int guest_main(void)
{
	static struct link link;
	static struct bench_plan plan;
	const char *cmdline = guest_cmdline(), *error;
	uint64_t sources, loops;
	char role[16];
	int status;

	if (args_string(cmdline, "role", role, sizeof(role)) && !strcmp(role, "busy"))
		busy_main();
	wire_init();
	if (!args_ipv4(cmdline, "ip", &link.own.ip))
		guest_fail("ip= is missing or not an IPv4 address");
	if (!args_string(cmdline, "role", role, sizeof(role)))
		guest_fail("role= is missing: source or sink");
	if (!args_u64(cmdline, "sources", 1, &sources) || !sources)
		guest_fail("sources= is not a number above 0");
	if (!args_u64(cmdline, "count", 0, &loops))
		guest_fail("count= is not a number");
	open_device(&link, cmdline);
	if (!strcmp(role, "sink"))
		return sink_main(&link, sources);
	if (strcmp(role, "source"))
		guest_fail("role=%s: source or sink is wanted", role);
	if (!args_ipv4(cmdline, "peer", &link.peer.ip))
		guest_fail("peer= is missing or not an IPv4 address");
	error = plan_parse(cmdline, net_info()->mtu, net_info()->features & NET_F_HOST_USO, &plan);
	if (error) {
		print("guest: %s\n", error);
		if (link_resolve(&link)) /* else the sink waits a minute for us */
			source_bye(&link, 1);
		guest_end(1);
	}
	bench_count("first", loops);
	status = source_main(&link, &plan);
	bench_count("last", loops);
	return status;
}
