/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The management channel (docs/management.md): JSON-RPC 2.0 and streams of bytes in frames, on the
 * second serial line, or on the first behind an escape. This is what those need who offer a method.
 *
 * A method is a row of a table (mgmt_methods.c lists the tables). It runs on the home CPU in its run
 * loop, with no vCPU and no lock, one at a time: it may take its time, as a command of the shell may.
 * It reads its parameters by mgmt_param_*(), and writes members of its result, an object, to
 * call->result; or fails by mgmt_fail(), and what it wrote is left out:
 *
 *	static void vm_pause(struct mgmt_call *call)
 *	{
 *		char name[CONFIG_MAX_NAME + 1];
 *		const char *why;
 *
 *		if (!mgmt_param_string(call, "vm", name, sizeof(name)))
 *			return;
 *		if (vm_command(name, VM_PAUSE, &why) < 0)
 *			mgmt_fail(call, MGMT_REFUSED, "%s: %s", name, why);
 *	}
 *
 *	const struct mgmt_method mgmt_vm_methods[] = {
 *		{ "vm.pause", "vm", "its vCPUs do not run until it is resumed", vm_pause },
 *		{ NULL, NULL, NULL, NULL },
 *	};
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/core/json.h"
#include "hv/core/lock.h"

struct mgmt_call; /* a request that is being answered */

struct mgmt_method {
	const char *name; /* "vm.pause": noun, verb */
	const char
		*params;  /* names, with a space between; "?" behind one that may be absent. Others
			       are refused before run() */
	const char *help; /* for people, one line */
	void (*run)(struct mgmt_call *call);
};

/* Numbers of JSON-RPC 2.0, "Error object"; from -32000 on ours. */
enum mgmt_error {
	MGMT_PARSE = -32700,   /* not JSON, or not ours to parse: nested too deep, too long */
	MGMT_REQUEST = -32600, /* not a request of JSON-RPC 2.0 */
	MGMT_NO_METHOD = -32601,
	MGMT_PARAMS = -32602,
	MGMT_TOO_LONG = -32000, /* the answer */
	MGMT_REFUSED = -32001,	/* not now, or not so: the sentence says why */
	MGMT_NOENT = -32002,	/* no VM, port, … of that name */
	MGMT_NOMEM = -32003,	/* memory, or streams */
};

#define MGMT_REQUEST_MOST 4096	     /* bytes of a request */
#define MGMT_ANSWER_MOST  (2u << 20) /* bytes of an answer: all counters of all ports there may be */
#define MGMT_STREAMS	  16	     /* open at a time */

/* The call's result, an object that is open: members are written to it. */
struct json *mgmt_result(struct mgmt_call *call);

/* The call has failed: a sentence that names the thing and the mend. The first counts. */
void mgmt_fail(struct mgmt_call *call, enum mgmt_error error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A parameter. If it is absent, of another kind or out of bounds the call has failed, and false is
 * returned. Strings: printable UTF-8 with its NUL in `room`, escapes undone. */
bool mgmt_param_given(const struct mgmt_call *call, const char *name);
bool mgmt_param_string(struct mgmt_call *call, const char *name, char *out, size_t room);
bool mgmt_param_u64(struct mgmt_call *call, const char *name, uint64_t least, uint64_t most,
		    uint64_t *out);
bool mgmt_param_bool(struct mgmt_call *call, const char *name, bool *out);

/* Its value; -1: it is none. */
static inline int mgmt_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* ---- streams ---- */

struct mgmt_stream;

/* All are called on the home CPU with no lock held, from its mail (a vCPU may wait for this CPU): they
 * copy, and wait for nothing. */
struct mgmt_stream_ops {
	/* Towards the host: the next bytes, at most `room` (a few hundred); 0: none now. NULL: none
	 * ever. Called when the line takes some and the host keeps up. */
	size_t (*pull)(struct mgmt_stream *s, uint8_t *out, size_t room);
	/* From the host: all bytes in order, nothing twice, at most MGMT_PAYLOAD at a time. How many
	 * were taken; the rest is sent again. NULL: refuses any. */
	size_t (*push)(struct mgmt_stream *s, const uint8_t *bytes, size_t count);
	/* Once, last: nothing more is called. complete: the host has ended it with all sent, or we
	 * have without a complaint; else it broke off or is gone. May complain by mgmt_stream_end():
	 * the host is told. */
	void (*closed)(struct mgmt_stream *s, bool complete);
};

/*
 * Opens a stream for the host that called; its result gets a member "stream" with the number. NULL:
 * none is free, and the call has failed. `owner` is the method's own. If the call fails later on, the
 * stream is closed.
 */
struct mgmt_stream *mgmt_stream_open(struct mgmt_call *call, const struct mgmt_stream_ops *ops,
				     void *owner);
void *mgmt_stream_owner(const struct mgmt_stream *s);
unsigned mgmt_stream_number(const struct mgmt_stream *s);

/* No more is to come: when pull() gives nothing more, the host is told, with this sentence (constant,
 * "" if all is well), and closed() is called. On the home CPU. */
void mgmt_stream_end(struct mgmt_stream *s, const char *why);

/* Bytes that the stream's owner could not keep for the host: told at its end and by "streams". Any
 * CPU. */
void mgmt_stream_lost(struct mgmt_stream *s, uint64_t bytes);

/* For stream owners with data that comes from any CPU: records go in whole or not at all, and never
 * wait for the line. What does not fit is counted. One lock, held for a copy; nothing is locked
 * while it is held, and any lock may be held around it. */
struct mgmt_ring {
	struct spinlock lock;
	uint8_t *bytes;	      /* (c) the owner's */
	uint32_t size;	      /* (c) a power of two */
	uint64_t put, pulled; /* under lock: bytes ever */
	uint64_t lost;	      /* under lock: records that did not fit */
};
struct mgmt_piece {
	const void *bytes;
	size_t count;
};
void mgmt_ring_init(struct mgmt_ring *ring, uint8_t *bytes, uint32_t size);
/* The pieces, one behind the other, as one record. False: there is no room, it was counted. Any CPU. */
bool mgmt_ring_put(struct mgmt_ring *ring, const struct mgmt_piece *pieces, unsigned count);
/* For pull(): the oldest bytes, which leave the ring. */
size_t mgmt_ring_pull(struct mgmt_ring *ring, uint8_t *out, size_t room);
uint64_t mgmt_ring_lost(struct mgmt_ring *ring);

/*
 * Takes an upload into a buffer of the method's: exactly `bytes` are to come. done() is called once:
 * complete if all have. Result member "stream", as above; the host sends, and then ends the stream.
 * False: the call has failed, done() is not called. `upload` is the caller's, until done().
 * mgmt_upload_break(): done() is called before it returns, and the host is told why (constant).
 */
struct mgmt_upload {
	uint8_t *buffer;
	size_t bytes, fill;
	void (*done)(struct mgmt_upload *upload, bool complete);
	void *owner;
	struct mgmt_stream *stream;
};
bool mgmt_upload(struct mgmt_call *call, struct mgmt_upload *upload);
void mgmt_upload_break(struct mgmt_upload *upload, const char *why);

/* ---- for sched.c, vcpu.c and main.c ---- */

/* Looks for a second line, and serves both from now on, on this CPU. After console_start(). */
void mgmt_start(void);

/* Answers MB_MGMT: frames in and out, a bounded number of bytes. */
void mgmt_work(void);

/* A request waits, and this CPU is to answer it by mgmt_answer(), in its run loop with no vCPU. */
bool mgmt_request_waiting(void);
void mgmt_answer(void);
