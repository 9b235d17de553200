/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does a device give its guest the frames that it asked for on the control queue, and no other
 * (virtio 1.2, 5.1.6.5.1 to 5.1.6.5.3)? The receiver changes its filter step by step; after each it
 * asks the sender for one frame of every sort, and compares what came. Boot arguments: role=sender
 * or role=receiver.
 */
#include <stddef.h>

#include "guest/lib/args.h"
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/runtime.h"
#include "guest/lib/string.h"
#include "guest/lib/virtio_net.h"
#include "tests/boot/guests/check.h"

enum { ADDRESS = 6, FRAME = 64, WAIT_MS = 60000, RETRY_MS = 200 };
enum { VLAN_TAG = 4, TYPE_VLAN = 0x8100, TYPE = 0x88b5 }; /* IEEE 802: for experiments */
/* behind the type: what the frame is, and a request's round or a sample's number */
enum { REQUEST = 1, SAMPLE, END };
enum { LAST_ROUND = 255 };

/* 5.1.6.5: classes and their commands */
enum { CLASS_RX, CLASS_MAC, CLASS_VLAN };
enum { PROMISC, ALLMULTI, ALLUNI, NOMULTI, NOUNI, NOBCAST };
enum { TABLE_SET, ADDR_SET };
enum { VLAN_ADD, VLAN_DEL };

static uint8_t own[ADDRESS];
static const uint8_t other[ADDRESS] = { 0x52, 0x54, 0, 0xaa, 0, 1 };
static const uint8_t third[ADDRESS] = { 0x52, 0x54, 0, 0xaa, 0, 2 };
static const uint8_t chosen[ADDRESS] = { 0x02, 0, 0, 0, 0, 0x99 };
static const uint8_t group[ADDRESS] = { 1, 0, 0x5e, 0, 0, 1 };
static const uint8_t group2[ADDRESS] = { 1, 0, 0x5e, 0, 0, 2 };
static const uint8_t everybody[ADDRESS] = { 255, 255, 255, 255, 255, 255 };

/* One of every sort: where to, with which VLAN tag. */
static const struct sample {
	const uint8_t *to;
	uint16_t vlan;
} samples[] = {
	{ own, 0 }, { other, 0 },  { third, 0 },     { chosen, 0 }, { group, 0 },     { group2, 0 },
	{ own, 5 }, { group2, 5 }, { everybody, 5 }, { own, 6 },    { everybody, 0 },
};

enum { SAMPLES = sizeof(samples) / sizeof(samples[0]) };
/* by their numbers there */
enum {
	OWN = 1,
	OTHER = 2,
	THIRD = 4,
	CHOSEN = 8,
	GROUP = 16,
	GROUP2 = 32,
	OWN_5 = 64,
	GROUP2_5 = 128,
	ALL_5 = 256,
	OWN_6 = 512,
	ALL = 1024,
	EVERYTHING = 2047,
};

/* ---- frames ---- */

static void send(const uint8_t *to, uint16_t vlan, uint8_t what, uint8_t number)
{
	uint64_t end = rdtsc() + clock_ms(WAIT_MS);
	uint8_t *frame, *at;
	int slot;

	for (net_tx_reclaim(); (slot = net_tx_slot()) < 0; net_tx_reclaim()) {
		if (rdtsc() > end)
			guest_fail("filter: what was sent is not given back");
		net_tx_sleep(end);
	}
	frame = net_tx_buffer((unsigned)slot);
	memset(frame, 0, FRAME);
	memcpy(frame, to, ADDRESS);
	memcpy(frame + ADDRESS, net_info()->mac, ADDRESS);
	at = frame + 2 * ADDRESS;
	if (vlan) {
		at[0] = TYPE_VLAN >> 8;
		at[1] = TYPE_VLAN & 0xff;
		at[3] = (uint8_t)vlan;
		at += VLAN_TAG;
	}
	at[0] = TYPE >> 8;
	at[1] = TYPE & 0xff;
	at[2] = what;
	at[3] = number;
	net_tx_push((unsigned)slot, FRAME);
	net_tx_flush();
}

/* The next frame of ours up to the deadline: what it is, and its number; *from: who sent it. */
static bool receive(uint64_t deadline, uint8_t *what, uint8_t *number, uint8_t *from)
{
	struct net_frame frame;
	const uint8_t *at;
	bool ours;

	for (;;) {
		if (!net_receive(&frame)) {
			if (net_trouble())
				guest_fail("filter: %s", net_trouble());
			if (rdtsc() > deadline)
				return false;
			net_refill();
			net_sleep(deadline);
			continue;
		}
		at = frame.segment[0].data;
		if (from)
			memcpy(from, at + ADDRESS, ADDRESS);
		at += 2 * ADDRESS;
		if (at[0] == TYPE_VLAN >> 8 && at[1] == (TYPE_VLAN & 0xff))
			at += VLAN_TAG;
		*what = at[2];
		*number = at[3];
		ours = frame.bytes == FRAME && at[0] == TYPE >> 8 && at[1] == (TYPE & 0xff);
		net_release(&frame);
		if (ours)
			return true;
	}
}

/* ---- the sender ---- */

static int answer_all(void)
{
	uint8_t what, round, rounds = 0;

	while (receive(rdtsc() + clock_ms(WAIT_MS), &what, &round, own)) {
		if (what != REQUEST)
			continue;
		if (round == LAST_ROUND)
			return check(rounds > 0, "asked", "a receiver asked for samples") ? 0 : 1;
		for (uint8_t i = 0; i < SAMPLES; i++)
			send(samples[i].to, samples[i].vlan, SAMPLE, i);
		/* one of them passes every filter here */
		send(everybody, 0, END, round);
		send(own, 0, END, round);
		send(chosen, 0, END, round);
		rounds++;
	}
	guest_fail("filter: nobody asks");
}

/* ---- the receiver ---- */

/* Samples that came, by a bit each; again if there is no answer: the sender may not be there yet. */
static unsigned ask(uint8_t round)
{
	uint64_t end = rdtsc() + clock_ms(WAIT_MS), retry = 0;
	unsigned came = 0;
	uint8_t what, number;

	while (rdtsc() < end) {
		if (rdtsc() >= retry) {
			send(everybody, 0, REQUEST, round);
			retry = rdtsc() + clock_ms(round ? WAIT_MS : RETRY_MS);
		}
		if (!receive(retry, &what, &number, NULL))
			continue;
		if (what == SAMPLE && number < SAMPLES)
			came |= 1u << number;
		if (what == END && number == round)
			return came;
	}
	guest_fail("filter: nobody answers");
}

static uint8_t round_number;

static void expect(unsigned wanted, const char *name, const char *fact)
{
	unsigned came = ask(++round_number);

	if (came != wanted)
		print("filter: %s: samples %x, wanted %x\n", name, came, wanted);
	check(came == wanted, name, fact);
}

static bool command(uint8_t class, uint8_t number, const void *data, uint32_t bytes)
{
	return !net_command(class, number, data, bytes);
}

static void mode(uint8_t which, uint8_t on)
{
	check(command(CLASS_RX, which, &on, 1), "mode", on ? "a mode is switched on" : "and off");
}

static void vlan(uint8_t which, uint16_t id)
{
	check(command(CLASS_VLAN, which, &id, sizeof(id)), "vlan", "the VLAN table is changed");
}

/* One address of each kind, or none. */
static void table(const uint8_t *uni, const uint8_t *multi)
{
	uint8_t data[2 * (4 + ADDRESS)] = { 0 };
	uint32_t bytes = 4;

	if (uni) {
		data[0] = 1;
		memcpy(data + bytes, uni, ADDRESS);
		bytes += ADDRESS;
	}
	data[bytes] = multi != NULL;
	bytes += 4;
	if (multi) {
		memcpy(data + bytes, multi, ADDRESS);
		bytes += ADDRESS;
	}
	check(command(CLASS_MAC, TABLE_SET, data, bytes), "table", "the address table is set");
}

static void check_modes(void)
{
	expect(OWN | ALL, "begin", "without a wish it gets its own frames and broadcasts");
	mode(PROMISC, 1);
	expect(EVERYTHING, "promiscuous", "then everything");
	mode(PROMISC, 0);
	mode(ALLMULTI, 1);
	expect(OWN | ALL | GROUP | GROUP2, "allmulti", "all groups");
	mode(NOMULTI, 1);
	expect(OWN | ALL, "nomulti", "no group");
	mode(NOMULTI, 0);
	mode(ALLMULTI, 0);
	mode(ALLUNI, 1);
	expect(OWN | OTHER | THIRD | CHOSEN | ALL, "alluni", "all single addresses");
	mode(ALLUNI, 0);
	mode(NOBCAST, 1);
	expect(OWN, "nobcast", "no broadcast");
	mode(NOBCAST, 0);
	mode(NOUNI, 1);
	expect(ALL, "nouni", "no single address");
	mode(NOUNI, 0);
}

static void check_tables(void)
{
	table(other, group2);
	expect(OWN | OTHER | GROUP2 | ALL, "mac-table", "what is in the address table");
	vlan(VLAN_ADD, 5);
	expect(OWN | OTHER | GROUP2 | ALL | OWN_5 | GROUP2_5 | ALL_5, "vlan", "a VLAN as well");
	vlan(VLAN_ADD, 6);
	vlan(VLAN_DEL, 5);
	expect(OWN | OTHER | GROUP2 | ALL | OWN_6, "vlan-other", "another one instead");
	check(command(CLASS_MAC, ADDR_SET, chosen, ADDRESS), "mac", "another address is chosen");
	expect(CHOSEN | OTHER | GROUP2 | ALL, "mac-changed", "it counts, and the old one no more");
	table(NULL, NULL);
	check(command(CLASS_MAC, ADDR_SET, own, ADDRESS), "mac-back", "the first one is back");
	expect(OWN | ALL | OWN_6, "tables-empty", "an empty table has nothing");
}

static void check_refused(void)
{
	static const uint16_t no_vlan = 4096;
	static const uint8_t on = 1;

	check(!command(CLASS_MAC, ADDR_SET, group, ADDRESS), "bad-mac", "a group is no address");
	check(!command(CLASS_VLAN, VLAN_ADD, &no_vlan, 2), "bad-vlan", "there is no VLAN 4096");
	check(!command(CLASS_RX, 99, &on, 1), "bad-mode", "there is no mode 99");
	check(!command(99, 0, &on, 1), "bad-class", "there is no class 99");
	expect(OWN | ALL | OWN_6, "refused", "what was refused changed nothing");
}

int guest_main(void)
{
	const uint64_t wanted = NET_F_CTRL_VQ | NET_F_CTRL_RX | NET_F_CTRL_RX_EXTRA |
				NET_F_CTRL_VLAN | NET_F_CTRL_MAC_ADDR;
	const char *error;
	char role[16];

	if (!args_string(guest_cmdline(), "role", role, sizeof(role)))
		guest_fail("filter: role= is missing");
	if (strcmp(role, "sender"))
		net_want(wanted);
	error = net_open(0, NET_TX_SINGLE);
	if (error)
		guest_fail("filter: %s", error);
	if (!strcmp(role, "sender"))
		return answer_all();
	if (wanted & ~net_info()->features)
		guest_fail("filter: features %lx are not offered", wanted & ~net_info()->features);
	memcpy(own, net_info()->mac, ADDRESS);
	(void)ask(0);
	check_modes();
	check_tables();
	check_refused();
	send(everybody, 0, REQUEST, LAST_ROUND);
	/* it is told when the switch has it */
	for (net_tx_reclaim(); net_tx_free() < net_info()->tx_slots; net_tx_reclaim())
		net_tx_sleep(rdtsc() + clock_ms(RETRY_MS));
	return check_status();
}
