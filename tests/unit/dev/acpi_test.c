/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: are the guest's ACPI tables linked, summed up and sized right, and does iasl find
 * nothing to say about any of them? */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "hv/core/guest_map.h"
#include "hv/dev/acpi_tables.h"

#define GPA 0x3ff0000ull

static uint8_t tables[GUEST_ACPI_BYTES];
static unsigned vcpus_cases[] = { 1, 2, 32, 140 };

static uint64_t get(const uint8_t *at, unsigned bytes)
{
	uint64_t value = 0;

	memcpy(&value, at, bytes);
	return value;
}

static const uint8_t *at_gpa(uint64_t gpa)
{
	assert_in_range(gpa, GPA, GPA + sizeof(tables) - 36);
	return tables + (gpa - GPA);
}

static uint8_t sum(const uint8_t *p, size_t bytes)
{
	uint8_t s = 0;

	while (bytes--)
		s = (uint8_t)(s + *p++);
	return s;
}

/* The i-th table of the XSDT; NULL past the last. */
static const uint8_t *table_at(unsigned i)
{
	const uint8_t *xsdt = at_gpa(get(tables + 24, 8));
	unsigned count = ((unsigned)get(xsdt + 4, 4) - 36) / 8;

	return i < count ? at_gpa(get(xsdt + 36 + 8 * i, 8)) : NULL;
}

static const uint8_t *find(const char *signature)
{
	for (unsigned i = 0; table_at(i); i++)
		if (memcmp(table_at(i), signature, 4) == 0)
			return table_at(i);
	fail_msg("no %s", signature);
	return NULL;
}

static void build(unsigned vcpus)
{
	memset(tables, 0, sizeof(tables));
	assert_true(acpi_tables_write(tables, sizeof(tables), GPA, vcpus) > 0);
}

static void sums_are_zero(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 4; c++) {
		const uint8_t *dsdt;

		build(vcpus_cases[c]);
		assert_memory_equal(tables, "RSD PTR ", 8);
		assert_int_equal(sum(tables, 20), 0);
		assert_int_equal(sum(tables, 36), 0);
		assert_int_equal(
			sum(at_gpa(get(tables + 24, 8)), get(at_gpa(get(tables + 24, 8)) + 4, 4)),
			0);
		for (unsigned i = 0; table_at(i); i++)
			assert_int_equal(sum(table_at(i), get(table_at(i) + 4, 4)), 0);
		dsdt = at_gpa(get(find("FACP") + 140, 8));
		assert_memory_equal(dsdt, "DSDT", 4);
		assert_int_equal(sum(dsdt, get(dsdt + 4, 4)), 0);
	}
}

static void they_say_what_the_map_says(void **state)
{
	const uint8_t *fadt, *madt;

	(void)state;
	build(2);
	fadt = find("FACP");
	assert_int_equal(fadt[8], 6);
	assert_int_equal(get(fadt + 109, 2), 0x04);	   /* no VGA */
	assert_int_equal(get(fadt + 112, 4) >> 20 & 1, 1); /* hardware-reduced */
	assert_int_equal(get(fadt + 112, 4) >> 10 & 1, 1); /* reset register */
	assert_int_equal(get(fadt + 120, 8), GUEST_RESET_PORT);
	assert_int_equal(fadt[128], GUEST_RESET_VALUE);
	assert_int_equal(get(fadt + 248, 8), GUEST_SLEEP_CONTROL);
	assert_int_equal(get(fadt + 260, 8), GUEST_SLEEP_STATUS);
	madt = find("APIC");
	assert_int_equal(get(madt + 36, 4), GUEST_LAPIC_BASE);
	assert_int_equal(get(madt + 40, 4), 0);
	assert_int_equal(get(madt + 44, 8), 0x100000800ull); /* type 0, ID 0, enabled */
	assert_int_equal(get(madt + 52, 8), 0x101010800ull);
	assert_int_equal(madt[60], 1);
	assert_int_equal(get(madt + 64, 4), GUEST_IOAPIC_BASE);
	assert_int_equal(get(find("MCFG") + 44, 8), GUEST_ECAM_BASE);
	assert_int_equal(find("MCFG")[55], 0); /* bus 0 only */
}

static void too_little_room_is_told(void **state)
{
	size_t used;

	(void)state;
	build(3);
	used = acpi_tables_write(tables, sizeof(tables), GPA, 3);
	memset(tables, 0, sizeof(tables));
	for (size_t room = 0; room < used; room++)
		assert_int_equal(acpi_tables_write(tables, room, GPA, 3), 0);
	assert_int_equal(acpi_tables_write(tables, used, GPA, 3), used);
}

static void write_file(const char *folder, const char *name, const uint8_t *table)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.dat", folder, name);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(table, 1, get(table + 4, 4), f), get(table + 4, 4));
	fclose(f);
}

/* Disassembles the table; AML is compiled again. Fails if iasl has anything to complain about. */
static void iasl(const char *folder, const char *name, bool aml)
{
	char command[512], line[256];
	bool bad = false;
	FILE *f;

	snprintf(command, sizeof(command),
		 "cd %s && iasl -d %s.dat 2>&1 && { %s || iasl -we -p again %s.dsl 2>&1; }", folder,
		 name, aml ? "false" : "true", name);
	f = popen(command, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		bool complaint = (strstr(line, "rror") && !strstr(line, " 0 Errors")) ||
				 (strstr(line, "arning") && !strstr(line, " 0 Warnings")) ||
				 strstr(line, "nvalid") || strstr(line, "ncorrect");

		if (complaint)
			print_error("%s: %s", name, line);
		bad |= complaint;
	}
	assert_int_equal(pclose(f), 0);
	assert_false(bad);
}

static void iasl_is_content(void **state)
{
	char folder[] = "/tmp/lasthop-acpi-XXXXXX", command[64];

	(void)state;
	assert_non_null(mkdtemp(folder));
	for (unsigned c = 0; c < 4; c++) {
		build(vcpus_cases[c]);
		write_file(folder, "xsdt", at_gpa(get(tables + 24, 8)));
		write_file(folder, "facp", find("FACP"));
		write_file(folder, "apic", find("APIC"));
		write_file(folder, "mcfg", find("MCFG"));
		write_file(folder, "ssdt", find("SSDT"));
		write_file(folder, "dsdt", at_gpa(get(find("FACP") + 140, 8)));
		iasl(folder, "xsdt", false);
		iasl(folder, "facp", false);
		iasl(folder, "apic", false);
		iasl(folder, "mcfg", false);
		iasl(folder, "ssdt", true);
		iasl(folder, "dsdt", true);
	}
	snprintf(command, sizeof(command), "rm -r %s", folder);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_are_zero),
		cmocka_unit_test(they_say_what_the_map_says),
		cmocka_unit_test(too_little_room_is_told),
		cmocka_unit_test(iasl_is_content),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
