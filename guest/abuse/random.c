/* SPDX-License-Identifier: BSD-2-Clause */
/* splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators"), and values
 * that find more than uniform ones do. */
#include "guest/abuse/abuse.h"

#define MESSAGES     0xfee00000ull
#define MESSAGES_END 0xfef00000ull
#define MOST_BYTES   0x10000u /* written from an address on */

static uint64_t state;
static uint64_t fatal;

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

void random_seed(uint64_t seed, uint64_t stream, uint64_t round)
{
	state = mix(seed + mix(stream + mix(round)));
}

uint64_t random_u64(void)
{
	state += 0x9e3779b97f4a7c15ull;
	return mix(state);
}

uint64_t random_below(uint64_t n)
{
	return random_u64() % n;
}

bool one_in(unsigned n)
{
	return random_below(n) == 0;
}

void fatal_set(uint64_t one_in_n)
{
	fatal = one_in_n;
}

bool fatal_chance(void)
{
	return fatal && random_below(fatal) == 0;
}

uint64_t random_value(void)
{
	uint64_t bit = 1ull << random_below(64);

	switch (random_below(10)) {
	case 0:
		return 0;
	case 1:
		return ~0ull;
	case 2:
		return bit;
	case 3:
		return bit - 1;
	case 4:
		return ~bit;
	case 5:
		return random_below(256);
	case 6:
		return random_u64() & random_u64() & random_u64();
	case 7:
		return random_address();
	case 8:
		return (uint32_t)random_u64();
	default:
		return random_u64();
	}
}

/* hv/core/guest_map.h, as a guest knows it from ACPI */
static const struct {
	uint64_t base, bytes;
} device[] = {
	{ 0xc0000000, 0x20000 },			     /* BARs */
	{ 0xc0000000, 0x20000000 }, { 0xe0000000, 0x10000 }, /* ECAM: the devices that are there */
	{ 0xe0000000, 0x100000 },   { 0xfec00000, 0x1000 },  /* I/O APIC */
	{ 0xfee00000, 0x1000 },				     /* local APIC */
};

uint64_t random_device(void)
{
	unsigned i = (unsigned)random_below(sizeof(device) / sizeof(device[0]));
	uint64_t at = random_below(device[i].bytes);

	return device[i].base + (one_in(3) ? at : at & ~(uint64_t)7);
}

/* Within 16 bytes of an edge. */
static uint64_t near(uint64_t edge)
{
	return edge - 16 + random_below(32);
}

bool random_spares_messages;

static uint64_t any_address(void)
{
	unsigned i = (unsigned)random_below(sizeof(device) / sizeof(device[0]));

	switch (random_below(8)) {
	case 0:
		return near(ram_end());
	case 1:
		return near(device[i].base);
	case 2:
		return near(device[i].base + device[i].bytes);
	case 3:
		return near(one_in(2) ? 1ull << 32 : 1ull << random_below(64));
	case 4:
		return random_u64();
	case 5:
		return random_u64() & 0xfffffffffffffull;
	case 6:
		return random_device();
	default:
		return arena_base() + random_below(ARENA_BYTES);
	}
}

uint64_t random_address(void)
{
	uint64_t at;

	do
		at = any_address();
	while (random_spares_messages && at >= MESSAGES - MOST_BYTES && at < MESSAGES_END);
	return at;
}

void *random_arena(unsigned bytes, unsigned align)
{
	uint64_t at = arena_base() + random_below(ARENA_BYTES - bytes);

	return (void *)(at & ~(uint64_t)(align - 1));
}
