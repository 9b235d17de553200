/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is the table DMAR read right, and is one that lies refused whole? Faked: the machine's bridges.
 * The table is a heap block of just its bytes, so that the sanitiser sees a read beyond them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hv/dev/dmar.h"

#include <cmocka.h> /* last: it has a macro fail() */

#define ROOM	  8192
#define MUTATIONS 100000

static uint8_t table[ROOM];
static size_t fill;
static struct dmar d;
static unsigned complaints;

int(fail)(enum lh_err err, const char *fmt, ...)
{
	(void)fmt;
	complaints++;
	return err;
}

/* Bridges: 00:1c.0 to buses 2 to 4, 02:00.0 to bus 3; 00:1d.0, whose buses a case says; else there are plain
 * devices. */
static uint8_t secondary, subordinate;

uint32_t host_pci_read(struct pci_address address, unsigned at, unsigned bytes)
{
	bool outer = address.bus == 0 && address.devfn == 0x1c << 3;
	bool inner = address.bus == 2 && address.devfn == 0;
	bool other = address.bus == 0 && address.devfn == 0x1d << 3;

	assert_int_equal(bytes, 1);
	switch (at) {
	case 0x0e:
		return outer || inner || other ? 0x81 : 0;
	case 0x19:
		return outer ? 2 : inner ? 3 : secondary;
	case 0x1a:
		return outer ? 4 : inner ? 3 : subordinate;
	}
	return 0xff;
}

static void put(size_t bytes, uint64_t value)
{
	memcpy(table + fill, &value, bytes);
	fill += bytes;
}

static void put_header(uint8_t flags)
{
	fill = 0;
	memset(table, 0, sizeof(table));
	memcpy(table, "DMAR", 4);
	table[37] = flags;
	fill = 48;
}

/* The scopes' bytes follow. */
static void put_unit(uint8_t flags, uint16_t segment, uint64_t base, size_t scope_bytes)
{
	put(2, 0);
	put(2, 16 + scope_bytes);
	put(1, flags);
	put(1, 0);
	put(2, segment);
	put(8, base);
}

static void put_reserved(uint16_t segment, size_t scope_bytes)
{
	put(2, 1);
	put(2, 24 + scope_bytes);
	put(2, 0);
	put(2, segment);
	put(8, 0x7f000000);
	put(8, 0x7fffffff);
}

#define SCOPE(hops) (6 + 2 * (hops))

static void put_scope(uint8_t type, uint8_t id, uint8_t bus, unsigned hops, ...)
{
	va_list ap;

	put(1, type);
	put(1, SCOPE(hops));
	put(2, 0);
	put(1, id);
	put(1, bus);
	va_start(ap, hops);
	for (unsigned i = 0; i < 2 * hops; i++)
		put(1, (uint64_t)va_arg(ap, int));
	va_end(ap);
}

static int parse(void)
{
	uint8_t *block = malloc(fill);
	int result;

	memcpy(block, table, fill);
	complaints = 0;
	result = dmar_parse(&d, block, fill);
	free(block);
	return result;
}

static void put_good(void)
{
	put_header(1);
	put_unit(0, 0, 0xfed90000, SCOPE(1) + SCOPE(2));
	put_scope(DMAR_ENDPOINT, 0, 0, 1, 2, 0);
	put_scope(DMAR_ENDPOINT, 0, 0, 2, 0x1c, 0, 5, 1);
	put_unit(0, 0, 0xfed91000, SCOPE(2));
	put_scope(DMAR_BRIDGE, 0, 0, 2, 0x1c, 0, 0, 0);
	put_unit(0, 7, 0xfed92000, SCOPE(1));
	put_scope(DMAR_ENDPOINT, 0, 0, 1, 9, 0);
	put(4, 8 << 16 | 2); /* ATSR: of no interest */
	put(4, 0);
	put_unit(1, 0, 0xfed93000, 2 * SCOPE(1));
	put_scope(DMAR_IOAPIC, 8, 0xff, 1, 0, 0);
	put_scope(DMAR_HPET, 8, 0xfe, 1, 0x1f, 7);
	put_reserved(0, SCOPE(1));
	put_scope(DMAR_ENDPOINT, 0, 0, 1, 0x14, 0);
	put_reserved(3, SCOPE(1));
	put_scope(DMAR_ENDPOINT, 0, 0, 1, 0x15, 0);
}

static struct pci_address at(uint8_t bus, unsigned device, unsigned function)
{
	return (struct pci_address){ bus, (uint8_t)(device << 3 | function) };
}

static void good(void **state)
{
	struct pci_address source;

	(void)state;
	put_good();
	assert_int_equal(parse(), 0);
	assert_true(d.interrupts);
	assert_int_equal(d.unit_count, 4);
	assert_int_equal(d.unit[1].base, 0xfed91000);
	assert_int_equal(d.unit[2].segment, 7);
	assert_int_equal(dmar_unit_of(&d, at(0, 2, 0)), 0);
	assert_int_equal(dmar_unit_of(&d, at(0, 2, 1)), 3);
	assert_int_equal(dmar_unit_of(&d, at(2, 5, 1)), 0); /* through a bridge */
	assert_int_equal(dmar_unit_of(&d, at(2, 5, 0)), 3);
	assert_int_equal(dmar_unit_of(&d, at(2, 0, 0)), 1); /* the bridge itself */
	assert_int_equal(dmar_unit_of(&d, at(3, 31, 7)), 1);
	assert_int_equal(dmar_unit_of(&d, at(4, 0, 0)), 3);
	assert_int_equal(dmar_unit_of(&d, at(0, 9, 0)), 3);    /* the scope is of another segment */
	assert_int_equal(dmar_unit_of(&d, at(0xff, 0, 0)), 3); /* an I/O APIC's is no device's */
	assert_int_equal(d.region_count, 1);
	assert_int_equal(d.region[0].base, 0x7f000000);
	assert_int_equal(d.region[0].last, 0x7fffffff);
	assert_true(dmar_is_reserved(&d, at(0, 0x14, 0)));
	assert_false(dmar_is_reserved(&d, at(0, 0x14, 1)));
	assert_false(dmar_is_reserved(&d, at(0, 0x15, 0)));
	assert_false(dmar_is_reserved(&d, at(0, 2, 0)));
	assert_true(dmar_source(&d, DMAR_IOAPIC, 8, &source));
	assert_int_equal(pci_requester(source), 0xff00);
	assert_true(dmar_source(&d, DMAR_HPET, 8, &source));
	assert_int_equal(pci_requester(source), 0xfeff);
	assert_false(dmar_source(&d, DMAR_IOAPIC, 9, &source));
}

/* As firmware may tell: devices that are switched off, and kinds of scope to come. */
static void absent_devices(void **state)
{
	(void)state;
	put_header(0);
	put_unit(0, 0, 0xfed90000, SCOPE(2) + SCOPE(1) + SCOPE(1));
	put_scope(DMAR_ENDPOINT, 0, 0, 2, 3, 0, 0, 0); /* 00:03.0 is no bridge */
	put_scope(5, 0, 0, 1, 1, 0);
	put_scope(DMAR_BRIDGE, 0, 0, 1, 4, 0); /* nor is 00:04.0 */
	assert_int_equal(parse(), 0);
	assert_false(d.interrupts);
	assert_int_equal(d.scope_count, 1);
	assert_int_equal(dmar_unit_of(&d, at(0, 4, 0)), 0);
	assert_int_equal(dmar_unit_of(&d, at(0, 1, 0)), -1);
	assert_int_equal(dmar_unit_of(&d, at(1, 0, 0)), -1);
}

/* Firmware has given it none: it covers itself, and nothing is behind it. */
static void bridges_without_buses(void **state)
{
	static const struct {
		uint8_t first, last;
		bool good;
	} cases[] = { { 0, 0, false }, { 0, 255, false }, { 5, 4, false }, { 5, 5, true } };

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		secondary = cases[i].first;
		subordinate = cases[i].last;
		put_header(0);
		put_unit(0, 0, 0xfed90000, SCOPE(1));
		put_scope(DMAR_BRIDGE, 0, 0, 1, 0x1d, 0);
		put_unit(0, 0, 0xfed91000, SCOPE(2));
		put_scope(DMAR_ENDPOINT, 0, 0, 2, 0x1d, 0, 3, 0);
		put_unit(1, 0, 0xfed92000, 0);
		assert_int_equal(parse(), 0);
		assert_int_equal(dmar_unit_of(&d, at(0, 0x1d, 0)), 0);
		assert_int_equal(dmar_unit_of(&d, at(0, 3, 0)), 2);
		assert_int_equal(dmar_unit_of(&d, at(5, 0, 0)), cases[i].good ? 0 : 2);
		assert_int_equal(d.scope_count, 1 + cases[i].good);
	}
}

static void lie_unit_short(void)
{
	put(2, 0);
	put(2, 8);
	put(8, 0);
}

static void lie_no_unit(void)
{
	put_reserved(0, 0);
}

static void lie_length_zero(void)
{
	put_unit(1, 0, 0x1000, 0);
	put(4, 0);
}

static void lie_length_beyond(void)
{
	put_unit(1, 0, 0x1000, 1);
}

static void lie_rest(void)
{
	put_unit(1, 0, 0x1000, 0);
	put(2, 0);
}

static void lie_base_zero(void)
{
	put_unit(1, 0, 0, 0);
}

static void lie_base_unaligned(void)
{
	put_unit(1, 0, 0x1800, 0);
}

static void lie_twice(void)
{
	put_unit(0, 0, 0x1000, 0);
	put_unit(1, 0, 0x1000, 0);
}

static void lie_two_cover_all(void)
{
	put_unit(1, 0, 0x1000, 0);
	put_unit(1, 0, 0x2000, 0);
}

static void lie_many_units(void)
{
	for (unsigned i = 0; i <= DMAR_MAX_UNITS; i++)
		put_unit(0, 0, 0x1000 * (i + 1), 0);
}

static void lie_many_regions(void)
{
	put_unit(1, 0, 0x1000, 0);
	for (unsigned i = 0; i <= DMAR_MAX_REGIONS; i++)
		put_reserved(0, 0);
}

static void lie_many_scopes(void)
{
	put_unit(0, 0, 0x1000, (DMAR_MAX_SCOPES + 1) * SCOPE(1));
	for (unsigned i = 0; i <= DMAR_MAX_SCOPES; i++)
		put_scope(DMAR_ENDPOINT, 0, (uint8_t)i, 1, 0, 0);
}

static void lie_scope_length(uint8_t length)
{
	put_unit(0, 0, 0x1000, SCOPE(1));
	put_scope(DMAR_ENDPOINT, 0, 0, 1, 0, 0);
	table[fill - 7] = length;
}

static void lie_scope_zero(void)
{
	lie_scope_length(0);
}

static void lie_scope_without_path(void)
{
	lie_scope_length(6);
}

static void lie_scope_odd(void)
{
	lie_scope_length(9);
}

static void lie_scope_beyond(void)
{
	lie_scope_length(10);
}

static void lie_device(void)
{
	put_unit(0, 0, 0x1000, SCOPE(1));
	put_scope(DMAR_ENDPOINT, 0, 0, 1, 32, 0);
}

static void lie_function(void)
{
	put_unit(0, 0, 0x1000, SCOPE(1));
	put_scope(DMAR_ENDPOINT, 0, 0, 1, 0, 8);
}

static void lie_reserved_short(void)
{
	put_unit(1, 0, 0x1000, 0);
	put(2, 1);
	put(2, 16);
	put(8, 0);
	put(4, 0);
}

static void lies(void **state)
{
	static void (*const all[])(void) = {
		lie_unit_short,
		lie_no_unit,
		lie_length_zero,
		lie_length_beyond,
		lie_rest,
		lie_base_zero,
		lie_base_unaligned,
		lie_twice,
		lie_two_cover_all,
		lie_many_units,
		lie_many_scopes,
		lie_scope_zero,
		lie_scope_without_path,
		lie_scope_odd,
		lie_scope_beyond,
		lie_device,
		lie_function,
		lie_reserved_short,
		lie_many_regions,
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		put_header(1);
		all[i]();
		if (parse() != LH_INVAL || complaints != 1)
			fail_msg("lie %u: %u complaints", i, complaints);
	}
	for (fill = 1; fill < 48; fill++)
		assert_int_equal(parse(), LH_INVAL);
}

/* Whatever it says: nothing is read beyond it, nothing written beyond our room, a result comes. */
static void mutations(void **state)
{
	uint32_t seed = 1;

	(void)state;
	for (unsigned i = 0; i < MUTATIONS; i++) {
		put_good();
		for (unsigned n = 0; n < 4; n++) {
			seed = seed * 1664525 + 1013904223;
			table[48 + (seed >> 8) % (fill - 48)] = (uint8_t)(seed >> 24);
		}
		if (i % 3 == 0)
			fill = 48 + (seed >> 4) % (fill - 48) + 1;
		if (parse() == 0)
			(void)dmar_unit_of(&d, at((uint8_t)seed, seed >> 8 & 31, 0));
		assert_true(d.unit_count <= DMAR_MAX_UNITS && d.scope_count <= DMAR_MAX_SCOPES);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),
		cmocka_unit_test(absent_devices),
		cmocka_unit_test(bridges_without_buses),
		cmocka_unit_test(lies),
		cmocka_unit_test(mutations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
