/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does what a sender leaves to the device arrive as it would have sent it itself, whatever the
 * receiver takes? The sender broadcasts, one after the other, TCP and UDP over IPv4 and IPv6: frames
 * without a checksum, and frames of up to 64 KiB to be cut (TSO, USO). A receiver that negotiated
 * the feature must get them whole, any other one in pieces, each with the right length, number,
 * flags, data and checksum, all in their order; it acknowledges each message, so that nothing can be
 * lost unseen. Boot arguments:
 *
 *   role=sender receivers=N      role=receiver takes=none|csum|tso|uso|all
 *   both: ring=split|packed; sender: tx=chain|indirect
 */
#include <stddef.h>

#include "guest/lib/args.h"
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/runtime.h"
#include "guest/lib/string.h"
#include "guest/lib/virtio_net.h"
#include "guest/lib/virtio_pci.h"
#include "tests/boot/guests/check.h"

enum { ETHERNET = 14, IPV4 = 20, IPV6 = 40, TCP = 20, UDP = 8 };
enum { PROTO_TCP = 6, PROTO_UDP = 17, FIN = 1, PSH = 8, ACK = 16 };
/* what counts up while a frame is cut begins so that it passes 0 */
enum { FIRST_ID = 0xfffe, PORT = 1000 };
#define FIRST_SEQUENCE 0xffffff00u
#define ACKNOWLEDGE    0x88b5 /* IEEE 802: for experiments */

enum { MAX_FRAME = 65553, MAX_RECEIVERS = 16, WAIT_MS = 60000, RETRY_MS = 200 };

#define GUEST_TSO (NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6)
#define GUEST_USO (NET_F_GUEST_USO4 | NET_F_GUEST_USO6)
#define HOST_ALL  (NET_F_CSUM | NET_F_HOST_TSO4 | NET_F_HOST_TSO6 | NET_F_HOST_USO)

static const struct kind {
	const char *name;
	bool ipv6;
	uint8_t proto, gso_type;
	uint32_t headers, csum_start, csum_offset;
	uint64_t feature; /* of a receiver that takes it whole */
} kinds[] = {
	{ "UDP, IPv4", false, PROTO_UDP, NET_GSO_UDP_L4, 42, 34, 6, NET_F_GUEST_USO4 },
	{ "UDP, IPv6", true, PROTO_UDP, NET_GSO_UDP_L4, 62, 54, 6, NET_F_GUEST_USO6 },
	{ "TCP, IPv4", false, PROTO_TCP, NET_GSO_TCPV4, 54, 34, 16, NET_F_GUEST_TSO4 },
	{ "TCP, IPv6", true, PROTO_TCP, NET_GSO_TCPV6, 74, 54, 16, NET_F_GUEST_TSO6 },
};

/* Bytes of data, and of these in a segment; 0: nothing to be cut. */
static const struct shape {
	uint32_t data, segment;
} shapes[] = {
	{ 1, 0 },	{ 1399, 0 },	 { 8900, 0 },	  { 1473, 1472 },  { 2944, 1472 },
	{ 12345, 100 }, { 60000, 1448 }, { 50001, 8901 }, { 65479, 8192 },
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]), SHAPES = sizeof(shapes) / sizeof(shapes[0]) };
enum { MESSAGES = KINDS * SHAPES };

static const struct kind *kind_of(unsigned n)
{
	return &kinds[n % KINDS];
}

static const struct shape *shape_of(unsigned n)
{
	return &shapes[n / KINDS];
}

static uint8_t data_at(unsigned n, uint32_t at)
{
	return (uint8_t)(n * 59 + at * 7 + (at >> 8) * 31);
}

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* RFC 1071, of what begins at an even offset; not complemented */
static uint32_t sum16(uint32_t sum, const uint8_t *at, uint32_t bytes)
{
	for (uint32_t i = 0; i + 1 < bytes; i += 2)
		sum += get16(at + i);
	if (bytes & 1)
		sum += (uint32_t)at[bytes - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* The pseudo header's sum: addresses, protocol, length from csum_start on. */
static uint32_t pseudo_sum(const struct kind *k, const uint8_t *frame, uint32_t bytes)
{
	uint32_t sum = k->proto + bytes - k->csum_start;

	return k->ipv6 ? sum16(sum, frame + ETHERNET + 8, 32)
		       : sum16(sum, frame + ETHERNET + 12, 8);
}

/* ---- the sender ---- */

static void write_ip(const struct kind *k, uint8_t *ip, uint32_t bytes)
{
	memset(ip, 0, k->ipv6 ? IPV6 : IPV4);
	if (k->ipv6) {
		ip[0] = 0x60;
		put16(ip + 4, bytes - IPV6);
		ip[6] = k->proto;
		ip[7] = 64;
		ip[8] = ip[24] = 0xfd;
		ip[23] = 1;
		ip[39] = 2;
		return;
	}
	ip[0] = 0x45;
	put16(ip + 2, bytes);
	put16(ip + 4, FIRST_ID);
	ip[8] = 64;
	ip[9] = k->proto;
	ip[12] = ip[16] = 10;
	ip[15] = 1;
	ip[19] = 2;
	put16(ip + 10, ~sum16(0, ip, IPV4));
}

static void write_l4(const struct kind *k, uint8_t *l4, uint32_t bytes, unsigned n)
{
	memset(l4, 0, k->proto == PROTO_TCP ? TCP : UDP);
	put16(l4, PORT + n);
	put16(l4 + 2, PORT);
	if (k->proto == PROTO_UDP) {
		put16(l4 + 4, bytes);
		return;
	}
	put16(l4 + 4, FIRST_SEQUENCE >> 16);
	put16(l4 + 6, FIRST_SEQUENCE & 0xffff);
	l4[12] = TCP / 4 << 4;
	l4[13] = ACK | PSH | FIN;
}

/* Message n, as a driver that has all offloads leaves it to the device. */
static uint32_t write_message(uint8_t *frame, unsigned n, struct net_header *header)
{
	const struct kind *k = kind_of(n);
	const struct shape *s = shape_of(n);
	uint32_t bytes = k->headers + s->data;

	memset(frame, 0xff, 6);
	memcpy(frame + 6, net_info()->mac, 6);
	put16(frame + 12, k->ipv6 ? 0x86dd : 0x0800);
	write_ip(k, frame + ETHERNET, bytes - ETHERNET);
	write_l4(k, frame + k->csum_start, bytes - k->csum_start, n);
	put16(frame + k->csum_start + k->csum_offset, pseudo_sum(k, frame, bytes));
	for (uint32_t i = 0; i < s->data; i++)
		frame[k->headers + i] = data_at(n, i);
	*header = (struct net_header){ .flags = NET_NEEDS_CSUM,
				       .csum_start = (uint16_t)k->csum_start,
				       .csum_offset = (uint16_t)k->csum_offset };
	if (s->segment) {
		header->gso_type = k->gso_type;
		header->gso_size = (uint16_t)s->segment;
		header->hdr_len = (uint16_t)k->headers;
	}
	return bytes;
}

static void send(const void *frame, uint32_t bytes, const struct net_header *header)
{
	uint64_t end = rdtsc() + clock_ms(WAIT_MS);
	int slot;

	for (net_tx_reclaim(); (slot = net_tx_slot()) < 0; net_tx_reclaim()) {
		if (rdtsc() > end)
			guest_fail("offload: what was sent is not given back");
		net_tx_sleep(end);
	}
	net_tx_push_from((unsigned)slot, header, frame, bytes);
	net_tx_flush();
}

/* Those who have acknowledged a message, by the byte of their address that tells VMs apart. */
static struct acknowledged {
	unsigned count;
	uint8_t who[MAX_RECEIVERS];
} acknowledged;

static void note_acknowledge(const uint8_t *frame, unsigned n)
{
	uint8_t who = frame[10];

	if (get16(frame + 12) != ACKNOWLEDGE || get16(frame + ETHERNET) != n)
		return;
	for (unsigned i = 0; i < acknowledged.count; i++)
		if (acknowledged.who[i] == who)
			return;
	if (acknowledged.count < MAX_RECEIVERS)
		acknowledged.who[acknowledged.count++] = who;
}

static bool wait_for(unsigned n, unsigned receivers, uint64_t deadline)
{
	struct net_frame frame;

	while (acknowledged.count < receivers && rdtsc() < deadline) {
		if (!net_receive(&frame)) {
			net_refill();
			net_sleep(deadline);
			continue;
		}
		if (frame.segment[0].bytes >= ETHERNET + 2)
			note_acknowledge(frame.segment[0].data, n);
		net_release(&frame);
	}
	return acknowledged.count >= receivers;
}

static int send_all(unsigned receivers)
{
	static uint8_t frame[MAX_FRAME];
	struct net_header header;

	if ((net_info()->features & HOST_ALL) != HOST_ALL)
		guest_fail("offload: the device offers features %lx only", net_info()->features);
	for (unsigned n = 0; n < MESSAGES; n++) {
		uint32_t bytes = write_message(frame, n, &header);
		uint64_t end = rdtsc() + clock_ms(WAIT_MS);

		acknowledged.count = 0;
		/* The first one until everybody is there; none of the others may be lost. */
		do {
			send(frame, bytes, &header);
		} while (!wait_for(n, receivers, n ? end : rdtsc() + clock_ms(RETRY_MS)) &&
			 rdtsc() < end);
		if (acknowledged.count < receivers)
			guest_fail("offload: message %u (%s, %u bytes in %u): %u of %u have it", n,
				   kind_of(n)->name, shape_of(n)->data, shape_of(n)->segment,
				   acknowledged.count, receivers);
	}
	return check(true, "sent", "all receivers have acknowledged every message") ? check_status()
										    : 1;
}

/* ---- the receiver ---- */

static struct {
	uint64_t features;
	unsigned n;		     /* message that is expected */
	uint32_t at;		     /* in its data */
	unsigned pieces;	     /* of it so far */
	unsigned whole, cut, summed; /* messages; frames that came with their checksum */
	unsigned unsummed;
} got;

static bool comes_whole(unsigned n)
{
	return shape_of(n)->segment && got.features & kind_of(n)->feature;
}

/* Data that the next frame of the message must have. */
static uint32_t piece(unsigned n)
{
	uint32_t left = shape_of(n)->data - got.at, segment = shape_of(n)->segment;

	return !segment || comes_whole(n) || left < segment ? left : segment;
}

static const char *wrong_ip(const struct kind *k, const uint8_t *ip, uint32_t bytes)
{
	if (k->ipv6)
		return ip[0] != 0x60 || get16(ip + 4) != bytes - IPV6 || ip[6] != k->proto
			       ? "IPv6 header"
			       : NULL;
	if (ip[0] != 0x45 || get16(ip + 2) != bytes || ip[9] != k->proto)
		return "IPv4 header";
	if (get16(ip + 4) != (uint16_t)(FIRST_ID + got.pieces))
		return "IPv4 identification";
	return sum16(0, ip, IPV4) == 0xffff ? NULL : "IPv4 checksum";
}

static const char *wrong_l4(const struct kind *k, const uint8_t *l4, uint32_t bytes, bool last)
{
	if (get16(l4) != PORT + got.n || get16(l4 + 2) != PORT)
		return "port, or another message is";
	if (k->proto == PROTO_UDP)
		return get16(l4 + 4) == bytes ? NULL : "UDP length";
	if (get32(l4 + 4) != FIRST_SEQUENCE + got.at)
		return "TCP sequence number";
	return l4[13] == (last ? ACK | PSH | FIN : ACK) ? NULL : "TCP flags";
}

/* A receiver that said that it takes unfinished checksums may get them; 5.1.6.4.1 */
static const char *wrong_csum(const struct kind *k, const struct net_header *h,
			      const uint8_t *frame, uint32_t bytes)
{
	uint32_t pseudo = pseudo_sum(k, frame, bytes);
	uint16_t field = get16(frame + k->csum_start + k->csum_offset);

	if (!(h->flags & NET_NEEDS_CSUM)) {
		got.summed++;
		if (!field && k->proto == PROTO_UDP)
			return "UDP checksum: there is none";
		pseudo = sum16(pseudo, frame + k->csum_start, bytes - k->csum_start);
		return pseudo == 0xffff ? NULL : "checksum";
	}
	got.unsummed++;
	if (!(got.features & NET_F_GUEST_CSUM))
		return "checksum: unfinished, which this driver does not take";
	if (h->csum_start != k->csum_start || h->csum_offset != k->csum_offset)
		return "csum_start or csum_offset";
	return field % 0xffff == pseudo % 0xffff ? NULL : "pseudo header's sum";
}

static const char *wrong_gso(const struct kind *k, const struct net_header *h)
{
	if (!comes_whole(got.n))
		return h->gso_type ? "gso_type: there is none to be" : NULL;
	if (h->gso_type != k->gso_type || h->gso_size != shape_of(got.n)->segment)
		return "gso_type or gso_size";
	return h->flags & NET_NEEDS_CSUM ? NULL : "flag: a whole frame is not summed";
}

static const char *wrong(const struct net_header *h, const uint8_t *frame, uint32_t bytes)
{
	const struct kind *k = kind_of(got.n);
	uint32_t data = piece(got.n);
	const char *what;

	if (bytes != k->headers + data)
		return "length";
	what = wrong_ip(k, frame + ETHERNET, bytes - ETHERNET);
	if (!what)
		what = wrong_l4(k, frame + k->csum_start, bytes - k->csum_start,
				got.at + data == shape_of(got.n)->data);
	if (!what)
		what = wrong_gso(k, h);
	if (!what)
		what = wrong_csum(k, h, frame, bytes);
	for (uint32_t i = 0; !what && i < data; i++)
		if (frame[k->headers + i] != data_at(got.n, got.at + i))
			what = "data";
	return what;
}

static void acknowledge(const uint8_t *to, unsigned n)
{
	static uint8_t frame[60];
	static const struct net_header header;

	memcpy(frame, to, 6);
	memcpy(frame + 6, net_info()->mac, 6);
	put16(frame + 12, ACKNOWLEDGE);
	put16(frame + ETHERNET, n);
	net_refill(); /* the sender goes on now: all buffers are there for it */
	send(frame, sizeof(frame), &header);
	/* done when the switch has it: the buffer is used again, or the VM ends */
	for (net_tx_reclaim(); net_tx_free() < net_info()->tx_slots; net_tx_reclaim())
		net_tx_sleep(rdtsc() + clock_ms(RETRY_MS));
}

static void take(const struct net_header *h, const uint8_t *frame, uint32_t bytes)
{
	const char *what;

	/* the first message again: the sender waits for others yet */
	if (got.n == 1 && !got.at && bytes == kinds[0].headers + shapes[0].data &&
	    get16(frame + kinds[0].csum_start) == PORT)
		return;
	what = wrong(h, frame, bytes);
	if (what)
		guest_fail("offload: message %u (%s, %u bytes in %u), from byte %u, frame of %u: "
			   "wrong %s",
			   got.n, kind_of(got.n)->name, shape_of(got.n)->data,
			   shape_of(got.n)->segment, got.at, bytes, what);
	got.at += piece(got.n);
	got.pieces++;
	if (got.at < shape_of(got.n)->data)
		return;
	got.whole += comes_whole(got.n);
	got.cut += got.pieces > 1;
	got.at = got.pieces = 0;
	acknowledge(frame + 6, got.n++);
}

/* In one piece, without ARP and whatever else there may be. */
static bool flat(const struct net_frame *frame, uint8_t *to)
{
	uint32_t at = 0;

	if (frame->bytes > MAX_FRAME || frame->bytes < ETHERNET + IPV4 + UDP)
		guest_fail("offload: a frame of %u bytes", frame->bytes);
	for (unsigned i = 0; i < frame->segments; i++) {
		memcpy(to + at, frame->segment[i].data, frame->segment[i].bytes);
		at += frame->segment[i].bytes;
	}
	return get16(to + 12) == 0x0800 || get16(to + 12) == 0x86dd;
}

static int receive_all(void)
{
	static uint8_t copy[MAX_FRAME];
	uint64_t end = rdtsc() + clock_ms(WAIT_MS);
	struct net_frame frame;

	got.features = net_info()->features;
	while (got.n < MESSAGES && rdtsc() < end) {
		struct net_header header;
		bool ours;

		if (!net_receive(&frame)) {
			if (net_trouble())
				guest_fail("offload: %s", net_trouble());
			net_refill();
			net_sleep(end);
			continue;
		}
		end = rdtsc() + clock_ms(WAIT_MS);
		ours = flat(&frame, copy);
		header = *frame.header;
		net_release(&frame);
		if (ours)
			take(&header, copy, frame.bytes);
	}
	print("offload: %u messages, %u whole, %u in pieces; %u frames summed, %u not\n", got.n,
	      got.whole, got.cut, got.summed, got.unsummed);
	check(got.n == MESSAGES, "received", "every message came, and was as it was sent");
	return check_status();
}

static uint64_t features(const char *takes)
{
	static const struct {
		const char *word;
		uint64_t features;
	} words[] = { { "none", 0 },
		      { "csum", NET_F_GUEST_CSUM },
		      { "tso", NET_F_GUEST_CSUM | GUEST_TSO },
		      { "uso", NET_F_GUEST_CSUM | GUEST_USO },
		      { "all", NET_F_GUEST_CSUM | GUEST_TSO | GUEST_USO } };

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(takes, words[i].word))
			return words[i].features;
	guest_fail("offload: takes=%s", takes);
}

int guest_main(void)
{
	char role[16], takes[16] = "", ring[16], tx[16];
	uint64_t wanted, receivers;
	const char *error;
	bool sender;

	(void)args_string(guest_cmdline(), "role", role, sizeof(role));
	(void)args_string(guest_cmdline(), "takes", takes, sizeof(takes));
	(void)args_string(guest_cmdline(), "ring", ring, sizeof(ring));
	(void)args_string(guest_cmdline(), "tx", tx, sizeof(tx));
	(void)args_u64(guest_cmdline(), "receivers", 1, &receivers);
	sender = !strcmp(role, "sender");
	wanted = sender ? HOST_ALL : features(takes);
	if (!strcmp(ring, "packed"))
		wanted |= VIRTIO_F_RING_PACKED;
	net_want(wanted);
	error = net_open(0, strcmp(tx, "indirect") ? NET_TX_CHAIN : NET_TX_INDIRECT);
	if (error)
		guest_fail("offload: %s", error);
	if (wanted & ~net_info()->features)
		guest_fail("offload: features %lx are not offered", wanted & ~net_info()->features);
	return sender ? send_all((unsigned)receivers) : receive_all();
}
