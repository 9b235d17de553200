/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whatever comes over the management channel's line: bytes as they are (first input byte even), or one
 * request in a right frame (odd). Nothing of it may reach beyond its buffers, each request is answered
 * at most once, and afterwards a right request of another client gets its answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <asm/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hv/core/console_impl.h"
#include "hv/core/fail.h"
#include "hv/core/log.h"
#include "hv/core/log_impl.h"
#include "hv/core/mgmt_impl.h"
#include "hv/core/percpu.h"
#include "hv/core/pmm.h"
#include "hv/core/serial.h"
#include "hv/core/serial_irq.h"
#include "hv/core/timer.h"

#define SENTINEL 200 /* a client that the fuzzer's frames are not from, but by its luck */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const uint8_t *in;
static size_t in_bytes;
static struct frame_decoder decoder;
static unsigned answered;
static struct cpu cpu;
struct spinlock log_lock;

void console_use_frames(const struct console_frames *ops)
{
	(void)ops;
}

static void require(bool ok)
{
	if (!ok)
		abort();
}

void panic(const char *fmt, ...)
{
	(void)fmt;
	abort();
}

void log_printf(const char *fmt, ...)
{
	(void)fmt;
}

bool log_lock_take(struct spinlock *lock)
{
	return spin_trylock(lock);
}

void *page_alloc(size_t size)
{
	return calloc(1, size);
}

bool serial_present(void)
{
	return false;
}

bool serial2_present(void)
{
	return true;
}

int serial2_read(void)
{
	if (!in_bytes)
		return -1;
	in_bytes--;
	return *in++;
}

size_t serial2_write_some(const char *out, size_t count)
{
	struct frame frame;

	for (size_t i = 0; i < count; i++)
		if (frame_decode(&decoder, (uint8_t)out[i], &frame) && frame.client == SENTINEL &&
		    frame.kind == FRAME_ANSWER_END)
			answered++;
	require(decoder.dropped == 0);
	return count;
}

bool serial_irq_start(enum serial_line line, uint32_t mail)
{
	(void)mail;
	return line == SERIAL_SECOND;
}

void serial_irq_listen(enum serial_line line)
{
	(void)line;
}

uint64_t tsc_from_us(uint64_t us)
{
	return us << 20; /* a turn is never over before its work is */
}

void timer_init(struct timer *timer, void (*fire)(struct timer *))
{
	timer->fire = fire;
}

void timer_set(struct timer *timer, uint64_t deadline_tsc)
{
	(void)timer;
	(void)deadline_tsc;
}

void cpu_post(struct cpu *to, uint32_t bits)
{
	(void)to;
	(void)bits;
}

static void take(struct mgmt_call *c)
{
	char word[8];
	uint64_t number;
	bool truth;

	if (mgmt_param_string(c, "word", word, sizeof(word)))
		require(strlen(word) < sizeof(word));
	if (mgmt_param_u64(c, "number", 5, 50, &number))
		require(number >= 5 && number <= 50);
	mgmt_param_bool(c, "truth", &truth);
}

static uint8_t buffer[64];

static void done(struct mgmt_upload *u, bool complete)
{
	require(!complete || u->fill == sizeof(buffer));
	free(u);
}

static void upload(struct mgmt_call *c)
{
	struct mgmt_upload *u = calloc(1, sizeof(*u));

	*u = (struct mgmt_upload){ .buffer = buffer, .bytes = sizeof(buffer), .done = done };
	if (!mgmt_upload(c, u))
		free(u);
}

const struct mgmt_method *mgmt_method_at(unsigned i)
{
	static const struct mgmt_method methods[] = {
		{ "take", "word number truth?", "", take },
		{ "upload", "", "", upload },
	};

	return i < 2 ? &methods[i] : NULL;
}

static void turns(unsigned n)
{
	while (n--) {
		mgmt_work();
		mgmt_answer();
	}
}

static void send(uint8_t client, enum frame_kind kind, const uint8_t *payload, size_t count)
{
	static uint8_t text[FRAME_ENCODED(FRAME_PAYLOAD)];
	struct frame frame = { .kind = kind, .client = client, .payload = payload, .bytes = count };

	in = text;
	in_bytes = frame_encode(text, sizeof(text), &frame);
	turns(6);
	require(in_bytes == 0);
}

static void reset_all(void)
{
	static uint8_t text[256 * FRAME_ENCODED(0)];

	for (unsigned client = 0; client < 256; client++) {
		struct frame frame = { .kind = FRAME_RESET, .client = (uint8_t)client };

		in_bytes += frame_encode(text + in_bytes, sizeof(text) - in_bytes, &frame);
	}
	in = text;
	turns(6);
	require(in_bytes == 0 && !stream_any());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static const char call[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"upload\"}";

	if (bytes < 1 || bytes > FRAME_PAYLOAD)
		return 0;
	if (!cpu.self) {
		cpu.self = &cpu;
		syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu);
		mgmt_start();
	}
	if (data[0] & 1) {
		send(1, FRAME_CALL, data + 1, bytes - 1);
	} else {
		in = data + 1;
		in_bytes = bytes - 1;
		turns(6);
	}
	in = (const uint8_t *)"\xc0";
	in_bytes = 1;
	turns(3);
	answered = 0;
	send(SENTINEL, FRAME_CALL, (const uint8_t *)call, sizeof(call) - 1);
	require(answered == 1);
	reset_all();
	return 0;
}
