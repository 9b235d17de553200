/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads the host's ACPI tables (ACPI 6.5, 5.2): what is where, nothing of AML. A table counts only
 * with its signature, a sane length and a zero checksum; each field is read within that length.
 */
#include "hv/core/acpi.h"

#include <stddef.h>
#include <string.h>

#include "hv/core/log.h"
#include "hv/core/paging.h"

#define TABLE_MAX_BYTES (1u << 20) /* beyond any MADT; a wild length must not map the world */
#define MAX_TABLES	256u	   /* looked at; firmware has a few dozen */
#define RSDP_V1_BYTES	20

struct rsdp { /* 5.2.5.3 */
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} __attribute__((packed));
_Static_assert(offsetof(struct rsdp, rsdt) == 16 && offsetof(struct rsdp, xsdt) == 24, "5.2.5.3");

struct table { /* 5.2.6 */
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	uint32_t creator_id;
	uint32_t creator_revision;
} __attribute__((packed));
_Static_assert(sizeof(struct table) == 36, "5.2.6");

/* Offsets of fields that are few and far between; 5.2.9, 5.2.12, PCI Firmware 3.3 4.1.2. */
enum fadt_offset {
	FADT_PM_TMR_BLK = 76,
	FADT_PM_TMR_LEN = 91,
	FADT_FLAGS = 112,
	FADT_RESET_REG = 116, /* generic address, then the value */
	FADT_RESET_VALUE = 128,
	FADT_X_PM_TMR_BLK = 208, /* generic address: space, width, offset, size, address */
};
#define GAS_SYSTEM_MEMORY  0
#define GAS_SYSTEM_IO	   1
#define FADT_RESET_REG_SUP (1u << 10)

enum madt_offset { MADT_LAPIC_ADDRESS = 36, MADT_FLAGS = 40, MADT_ENTRIES = 44 };
#define MADT_PCAT_COMPAT 1u

enum madt_type {
	MADT_LAPIC = 0,
	MADT_IOAPIC = 1,
	MADT_IRQ_OVERRIDE = 2,
	MADT_LAPIC_OVERRIDE = 5,
	MADT_X2APIC = 9,
};
#define MADT_CPU_ENABLED  1u
#define APIC_ID_BROADCAST 0xffffffffu /* x2APIC: no CPU has it */

enum mcfg_offset { MCFG_ENTRIES = 44, MCFG_ENTRY_BYTES = 16 };
#define ECAM_LIMIT (1ull << 52) /* of any x86 */

struct acpi_info acpi;

/* A little-endian field, whatever its alignment; 0 beyond the end. */
static uint64_t field(const void *base, size_t length, size_t offset, size_t bytes)
{
	uint64_t value = 0;

	if (offset <= length && bytes <= length - offset)
		memcpy(&value, (const char *)base + offset, bytes);
	return value;
}

static bool sums_to_zero(const void *p, size_t bytes)
{
	const uint8_t *b = p;
	uint8_t sum = 0;

	for (size_t i = 0; i < bytes; i++)
		sum = (uint8_t)(sum + b[i]);
	return sum == 0;
}

/* The table at hpa if it can be believed; NULL with a log line if not. */
static const struct table *open_table(uint64_t hpa)
{
	const struct table *t, *whole;
	uint32_t length;

	if (hpa == 0)
		return NULL;
	t = map_firmware(hpa, sizeof(*t));
	if (!t) {
		log_printf("acpi: a table at 0x%lx, where no memory can be, left out", hpa);
		return NULL;
	}
	length = t->length;
	whole = length < sizeof(*t) || length > TABLE_MAX_BYTES ? NULL : map_firmware(hpa, length);
	if (!whole) {
		log_printf("acpi: %.4s at 0x%lx: length %u is impossible, left out", t->signature,
			   hpa, length);
		return NULL;
	}
	if (!sums_to_zero(whole, length)) {
		log_printf("acpi: %.4s at 0x%lx: wrong checksum, left out", t->signature, hpa);
		return NULL;
	}
	return whole;
}

static void add_cpu(uint32_t apic_id, uint32_t flags)
{
	if (!(flags & MADT_CPU_ENABLED) || apic_id == APIC_ID_BROADCAST)
		return;
	for (unsigned i = 0; i < acpi.cpu_count; i++)
		if (acpi.apic_ids[i] == apic_id) /* some list a CPU as both types */
			return;
	if (acpi.cpu_count == MAX_CPUS) {
		log_printf("acpi: more than %u CPUs, APIC ID %u left out", MAX_CPUS, apic_id);
		return;
	}
	acpi.apic_ids[acpi.cpu_count++] = apic_id;
}

static void read_madt_entry(const uint8_t *e, uint8_t length)
{
	switch (e[0]) {
	case MADT_LAPIC: /* 5.2.12.2 */
		add_cpu((uint32_t)field(e, length, 3, 1), (uint32_t)field(e, length, 4, 4));
		break;
	case MADT_IOAPIC: /* 5.2.12.3 */
		if (acpi.ioapic_count == MAX_IOAPICS)
			break;
		acpi.ioapics[acpi.ioapic_count].id = (uint8_t)field(e, length, 2, 1);
		acpi.ioapics[acpi.ioapic_count].base = (uint32_t)field(e, length, 4, 4);
		acpi.ioapics[acpi.ioapic_count++].gsi_base = (uint32_t)field(e, length, 8, 4);
		break;
	case MADT_IRQ_OVERRIDE: /* 5.2.12.5 */
		if (acpi.override_count == MAX_OVERRIDES)
			break;
		acpi.overrides[acpi.override_count].irq = (uint8_t)field(e, length, 3, 1);
		acpi.overrides[acpi.override_count].gsi = (uint32_t)field(e, length, 4, 4);
		acpi.overrides[acpi.override_count++].flags = (uint16_t)field(e, length, 8, 2);
		break;
	case MADT_X2APIC: /* 5.2.12.12 */
		add_cpu((uint32_t)field(e, length, 4, 4), (uint32_t)field(e, length, 8, 4));
		break;
	case MADT_LAPIC_OVERRIDE: /* 5.2.12.8 */
		acpi.lapic_base = field(e, length, 4, 8);
		break;
	}
}

static void read_madt(const struct table *t)
{
	const uint8_t *base = (const uint8_t *)t;

	acpi.lapic_base = field(t, t->length, MADT_LAPIC_ADDRESS, 4);
	acpi.has_8259 = field(t, t->length, MADT_FLAGS, 4) & MADT_PCAT_COMPAT;
	for (size_t at = MADT_ENTRIES; at + 2 <= t->length;) {
		uint8_t length = base[at + 1];

		if (length < 2 || length > t->length - at)
			break;
		read_madt_entry(base + at, length);
		at += length;
	}
}

/* Segment group 0 only: no machine that we know puts a NIC elsewhere. Buses that run backwards, or
 * lie where no memory can be, are left out. */
static void read_mcfg(const struct table *t)
{
	for (size_t at = MCFG_ENTRIES; at + MCFG_ENTRY_BYTES <= t->length; at += MCFG_ENTRY_BYTES) {
		uint64_t base = field(t, t->length, at, 8);
		unsigned last = (unsigned)field(t, t->length, at + 11, 1);

		if (field(t, t->length, at + 8, 2) != 0 || last < field(t, t->length, at + 10, 1) ||
		    base > ECAM_LIMIT)
			continue;
		acpi.ecam_base = base;
		acpi.ecam_start_bus = (uint8_t)field(t, t->length, at + 10, 1);
		acpi.ecam_end_bus = (uint8_t)last;
		return;
	}
}

/* 4.8.3.6: one byte, to a port or memory; a configuration space is not supported. */
static void read_reset_register(const struct table *t)
{
	uint64_t space = field(t, t->length, FADT_RESET_REG, 1);
	uint64_t address = field(t, t->length, FADT_RESET_REG + 4, 8);

	if (!(field(t, t->length, FADT_FLAGS, 4) & FADT_RESET_REG_SUP))
		return;
	if (space == GAS_SYSTEM_IO && address <= 0xffff)
		acpi.reset_port = (uint16_t)address;
	else if (space == GAS_SYSTEM_MEMORY)
		acpi.reset_address = address;
	acpi.reset_value = (uint8_t)field(t, t->length, FADT_RESET_VALUE, 1);
}

static void read_fadt(const struct table *t)
{
	uint64_t port = 0;

	if (field(t, t->length, FADT_X_PM_TMR_BLK, 1) == GAS_SYSTEM_IO)
		port = field(t, t->length, FADT_X_PM_TMR_BLK + 4, 8);
	if (port == 0 && field(t, t->length, FADT_PM_TMR_LEN, 1) == 4)
		port = field(t, t->length, FADT_PM_TMR_BLK, 4);
	acpi.pm_timer_port = port <= 0xfffc ? (uint16_t)port : 0;
	read_reset_register(t);
}

static void read_dmar(const struct table *t)
{
	acpi.dmar = t;
	acpi.dmar_bytes = t->length;
}

static void read_table(const struct table *t)
{
	if (memcmp(t->signature, "APIC", 4) == 0)
		read_madt(t);
	else if (memcmp(t->signature, "MCFG", 4) == 0)
		read_mcfg(t);
	else if (memcmp(t->signature, "FACP", 4) == 0)
		read_fadt(t);
	else if (memcmp(t->signature, "DMAR", 4) == 0)
		read_dmar(t);
}

/* XSDT (entries of 8 bytes) where there is one, else RSDT (4). */
static const struct table *open_root(const struct rsdp *r, size_t *entry_bytes)
{
	const struct table *t = NULL;

	*entry_bytes = 8;
	if (r->revision >= 2)
		t = open_table(r->xsdt);
	if (t && memcmp(t->signature, "XSDT", 4) == 0)
		return t;
	*entry_bytes = 4;
	t = open_table(r->rsdt);
	return t && memcmp(t->signature, "RSDT", 4) == 0 ? t : NULL;
}

static const struct rsdp *open_rsdp(uint64_t hpa)
{
	const struct rsdp *r;
	uint32_t length;

	if (hpa == 0)
		return NULL;
	r = map_firmware(hpa, sizeof(*r));
	if (!r || memcmp(r->signature, "RSD PTR ", 8) != 0 || !sums_to_zero(r, RSDP_V1_BYTES))
		return NULL;
	if (r->revision < 2)
		return r;
	length = r->length; /* may be more than we know of */
	if (length < sizeof(*r) || length > TABLE_MAX_BYTES)
		return NULL;
	r = map_firmware(hpa, length);
	return r && sums_to_zero(r, length) ? r : NULL;
}

int acpi_init(uint64_t rsdp)
{
	const struct rsdp *r = open_rsdp(rsdp);
	const struct table *root;
	size_t entry_bytes, end;

	memset(&acpi, 0, sizeof(acpi));
	if (!r)
		return fail(LH_NOENT,
			    "acpi: no valid RSDP at 0x%lx: is this machine started by UEFI?", rsdp);
	root = open_root(r, &entry_bytes);
	if (!root)
		return fail(LH_INVAL, "acpi: the RSDP names neither a valid XSDT nor an RSDT");
	end = root->length;
	if (end > sizeof(*root) + MAX_TABLES * entry_bytes)
		end = sizeof(*root) + MAX_TABLES * entry_bytes;
	for (size_t at = sizeof(*root); at + entry_bytes <= end; at += entry_bytes) {
		const struct table *t = open_table(field(root, end, at, entry_bytes));

		if (t)
			read_table(t);
	}
	if (acpi.cpu_count == 0)
		return fail(LH_NOENT, "acpi: no MADT with an enabled CPU");
	log_printf("acpi: %u CPUs, local APIC at 0x%lx, PM timer %s", acpi.cpu_count,
		   acpi.lapic_base, acpi.pm_timer_port ? "yes" : "no");
	if (acpi.ecam_base)
		log_printf("acpi: ECAM at 0x%lx, buses %u to %u", acpi.ecam_base,
			   acpi.ecam_start_bus, acpi.ecam_end_bus);
	return 0;
}
