/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A packet from the fuzzer, cut into pieces as it says: reading its headers must give the same
 * verdict and bytes whatever the cuts, and a copy into other cuts must be the packet. Input: 4
 * bytes that choose the cuts, then virtio-net header and frame.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vswitch/copy.h"
#include "vswitch/frame.h"

#define MAX_PIECES 256u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void require(bool ok)
{
	if (!ok)
		abort();
}

/* Cuts [p, p+bytes) into at most MAX_PIECES pieces, by lengths that follow from `step`. */
static void cut(struct seg *seg, uint8_t *p, uint32_t bytes, uint8_t step)
{
	for (unsigned n = 0; bytes > 0; n++) {
		uint32_t len = bytes / 4 + 1 + step % 64;

		if (len > bytes || n == MAX_PIECES - 1)
			len = bytes;
		seg[n] = (struct seg){ p, len };
		p += len;
		bytes -= len;
		step = (uint8_t)(step * 5 + 3);
	}
}

static void read_and_copy(const uint8_t *choice, uint8_t *packet, uint32_t bytes)
{
	struct seg src[MAX_PIECES], dst[MAX_PIECES];
	uint8_t head[HEAD_BYTES], *out = malloc(bytes);
	unsigned whole;

	cut(src, packet, bytes, choice[0]);
	whole = copy_gather(head, HEAD_BYTES, src);
	require(memcmp(head, packet, HEAD_BYTES) == 0);
	require(frame_check_head(head) == frame_check_head(packet));
	cut(dst, out, bytes, choice[1]);
	copy_packet(dst, head, HEAD_BYTES, src + whole, bytes);
	require(memcmp(out, packet, bytes) == 0);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	enum verdict verdict;
	uint8_t *packet;

	if (bytes < 4)
		return 0;
	bytes -= 4;
	verdict = frame_check_length(bytes, ((uint32_t)data[2] << 8 | data[3]) + ETH_SLACK);
	require((verdict == VERDICT_DELIVERED) ==
		(bytes >= HEAD_BYTES && bytes <= (uint32_t)(data[2] << 8 | data[3]) + 30));
	if (bytes < HEAD_BYTES)
		return 0;
	packet = malloc(bytes);
	memcpy(packet, data + 4, bytes);
	read_and_copy(data, packet, (uint32_t)bytes);
	free(packet);
	return 0;
}
