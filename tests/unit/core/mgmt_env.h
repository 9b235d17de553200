/* SPDX-License-Identifier: BSD-2-Clause */
/* The host of the tests of the management channel: sends frames, and takes what comes. */
#pragma once

#include "tests/unit/core/console_env.h"

static struct frame got[256];
static uint8_t payloads[1u << 20];
static unsigned got_count;

static void send(enum frame_kind kind, uint8_t client, uint8_t stream, uint32_t offset,
		 const void *payload, size_t bytes)
{
	struct frame frame = { kind, client, stream, offset, payload, bytes };

	second_bytes +=
		frame_encode(second_in + second_bytes, sizeof(second_in) - second_bytes, &frame);
}

static void call(const char *text)
{
	send(FRAME_CALL, 1, 0, 0, text, strlen(text));
}

/* Turns of the core; then what it has sent, in got[]. */
static void turns(unsigned n)
{
	static struct frame_decoder decoder;
	size_t fill = 0;

	second_sent = 0;
	while (n--) {
		mgmt_work();
		mgmt_answer();
	}
	second_at = second_bytes = 0;
	memset(&decoder, 0, sizeof(decoder));
	got_count = 0;
	for (size_t i = 0; i < second_sent; i++) {
		struct frame *frame = &got[got_count];

		if (!frame_decode(&decoder, second_out[i], frame))
			continue;
		memcpy(payloads + fill, frame->payload, frame->bytes);
		frame->payload = payloads + fill;
		fill += frame->bytes;
		got_count++;
		assert_true(got_count < 256 && fill < sizeof(payloads) - FRAME_PAYLOAD);
	}
	assert_int_equal(decoder.dropped, 0);
}

static const char *answer(void)
{
	static char text[MGMT_ANSWER_MOST + 1];
	size_t n = 0;

	turns(4);
	for (unsigned i = 0; i < got_count; i++) {
		if (got[i].kind != FRAME_ANSWER && got[i].kind != FRAME_ANSWER_END)
			continue;
		n = got[i].offset ? n : 0; /* the last one, if several came */
		assert_int_equal(got[i].offset, n);
		memcpy(text + n, got[i].payload, got[i].bytes);
		n += got[i].bytes;
	}
	text[n] = '\0';
	return text;
}

static const char *ask(const char *text)
{
	call(text);
	return answer();
}

static int set_up_all(void **state)
{
	(void)state;
	cpu.self = &cpu;
	syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu);
	if (console_init(&config))
		return -1;
	second_present = true;
	mgmt_start();
	return 0;
}

/* Two clients begin anew. */
static void begin(void)
{
	send(FRAME_RESET, 1, 0, 0, NULL, 0);
	send(FRAME_RESET, 2, 0, 0, NULL, 0);
	turns(3);
}
