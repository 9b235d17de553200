/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Forwarding database: which port a MAC address is behind. Fixed size, so that no guest can make it
 * grow; a guest's port may hold FDB_PORT_LIMIT addresses, so that none can fill it alone; entries not seen
 * for FDB_AGE_S seconds are gone. Readers take no lock: an entry is one 64-bit word.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define FDB_AGE_S      300u
#define FDB_PORT_LIMIT 1024u
#define FDB_WAYS       8u /* entries of a bucket: one cache line of words */
#define FDB_BUCKETS    512u

struct fdb;

struct fdb *fdb_create(uint64_t secret); /* NULL: no memory. secret: guests cannot know it */
void fdb_destroy(struct fdb *fdb);

enum fdb_learn { FDB_KNOWN, FDB_LEARNED, FDB_FULL };

/* Says that `mac` was seen behind `port` (0..63) at now_s. A moved address is learned anew. */
enum fdb_learn fdb_learn(struct fdb *fdb, uint64_t mac, unsigned port, uint32_t now_s);

/* The port, or -1 for unknown or too old. */
int fdb_lookup(const struct fdb *fdb, uint64_t mac, uint32_t now_s);

/* fdb_learn() or fdb_lookup() of this address will follow soon. */
void fdb_prefetch(const struct fdb *fdb, uint64_t mac);

/* The world is behind the port: it has no limit, and its addresses make room for those of the other
 * ports. Nobody learns for it meanwhile. */
void fdb_set_uplink(struct fdb *fdb, unsigned port, bool uplink);

/* Forgets an address, wherever it was seen. */
void fdb_forget(struct fdb *fdb, uint64_t mac);

/* The same, but only if that was behind an uplink. */
void fdb_forget_uplinks(struct fdb *fdb, uint64_t mac);

/* Forgets all addresses of a port. Nobody may learn for it meanwhile. */
void fdb_forget_port(struct fdb *fdb, unsigned port);

struct fdb_entry {
	uint64_t mac;
	unsigned port;
	uint32_t seen_s;
};

/* Entry number i of FDB_BUCKETS * FDB_WAYS; port -1 cast to unsigned: the place is free. */
struct fdb_entry fdb_entry(const struct fdb *fdb, unsigned i);
