/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Capturing what passes a port: each packet taken from its guest, once it is known what became of it, and
 * each that is copied to its guest, or dropped on the way there. Records (lasthop/capture.h) go into a
 * bounded ring. Any CPU writes: it reserves room under a short lock and copies outside of it. One that
 * finds no room leaves a gap in the records' numbers, and nobody waits. A reader takes them, oldest first.
 *
 * Off, a port costs one predicted branch for each batch that it sends and for each list of packets that it
 * receives: what is done when it is on is in functions that the compiler keeps apart (cold).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lasthop/capture.h"

#define CAPTURE_LEAST (256u << 10) /* bytes of a ring: a few frames of 64 KiB */
#define CAPTURE_MOST  (64u << 20)

struct capture;
struct port;

/* ring_bytes: a power of two, CAPTURE_LEAST..CAPTURE_MOST. snap: bytes of each frame that are kept, at most.
 * mark: of its records (lasthop/capture.h). NULL: no memory, or no such size. */
struct capture *capture_create(uint32_t ring_bytes, uint32_t snap, uint32_t mark);
/* Of no port any more: port_capture(port, NULL) was called, or the port has gone. */
void capture_destroy(struct capture *c);

/* The port's packets go there from now on; NULL: nowhere. When it returns no CPU writes to what was there
 * before. A port that is retired lets go of it by itself. Control path, bounded like port_stop_queue(). */
void port_capture(struct port *port, struct capture *c);
/* Whether they do. */
bool port_captured(const struct port *port, const struct capture *c);

/* Moves the next bytes of the stream of records, as many as are there, to out[]: returns how many. One reader
 * at a time; waits for nothing. */
size_t capture_read(struct capture *c, uint8_t *out, size_t room);

/* Records so far, those too that had no room. Any CPU. */
uint64_t capture_count(const struct capture *c);
