/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/core/mgmt_frame.h"

#define HEADER	   8
#define CRC	   4
#define ESC	   0xdb /* RFC 1055 */
#define ESC_END	   0xdc
#define ESC_ESC	   0xdd
#define POLYNOMIAL 0xedb88320u /* IEEE 802.3, 3.2.9, bits reversed */

static uint32_t crc_add(uint32_t crc, const uint8_t *bytes, size_t count)
{
	static uint32_t table[256]; /* made by the first caller; a second one makes the same */

	for (uint32_t i = 0; !table[255] && i < 256; i++) {
		uint32_t value = i;

		for (unsigned bit = 0; bit < 8; bit++)
			value = value >> 1 ^ (value & 1 ? POLYNOMIAL : 0);
		table[i] = value;
	}
	for (size_t i = 0; i < count; i++)
		crc = crc >> 8 ^ table[(crc ^ bytes[i]) & 0xff];
	return crc;
}

uint32_t crc32(const uint8_t *bytes, size_t count)
{
	return ~crc_add(~0u, bytes, count);
}

static uint32_t load32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void store32(uint8_t *p, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(value >> 8 * i);
}

static void add(struct frame_decoder *d, uint8_t byte)
{
	if (d->fill < sizeof(d->body))
		d->body[d->fill++] = byte;
	else
		d->broken = true;
}

/* What stands between two delimiters. */
static bool whole(struct frame_decoder *d, struct frame *out)
{
	const uint8_t *body = d->body;
	size_t fill = d->fill;

	if (d->broken || d->escaped || fill < HEADER + CRC)
		return false;
	if (load32(body + fill - CRC) != crc32(body, fill - CRC))
		return false;
	if (body[0] < FRAME_CALL || body[0] > FRAME_RESET)
		return false;
	*out = (struct frame){ body[0],		 body[1],	body[2],
			       load32(body + 4), body + HEADER, fill - HEADER - CRC };
	return true;
}

bool frame_decode(struct frame_decoder *d, uint8_t byte, struct frame *out)
{
	bool found;

	if (byte == FRAME_DELIMITER) {
		found = whole(d, out);
		d->dropped += !found && (d->fill || d->broken || d->escaped);
		d->fill = 0;
		d->escaped = d->broken = false;
		return found;
	}
	if (d->escaped) {
		d->escaped = false;
		if (byte == ESC_END)
			add(d, FRAME_DELIMITER);
		else if (byte == ESC_ESC)
			add(d, ESC);
		else
			d->broken = true;
	} else if (byte == ESC) {
		d->escaped = true;
	} else {
		add(d, byte);
	}
	return false;
}

static uint8_t *put(uint8_t *at, const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (bytes[i] == FRAME_DELIMITER || bytes[i] == ESC) {
			*at++ = ESC;
			*at++ = bytes[i] == ESC ? ESC_ESC : ESC_END;
		} else {
			*at++ = bytes[i];
		}
	}
	return at;
}

size_t frame_encode(uint8_t *out, size_t room, const struct frame *frame)
{
	uint8_t header[HEADER] = { frame->kind, frame->client, frame->stream }, crc[CRC], *at = out;

	if (frame->bytes > FRAME_PAYLOAD || room < FRAME_ENCODED(frame->bytes))
		return 0;
	store32(header + 4, frame->offset);
	store32(crc, ~crc_add(crc_add(~0u, header, HEADER), frame->payload, frame->bytes));
	*at++ = FRAME_DELIMITER;
	at = put(at, header, HEADER);
	at = put(at, frame->payload, frame->bytes);
	at = put(at, crc, CRC);
	*at++ = FRAME_DELIMITER;
	return (size_t)(at - out);
}
