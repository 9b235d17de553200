/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a frame's virtio header leaves to the NIC (virtio 1.2, 5.1.6.2), checked against the frame's
 * own headers and told as NICs want it: where which protocol begins.
 */
#pragma once

#include "drivers/nic.h"

struct offload {
	bool csum;	  /* the checksum at l4 + csum_offset, over all from l4 on */
	bool tso;	  /* cut into segments with gso bytes of payload each */
	bool ipv4;	  /* tso: else IPv6 */
	uint32_t l3, l4;  /* tso: IP header; TCP or UDP header, from the frame's beginning */
	uint32_t csum_at; /* l4 + csum_offset */
	uint32_t headers; /* tso: bytes of all headers */
	uint32_t segment; /* tso: payload bytes of a frame on the wire */
	uint32_t payload; /* tso: of all */
};

/* False: the header asks for what makes no sense with this frame, or is not among `agreed` (NIC_CSUM
 * …). All headers of a frame to be segmented lie in its first segment. */
bool offload_parse(const struct nic_frame *frame, unsigned agreed, struct offload *offload);

/* Makes the headers of a frame to be segmented as Intel's NICs want them: no lengths, no IPv4
 * checksum, and the TCP checksum that of the pseudo header without its length (8254x manual, 3.5.5
 * "TCP Segmentation Use of TCP/IP headers"). */
void offload_clear_lengths(struct nic_frame *frame, const struct offload *offload);
