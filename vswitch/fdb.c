/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hash table of buckets of eight entries. An entry is one word (address, port, valid bit) that is
 * replaced as a whole, so a reader needs no lock and sees the old or the new one; beside it the
 * second it was last seen. An address lives in one bucket only: a full bucket refuses, and reuses
 * the place of what has aged. The hash is keyed, lest a guest choose addresses that fill the bucket
 * of another guest's address.
 */
#include "vswitch/fdb.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "vswitch/env.h"
#include "vswitch/prefetch.h"
#include "vswitch/spin.h"
#include "vswitch/switch.h"

#define WORD_VALID (1ull << 8)
#define SWEEP_STEP 1u /* buckets looked through for aged entries per address learned */

/* (l) written under lock  (a) atomic, read by anyone */
struct fdb {
	struct fdb_bucket {
		_Alignas(64) _Atomic uint64_t word[FDB_WAYS]; /* (l) (a) */
	} bucket[FDB_BUCKETS];
	_Atomic uint32_t seen_s[FDB_BUCKETS][FDB_WAYS]; /* (a) */
	_Atomic uint32_t held[VS_MAX_PORTS];		/* (l) (a) entries of each port */
	uint64_t uplinks;				/* (l) set of ports */
	uint64_t secret;				/* constant */
	unsigned hand;					/* (l) next bucket to sweep */
	struct spin lock;
};

_Static_assert((FDB_BUCKETS & (FDB_BUCKETS - 1)) == 0, "the hash is masked");
_Static_assert(VS_MAX_PORTS <= 256, "a word has 8 bits for the port");

static inline uint64_t make_word(uint64_t mac, unsigned port)
{
	return mac << 16 | WORD_VALID | port;
}

static inline unsigned word_port(uint64_t word)
{
	return (unsigned)(word & 0xff);
}

/* Multiply and fold, twice: every bit of address and secret reaches the bucket number. */
static inline unsigned bucket_of(const struct fdb *fdb, uint64_t mac)
{
	uint64_t h = (mac ^ fdb->secret) * 0x9e3779b97f4a7c15ull;

	h = (h ^ h >> 32 ^ fdb->secret >> 7) * 0xd6e8feb86659fd93ull;
	return (unsigned)(h >> 40) & (FDB_BUCKETS - 1);
}

static inline uint64_t load_word(const struct fdb *fdb, unsigned b, unsigned way)
{
	return atomic_load_explicit(&fdb->bucket[b].word[way], memory_order_acquire);
}

static inline bool aged(const struct fdb *fdb, unsigned b, unsigned way, uint32_t now_s)
{
	uint32_t seen = atomic_load_explicit(&fdb->seen_s[b][way], memory_order_relaxed);

	/* a reader's clock may be a little behind the writer's */
	return (int32_t)(now_s - seen) > (int32_t)FDB_AGE_S;
}

struct fdb *fdb_create(uint64_t secret)
{
	struct fdb *fdb = env_alloc(sizeof(*fdb));

	if (fdb != NULL)
		fdb->secret = secret;
	return fdb;
}

void fdb_destroy(struct fdb *fdb)
{
	if (fdb != NULL)
		env_free(fdb, sizeof(*fdb));
}

/* Place of the address in its bucket, or -1. */
static inline int find(const struct fdb *fdb, unsigned b, uint64_t mac, uint64_t *word)
{
	for (unsigned way = 0; way < FDB_WAYS; way++) {
		*word = load_word(fdb, b, way);
		if (*word >> 16 == mac && (*word & WORD_VALID))
			return (int)way;
	}
	return -1;
}

int fdb_lookup(const struct fdb *fdb, uint64_t mac, uint32_t now_s)
{
	unsigned b = bucket_of(fdb, mac);
	uint64_t word;
	int way = find(fdb, b, mac, &word);

	if (way < 0 || aged(fdb, b, (unsigned)way, now_s))
		return -1;
	return (int)word_port(word);
}

void fdb_prefetch(const struct fdb *fdb, uint64_t mac)
{
	unsigned b = bucket_of(fdb, mac);

	prefetch_read(&fdb->bucket[b]);
	prefetch_read(fdb->seen_s[b]);
}

static void set_held(struct fdb *fdb, unsigned port, uint32_t held)
{
	atomic_store_explicit(&fdb->held[port], held, memory_order_relaxed);
}

static uint32_t held(const struct fdb *fdb, unsigned port)
{
	return atomic_load_explicit(&fdb->held[port], memory_order_relaxed);
}

/* Puts a word (0: none) into a place and keeps the ports' counts. Under the lock. */
static void replace(struct fdb *fdb, unsigned b, unsigned way, uint64_t word)
{
	uint64_t old = load_word(fdb, b, way);

	if (old & WORD_VALID)
		set_held(fdb, word_port(old), held(fdb, word_port(old)) - 1);
	if (word & WORD_VALID)
		set_held(fdb, word_port(word), held(fdb, word_port(word)) + 1);
	atomic_store_explicit(&fdb->bucket[b].word[way], word, memory_order_release);
}

/* Under the lock: a bounded step of looking for aged entries, so that a port at its limit gets
 * places back. */
static void sweep(struct fdb *fdb, uint32_t now_s)
{
	for (unsigned n = 0; n < SWEEP_STEP; n++) {
		unsigned b = fdb->hand++ % FDB_BUCKETS;

		for (unsigned way = 0; way < FDB_WAYS; way++)
			if (load_word(fdb, b, way) != 0 && aged(fdb, b, way, now_s))
				replace(fdb, b, way, 0);
	}
}

static bool is_uplink(const struct fdb *fdb, unsigned port)
{
	return fdb->uplinks >> port & 1;
}

/* Under the lock: the place of the uplinks' address that was seen longest ago; -1: there is none. */
static int oldest_of_uplinks(const struct fdb *fdb, unsigned b, uint32_t now_s)
{
	int32_t most = 0; /* signed: who saw it may have a clock ahead of ours */
	int oldest = -1;

	for (unsigned way = 0; way < FDB_WAYS; way++) {
		int32_t age = (int32_t)(now_s - atomic_load_explicit(&fdb->seen_s[b][way],
								     memory_order_relaxed));

		if (is_uplink(fdb, word_port(load_word(fdb, b, way))) &&
		    (oldest < 0 || age > most)) {
			oldest = (int)way;
			most = age;
		}
	}
	return oldest;
}

/* Under the lock: where the address is, or may go; -1: the bucket is full of live entries. */
static int place_for(const struct fdb *fdb, unsigned b, uint64_t mac, unsigned port, uint32_t now_s)
{
	uint64_t word;
	int way = find(fdb, b, mac, &word);

	if (way >= 0)
		return way;
	for (unsigned i = 0; i < FDB_WAYS; i++)
		if (load_word(fdb, b, i) == 0 || aged(fdb, b, i, now_s))
			return (int)i;
	return is_uplink(fdb, port) ? -1 : oldest_of_uplinks(fdb, b, now_s);
}

static enum fdb_learn insert(struct fdb *fdb, unsigned b, uint64_t mac, unsigned port,
			     uint32_t now_s)
{
	enum fdb_learn result = FDB_FULL;
	int way;

	spin_lock(&fdb->lock);
	sweep(fdb, now_s);
	way = place_for(fdb, b, mac, port, now_s);
	if (way >= 0 && (held(fdb, port) < FDB_PORT_LIMIT || is_uplink(fdb, port))) {
		/* the time first: who finds the word (acquire, release) must not find it aged */
		atomic_store_explicit(&fdb->seen_s[b][way], now_s, memory_order_relaxed);
		replace(fdb, b, (unsigned)way, make_word(mac, port));
		result = FDB_LEARNED;
	}
	spin_unlock(&fdb->lock);
	return result;
}

enum fdb_learn fdb_learn(struct fdb *fdb, uint64_t mac, unsigned port, uint32_t now_s)
{
	unsigned b = bucket_of(fdb, mac);
	uint64_t word;
	int way = find(fdb, b, mac, &word);

	if (way < 0 || word_port(word) != port)
		return insert(fdb, b, mac, port, now_s);
	/* The place may be given to another address just now: that one then lives a little
	 * longer. */
	if (atomic_load_explicit(&fdb->seen_s[b][way], memory_order_relaxed) != now_s)
		atomic_store_explicit(&fdb->seen_s[b][way], now_s, memory_order_relaxed);
	return FDB_KNOWN;
}

void fdb_set_uplink(struct fdb *fdb, unsigned port, bool uplink)
{
	uint64_t bit = 1ull << port;

	spin_lock(&fdb->lock);
	fdb->uplinks = uplink ? fdb->uplinks | bit : fdb->uplinks & ~bit;
	spin_unlock(&fdb->lock);
}

/* Under the lock: if it is behind one of the ports of the set. */
static void forget(struct fdb *fdb, uint64_t mac, uint64_t ports)
{
	unsigned b = bucket_of(fdb, mac);
	uint64_t word;
	int way = find(fdb, b, mac, &word);

	if (way >= 0 && (ports >> word_port(word) & 1))
		replace(fdb, b, (unsigned)way, 0);
}

void fdb_forget(struct fdb *fdb, uint64_t mac)
{
	spin_lock(&fdb->lock);
	forget(fdb, mac, UINT64_MAX);
	spin_unlock(&fdb->lock);
}

void fdb_forget_uplinks(struct fdb *fdb, uint64_t mac)
{
	spin_lock(&fdb->lock);
	forget(fdb, mac, fdb->uplinks);
	spin_unlock(&fdb->lock);
}

void fdb_forget_port(struct fdb *fdb, unsigned port)
{
	for (unsigned b = 0; b < FDB_BUCKETS; b++) {
		spin_lock(&fdb->lock);
		for (unsigned way = 0; way < FDB_WAYS; way++) {
			uint64_t word = load_word(fdb, b, way);

			if ((word & WORD_VALID) && word_port(word) == port)
				replace(fdb, b, way, 0);
		}
		spin_unlock(&fdb->lock);
	}
}

struct fdb_entry fdb_entry(const struct fdb *fdb, unsigned i)
{
	unsigned b = i / FDB_WAYS, way = i % FDB_WAYS;
	uint64_t word = load_word(fdb, b, way);

	return (struct fdb_entry){
		.mac = word >> 16,
		.port = word & WORD_VALID ? word_port(word) : (unsigned)-1,
		.seen_s = atomic_load_explicit(&fdb->seen_s[b][way], memory_order_relaxed),
	};
}
