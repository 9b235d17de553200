/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames of the management channel (docs/management.md): made, and found in whatever comes over the
 * line. Pure: no hardware, no state but the decoder's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_PAYLOAD	       4096u /* most that a frame may carry */
#define FRAME_DELIMITER	       0xc0
#define FRAME_BODY_MOST	       (8 + FRAME_PAYLOAD + 4)
/* Bytes that a frame with so much payload takes on the line at most. */
#define FRAME_ENCODED(payload) (2 * (8 + (payload) + 4) + 2)

enum frame_kind {
	FRAME_CALL = 1,
	FRAME_ANSWER,
	FRAME_ANSWER_END,
	FRAME_DATA,
	FRAME_ACK,
	FRAME_END,
	FRAME_RESET,
};

struct frame {
	uint8_t kind, client, stream;
	uint32_t offset;
	const uint8_t *payload;
	size_t bytes;
};

struct frame_decoder {
	uint8_t body[FRAME_BODY_MOST];
	size_t fill;
	bool escaped;	  /* the last byte was ESC */
	bool broken;	  /* too long, or a wrong escape: dropped up to the next delimiter */
	uint64_t dropped; /* what stood between delimiters and was no frame */
};

/* One byte. True: it ends a frame, whose payload lies in the decoder until the next byte. */
bool frame_decode(struct frame_decoder *d, uint8_t byte, struct frame *out);

/* Into `out` with its delimiters: how many bytes, 0 if there is no room for FRAME_ENCODED(bytes). */
size_t frame_encode(uint8_t *out, size_t room, const struct frame *frame);

/* As zlib's crc32(). */
uint32_t crc32(const uint8_t *bytes, size_t count);
