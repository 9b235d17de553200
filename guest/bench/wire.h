/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the benchmark sends: Ethernet, IPv4 without options, UDP (RFC 894, 791, 768), and ARP (826).
 * A frame is always a whole one, its length without the FCS. The payload of a measured frame is a
 * stamp and a fixed pattern; the UDP checksum covers both. Addresses are in host order, the stamp
 * and the control message in little-endian order: both ends are x86.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guest/lib/virtio_net.h"
#include "lasthop/config.h"

enum {
	WIRE_ETHERNET = 14,
	WIRE_HEADERS = 42, /* Ethernet, IPv4, UDP */
	WIRE_STAMP = 16,
	WIRE_MIN_FRAME = 60,
	WIRE_MAX_FRAME = 9014,
	WIRE_MAX_LARGE = WIRE_ETHERNET + 65535, /* for the device to cut (USO) */
	WIRE_ARP_FRAME = 60,
};

/* Where the checksum begins and lies, for the device. */
enum { WIRE_CSUM_START = 34, WIRE_CSUM_OFFSET = 6 };

enum { PORT_CONTROL = 19528, PORT_STREAM = 19529, PORT_RR = 19530 };

#define WIRE_MAGIC 0x68736c31u

struct wire_end {
	uint8_t mac[6];
	uint32_t ip;
};

struct wire_stamp {
	uint32_t magic;
	uint32_t session; /* of one run: what comes later is not counted for the next */
	uint64_t sequence;
};

enum control_type {
	CONTROL_START = 1, /* .start */
	CONTROL_END = 2,   /* .end; in the answer .seen */
	CONTROL_BYE = 3,
	CONTROL_ACK = 0x80, /* added to the type: the sink's answer */
};

struct control {
	uint32_t magic;
	uint16_t type;
	uint16_t refused; /* in the answer to START: the sink cannot do it */
	uint32_t session; /* of all */
	uint32_t train; /* in START of rr: frames a request; of a stream: its window, if above 1 */
	union {
		struct {
			uint32_t test; /* enum bench_test */
			uint32_t frame_bytes, run, runs;
			uint64_t count;
		} start;
		struct {
			uint64_t sent, stalls, nanoseconds; /* that it took to send */
		} end;
		struct {
			uint64_t packets, corrupt;
		} seen;
	};
};

_Static_assert(sizeof(struct wire_stamp) == WIRE_STAMP, "on the wire");
_Static_assert(WIRE_HEADERS + sizeof(struct control) == WIRE_ETHERNET + CONFIG_MIN_MTU,
	       "fits whatever max-frame-size is");

/* What a received frame is. DAMAGED: to this station, but a header, length or checksum is wrong.
 * FOREIGN: not for us. */
enum wire_kind {
	WIRE_NONE,
	WIRE_FOREIGN,
	WIRE_ARP,
	WIRE_DAMAGED,
	WIRE_CONTROL,
	WIRE_STREAM,
	WIRE_RR
};

/* The pattern that fills measured frames behind the stamp; to be called once. */
void wire_init(void);
extern uint8_t wire_pattern[WIRE_MAX_LARGE];

/* Writes the three headers, UDP checksum 0; WIRE_HEADERS < bytes. */
void wire_headers(uint8_t *frame, uint32_t bytes, const struct wire_end *from,
		  const struct wire_end *to, uint16_t port);

/* The sum that the UDP checksum is made of, over a frame whose checksum field is 0. */
uint64_t wire_udp_sum(const uint8_t *frame, uint32_t bytes);

/* Writes the UDP checksum: `sum`, and what was not in it yet. */
void wire_seal(uint8_t *frame, uint64_t sum);

/* Instead of wire_seal(), if the device is to finish the checksum (VIRTIO_NET_HDR_F_NEEDS_CSUM). */
void wire_seal_partial(uint8_t *frame);

/* Looks a frame over: headers, lengths, and the checksum unless the device left it out. */
enum wire_kind wire_check(const struct net_frame *frame, const struct wire_end *own);

/* Copies n payload bytes at the offset in the frame; false: it is not that long. */
bool wire_copy(const struct net_frame *frame, uint32_t offset, void *to, uint32_t n);

/* True if all behind the stamp is the pattern. */
bool wire_pattern_ok(const struct net_frame *frame);

/* Sender of a checked IPv4 frame, or of an ARP packet. */
void wire_sender(const struct net_frame *frame, enum wire_kind kind, struct wire_end *from);

/* ARP: a request for to->ip (to->mac ignored) or the answer to one. WIRE_ARP_FRAME bytes. */
void wire_arp(uint8_t *frame, bool request, const struct wire_end *from, const struct wire_end *to);
/* True if the frame asks for own->ip. */
bool wire_arp_asks(const struct net_frame *frame, const struct wire_end *own);

/* Turns a checked frame round, in place: the sums stay right. */
void wire_turn(uint8_t *frame);
