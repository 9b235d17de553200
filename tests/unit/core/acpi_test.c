/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Are the host's ACPI tables read right, and does one that lies (checksum, length, entry lengths)
 * cost only itself? Faked: physical memory. Each mapping is a heap block of just the bytes asked
 * for, so that the sanitiser sees a read beyond them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#undef fail /* cmocka's macro, the core's function */
#include "hv/core/acpi.c"

#define MEMORY_BYTES 0x10000
#define RSDP	     0x1000
#define XSDT	     0x2000
#define RSDT	     0x2800
#define MADT	     0x3000
#define MCFG	     0x4000
#define FADT	     0x5000
#define OTHER	     0x6000
#define DMAR	     0x7000
#define MUTATIONS    20000
#define NO_MEMORY    (1ull << 44) /* the processor has no addresses from here on */

static uint8_t memory[MEMORY_BYTES];
static void *mappings[4 * MAX_CPUS];
static unsigned mapping_count;

void log_printf(const char *fmt, ...)
{
	(void)fmt;
}

int fail(enum lh_err err, const char *fmt, ...)
{
	(void)fmt;
	return err;
}

/* What lies beyond the machine's memory reads as ones, as on a bus. */
const void *map_firmware(uint64_t hpa, size_t bytes)
{
	uint8_t *block;

	if (hpa >= NO_MEMORY || bytes > NO_MEMORY - hpa)
		return NULL;
	block = malloc(bytes);
	assert_non_null(block);
	assert_true(mapping_count < sizeof(mappings) / sizeof(mappings[0]));
	mappings[mapping_count++] = block;
	memset(block, 0xff, bytes);
	if (hpa < MEMORY_BYTES)
		memcpy(block, memory + hpa,
		       bytes < MEMORY_BYTES - hpa ? bytes : MEMORY_BYTES - hpa);
	return block;
}

static int tear_down(void **state)
{
	(void)state;
	while (mapping_count > 0)
		free(mappings[--mapping_count]);
	return 0;
}

static void put(uint64_t at, size_t bytes, uint64_t value)
{
	memcpy(memory + at, &value, bytes);
}

/* Sets the byte at `at` + `offset` so that `bytes` from `at` on sum to zero. */
static void seal(uint64_t at, size_t bytes, size_t offset)
{
	uint8_t sum = 0;

	memory[at + offset] = 0;
	for (size_t i = 0; i < bytes; i++)
		sum = (uint8_t)(sum + memory[at + i]);
	memory[at + offset] = (uint8_t)-sum;
}

static void put_table(uint64_t at, const char *signature, uint32_t bytes)
{
	memcpy(memory + at, signature, 4);
	put(at + 4, 4, bytes);
	seal(at, bytes, 9);
}

static void seal_rsdp(uint8_t revision)
{
	memory[RSDP + 15] = revision;
	seal(RSDP, 20, 8);
	seal(RSDP, 36, 32);
}

/* MADT entries from 0x3000 + 44 on; the fill is returned for the next. */
static uint32_t put_lapic(uint32_t at, uint8_t id, uint32_t flags)
{
	const uint8_t entry[8] = { 0, 8, 0, id, (uint8_t)flags };

	memcpy(memory + MADT + at, entry, sizeof(entry));
	return at + 8;
}

static uint32_t put_x2apic(uint32_t at, uint32_t id, uint32_t flags)
{
	memory[MADT + at] = 9;
	memory[MADT + at + 1] = 16;
	put(MADT + at + 4, 4, id);
	put(MADT + at + 8, 4, flags);
	return at + 16;
}

static uint32_t put_ioapic(uint32_t at, uint8_t id, uint32_t base, uint32_t gsi)
{
	memory[MADT + at] = 1;
	memory[MADT + at + 1] = 12;
	memory[MADT + at + 2] = id;
	put(MADT + at + 4, 4, base);
	put(MADT + at + 8, 4, gsi);
	return at + 12;
}

static uint32_t put_override(uint32_t at, uint8_t irq, uint32_t gsi, uint16_t flags)
{
	memory[MADT + at] = 2;
	memory[MADT + at + 1] = 10;
	memory[MADT + at + 3] = irq;
	put(MADT + at + 4, 4, gsi);
	put(MADT + at + 8, 2, flags);
	return at + 10;
}

static void put_madt(void)
{
	uint32_t at = 44;

	put(MADT + 36, 4, 0xfee00000);
	put(MADT + 40, 4, 1);
	at = put_lapic(at, 0, 1);
	at = put_lapic(at, 2, 1);
	at = put_lapic(at, 7, 0);  /* disabled */
	at = put_lapic(at, 8, 2);  /* could be plugged in */
	at = put_x2apic(at, 2, 1); /* listed twice */
	at = put_x2apic(at, 300, 1);
	at = put_ioapic(at, 5, 0xfec00000, 0);
	at = put_ioapic(at, 6, 0xfec10000, 24);
	at = put_override(at, 0, 2, 0);
	at = put_override(at, 9, 9, 0xd);
	put_table(MADT, "APIC", at);
}

static void put_fadt(void)
{
	put(FADT + 76, 4, 0x608);
	put(FADT + 91, 1, 4);
	put(FADT + 112, 4, 1u << 8);
	put(FADT + 208, 1, 1); /* I/O space */
	put(FADT + 212, 8, 0x1608);
	put_table(FADT, "FACP", 276);
}

static int set_up(void **state)
{
	(void)state;
	memset(memory, 0, sizeof(memory));
	memcpy(memory + RSDP, "RSD PTR ", 8);
	put(RSDP + 16, 4, RSDT);
	put(RSDP + 20, 4, 36);
	put(RSDP + 24, 8, XSDT);
	seal_rsdp(2);
	put(XSDT + 36, 8, MADT);
	put(XSDT + 44, 8, MCFG);
	put(XSDT + 52, 8, FADT);
	put(XSDT + 60, 8, 0);
	put(XSDT + 68, 8, DMAR);
	put_table(XSDT, "XSDT", 76);
	put(RSDT + 36, 4, MADT);
	put_table(RSDT, "RSDT", 40);
	put_madt();
	put(MCFG + 44 + 8, 2, 1); /* another segment group first */
	put(MCFG + 60, 8, 0xb0000000);
	put(MCFG + 60 + 11, 1, 255);
	put_table(MCFG, "MCFG", 76);
	put_fadt();
	put_table(DMAR, "DMAR", 64);
	return 0;
}

static void everything_is_found(void **state)
{
	(void)state;
	assert_int_equal(acpi_init(RSDP), 0);
	assert_int_equal(acpi.cpu_count, 3);
	assert_int_equal(acpi.apic_ids[0], 0);
	assert_int_equal(acpi.apic_ids[1], 2);
	assert_int_equal(acpi.apic_ids[2], 300);
	assert_int_equal(acpi.lapic_base, 0xfee00000);
	assert_true(acpi.has_8259);
	assert_int_equal(acpi.ecam_base, 0xb0000000);
	assert_int_equal(acpi.ecam_end_bus, 255);
	assert_int_equal(acpi.pm_timer_port, 0x1608);
	assert_int_equal(acpi.ioapic_count, 2);
	assert_int_equal(acpi.ioapics[1].id, 6);
	assert_int_equal(acpi.ioapics[1].base, 0xfec10000);
	assert_int_equal(acpi.ioapics[1].gsi_base, 24);
	assert_int_equal(acpi.override_count, 2);
	assert_int_equal(acpi.overrides[0].gsi, 2);
	assert_int_equal(acpi.overrides[1].irq, 9);
	assert_int_equal(acpi.overrides[1].flags, 0xd);
	assert_int_equal(acpi.dmar_bytes, 64);
	assert_memory_equal(acpi.dmar, memory + DMAR, 64);
}

static void the_reset_register(void **state)
{
	static const struct {
		uint8_t space;
		uint64_t address;
		uint16_t port; /* wanted */
		uint64_t memory;
	} cases[] = {
		{ 1, 0xcf9, 0xcf9, 0 }, { 0, 0xfed00000, 0, 0xfed00000 },
		{ 2, 0x10000, 0, 0 },	{ 1, 0x10cf9, 0, 0 },
		{ 0xff, 0xcf9, 0, 0 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (unsigned supported = 0; supported < 2; supported++) {
			put(FADT + 112, 4, supported << 10);
			put(FADT + 116, 1, cases[i].space);
			put(FADT + 120, 8, cases[i].address);
			put(FADT + 128, 1, 6);
			put_table(FADT, "FACP", 276);
			assert_int_equal(acpi_init(RSDP), 0);
			assert_int_equal(acpi.reset_port, supported ? cases[i].port : 0);
			assert_int_equal(acpi.reset_address, supported ? cases[i].memory : 0);
			assert_int_equal(acpi.reset_value, supported ? 6 : 0);
		}
}

static void acpi_1_has_an_rsdt_only(void **state)
{
	(void)state;
	seal_rsdp(0);
	memset(memory + RSDP + 20, 0xee, 16); /* not part of it then */
	assert_int_equal(acpi_init(RSDP), 0);
	assert_int_equal(acpi.cpu_count, 3);
	assert_int_equal(acpi.ecam_base, 0);
	assert_int_equal(acpi.pm_timer_port, 0);
	assert_null(acpi.dmar);
}

static void a_damaged_xsdt_gives_way_to_the_rsdt(void **state)
{
	(void)state;
	memory[XSDT + 9] ^= 1;
	assert_int_equal(acpi_init(RSDP), 0);
	assert_int_equal(acpi.cpu_count, 3);
	assert_int_equal(acpi.ecam_base, 0);
}

static void without_an_rsdp_it_says_so(void **state)
{
	(void)state;
	assert_int_equal(acpi_init(0), LH_NOENT);
	assert_int_equal(acpi_init(OTHER), LH_NOENT);
	memory[RSDP + 8] ^= 1;
	assert_int_equal(acpi_init(RSDP), LH_NOENT);
	seal_rsdp(2);
	memory[RSDP + 32] ^= 1;
	assert_int_equal(acpi_init(RSDP), LH_NOENT);
	seal_rsdp(2);
	put(RSDP + 20, 4, 0xffffffff);
	seal_rsdp(2);
	assert_int_equal(acpi_init(RSDP), LH_NOENT);
}

static void without_a_madt_it_says_so(void **state)
{
	(void)state;
	memory[MADT + 9] ^= 1;
	assert_int_equal(acpi_init(RSDP), LH_NOENT);
	put_table(MADT, "APIC", 44);
	assert_int_equal(acpi_init(RSDP), LH_NOENT);
}

static void without_root_tables_it_says_so(void **state)
{
	(void)state;
	memory[XSDT + 9] ^= 1;
	memory[RSDT + 9] ^= 1;
	assert_int_equal(acpi_init(RSDP), LH_INVAL);
}

static void impossible_lengths_cost_the_table(void **state)
{
	static const uint32_t lengths[] = { 0, 35, TABLE_MAX_BYTES + 1, 0xffffffff };

	(void)state;
	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		put(MCFG + 4, 4, lengths[i]);
		assert_int_equal(acpi_init(RSDP), 0);
		assert_int_equal(acpi.ecam_base, 0);
		assert_int_equal(acpi.cpu_count, 3);
	}
}

/* Addresses that no processor has, a table across their end, buses that run backwards. */
static void absurd_addresses_cost_the_table(void **state)
{
	static const uint64_t at[] = { NO_MEMORY, NO_MEMORY - 36, NO_MEMORY - 1, 1ull << 63,
				       ~0ull };

	(void)state;
	for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		put(XSDT + 44, 8, at[i]);
		put_table(XSDT, "XSDT", 68);
		assert_int_equal(acpi_init(RSDP), 0);
		assert_int_equal(acpi.ecam_base, 0);
		assert_int_equal(acpi.cpu_count, 3);
		assert_int_equal(acpi.pm_timer_port, 0x1608);
		assert_int_equal(acpi_init(at[i]), LH_NOENT);
	}
	put(RSDP + 24, 8, ~0ull); /* no XSDT there: the RSDT */
	seal_rsdp(2);
	assert_int_equal(acpi_init(RSDP), 0);
	set_up(NULL);
	put(MCFG + 60, 8, 1ull << 60);
	put_table(MCFG, "MCFG", 76);
	assert_int_equal(acpi_init(RSDP), 0);
	assert_int_equal(acpi.ecam_base, 0);
	set_up(NULL);
	put(MCFG + 60 + 10, 2, 0x01ff);
	put_table(MCFG, "MCFG", 76);
	assert_int_equal(acpi_init(RSDP), 0);
	assert_int_equal(acpi.ecam_base, 0);
}

/* A root that names one table over and over, as long as a table may be. */
static void a_long_root_ends(void **state)
{
	(void)state;
	for (unsigned at = 36; at + 8 <= 0xfff; at += 8)
		put(OTHER + at, 8, at == 36 ? MADT : FADT);
	put_table(OTHER, "XSDT", 0xfff);
	put(RSDP + 24, 8, OTHER);
	seal_rsdp(2);
	assert_int_equal(acpi_init(RSDP), 0);
	assert_in_range(mapping_count, 1, 2 * (256 + 2));
}

/* ACPI may add to it: length and second checksum count. */
static void a_longer_rsdp_will_do(void **state)
{
	(void)state;
	put(RSDP + 20, 4, 48);
	put(RSDP + 36, 8, 0x1234567812345678);
	seal(RSDP, 20, 8);
	seal(RSDP, 48, 32);
	assert_int_equal(acpi_init(RSDP), 0);
	assert_int_equal(acpi.ecam_base, 0xb0000000);
	memory[RSDP + 40] ^= 1;
	assert_int_equal(acpi_init(RSDP), LH_NOENT);
	put(RSDP + 20, 4, 35);
	seal_rsdp(2);
	assert_int_equal(acpi_init(RSDP), LH_NOENT);
}

static void entries_end_with_the_table(void **state)
{
	(void)state;
	memory[MADT + 44 + 1] = 0; /* an entry of no length: no endless loop */
	put_table(MADT, "APIC", 100);
	assert_int_equal(acpi_init(RSDP), LH_NOENT);
	put_madt();
	put_table(MADT, "APIC", 44 + 8 + 5); /* the second is cut */
	assert_int_equal(acpi_init(RSDP), 0);
	assert_int_equal(acpi.cpu_count, 1);
}

static void no_more_cpus_than_fit(void **state)
{
	uint32_t at = 44;

	(void)state;
	for (unsigned i = 0; i < MAX_CPUS - 1; i++)
		at = put_lapic(at, (uint8_t)i, 1);
	at = put_x2apic(at, 1000, 1);
	at = put_x2apic(at, 1001, 1);
	put_table(MADT, "APIC", at);
	assert_int_equal(acpi_init(RSDP), 0);
	assert_int_equal(acpi.cpu_count, MAX_CPUS);
}

/* Bytes changed at random, checksums made right again: whatever comes out stays inside. */
static void random_tables_do_no_harm(void **state)
{
	static const uint64_t tables[] = { MADT, MCFG, FADT, XSDT };

	(void)state;
	srand(7);
	for (unsigned i = 0; i < MUTATIONS; i++) {
		set_up(NULL);
		uint64_t at = tables[(unsigned)rand() % 4];
		uint32_t bytes = memory[at + 4] | (uint32_t)memory[at + 5] << 8;

		for (int n = 1 + rand() % 4; n > 0; n--)
			memory[at + 36 + (unsigned)rand() % (bytes - 36)] = (uint8_t)rand();
		seal(at, bytes, 9);
		if (acpi_init(RSDP) == 0)
			assert_in_range(acpi.cpu_count, 1, MAX_CPUS);
		tear_down(NULL);
	}
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(the_reset_register),
		CASE(everything_is_found),
		CASE(acpi_1_has_an_rsdt_only),
		CASE(a_damaged_xsdt_gives_way_to_the_rsdt),
		CASE(without_an_rsdp_it_says_so),
		CASE(without_a_madt_it_says_so),
		CASE(without_root_tables_it_says_so),
		CASE(impossible_lengths_cost_the_table),
		CASE(absurd_addresses_cost_the_table),
		CASE(a_long_root_ends),
		CASE(a_longer_rsdp_will_do),
		CASE(entries_end_with_the_table),
		CASE(no_more_cpus_than_fit),
		CASE(random_tables_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
