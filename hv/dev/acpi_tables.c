/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes the ACPI tables one after the other, each aligned to 64 bytes and summed up when it is
 * complete. What Linux wants in them: hardware-reduced FADT with reset and sleep registers, MADT
 * with local APICs of type 0, MCFG for bus 0.
 */
#include "hv/dev/acpi_tables.h"

#include <stdbool.h>
#include <string.h>

#include "hv/core/guest_map.h"
#include "hv/cpu/x86.h"
#include "hv/dev/ioapic.h"

#define TABLE_ALIGN 64u
#define MAX_TABLES  4 /* in the XSDT */
#define PACKED	    __attribute__((packed))

struct acpi_rsdp {
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} PACKED;

struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} PACKED;

struct acpi_address {  /* 5.2.3.2, "Generic Address Structure" */
	uint8_t space; /* 1: system I/O */
	uint8_t bit_width, bit_offset;
	uint8_t access_size; /* 1: byte */
	uint64_t address;
} PACKED;

struct acpi_fadt { /* 5.2.9; what hardware-reduced ACPI leaves at zero is not named */
	struct acpi_header header;
	uint32_t firmware_ctrl, dsdt;
	uint8_t unused_44[65];
	uint16_t boot_flags; /* IA-PC Boot Architecture Flags */
	uint8_t unused_111;
	uint32_t flags;
	struct acpi_address reset_register;
	uint8_t reset_value;
	uint16_t arm_boot_flags;
	uint8_t minor_version;
	uint64_t x_firmware_ctrl, x_dsdt;
	uint8_t unused_148[96];
	struct acpi_address sleep_control, sleep_status;
	char hypervisor[8];
} PACKED;

struct acpi_madt {
	struct acpi_header header;
	uint32_t lapic_address;
	uint32_t flags; /* PCAT_COMPAT clear: there is no 8259 */
} PACKED;

struct madt_lapic {
	uint8_t type, length, uid, apic_id;
	uint32_t flags;
} PACKED;

struct madt_ioapic {
	uint8_t type, length, id, reserved;
	uint32_t address, gsi_base;
} PACKED;

struct acpi_mcfg {
	struct acpi_header header;
	uint64_t reserved;
	uint64_t base;
	uint16_t segment;
	uint8_t first_bus, last_bus;
	uint32_t reserved_end;
} PACKED;

_Static_assert(sizeof(struct acpi_rsdp) == 36, "ACPI 5.2.5.3");
_Static_assert(sizeof(struct acpi_header) == 36, "ACPI 5.2.6");
_Static_assert(offsetof(struct acpi_fadt, boot_flags) == 109, "ACPI 5.2.9");
_Static_assert(offsetof(struct acpi_fadt, flags) == 112, "ACPI 5.2.9");
_Static_assert(offsetof(struct acpi_fadt, reset_register) == 116, "ACPI 5.2.9");
_Static_assert(offsetof(struct acpi_fadt, x_dsdt) == 140, "ACPI 5.2.9");
_Static_assert(offsetof(struct acpi_fadt, sleep_control) == 244, "ACPI 5.2.9");
_Static_assert(sizeof(struct acpi_fadt) == 276, "ACPI 5.2.9");
_Static_assert(sizeof(struct acpi_madt) == 44, "ACPI 5.2.12");
_Static_assert(sizeof(struct acpi_mcfg) == 60, "PCI Firmware Specification 3.3, 4.1.2");

/* 5.2.9, tables "Fixed ACPI Description Table Fixed Feature Flags" and "… Boot … Flags" */
#define FADT_WBINVD	 BIT(0)
#define FADT_PWR_BUTTON	 BIT(4) /* no fixed one */
#define FADT_SLP_BUTTON	 BIT(5)
#define FADT_RESET_REG	 BIT(10)
#define FADT_HW_REDUCED	 BIT(20)
#define FADT_BOOT_NO_VGA BIT(2) /* legacy devices and 8042 stay clear: there are none */

/* Tables grow here. */
struct builder {
	uint8_t *base;
	uint64_t gpa;
	size_t used, room;
	uint64_t tables[MAX_TABLES]; /* GPAs for the XSDT */
	unsigned count;
};

static uint8_t sum_to_zero(const void *p, size_t bytes)
{
	const uint8_t *byte = p;
	uint8_t sum = 0;

	while (bytes--)
		sum += *byte++;
	return (uint8_t)(0 - sum);
}

/* Room at the end, aligned; NULL: full. */
static void *append(struct builder *b, size_t bytes)
{
	size_t at = (b->used + TABLE_ALIGN - 1) & ~(size_t)(TABLE_ALIGN - 1);

	if (at > b->room || bytes > b->room - at)
		return NULL;
	b->used = at + bytes;
	return b->base + at;
}

static uint64_t gpa_of(const struct builder *b, const void *p)
{
	return b->gpa + (uint64_t)((const uint8_t *)p - b->base);
}

/* A table with its header filled but for the checksum. */
static void *table(struct builder *b, const char *signature, uint8_t revision, size_t bytes)
{
	struct acpi_header *h = append(b, bytes);

	if (!h)
		return NULL;
	memcpy(h->signature, signature, sizeof(h->signature));
	memcpy(h->oem_id, "LSTHOP", sizeof(h->oem_id));
	memcpy(h->oem_table_id, "LASTHOP ", sizeof(h->oem_table_id));
	memcpy(h->creator_id, "LHOP", sizeof(h->creator_id));
	h->length = (uint32_t)bytes;
	h->revision = revision;
	h->oem_revision = 1;
	h->creator_revision = 1;
	return h;
}

static bool table_done(struct builder *b, struct acpi_header *h, bool in_xsdt)
{
	h->checksum = 0;
	h->checksum = sum_to_zero(h, h->length);
	if (in_xsdt)
		b->tables[b->count++] = gpa_of(b, h);
	return true;
}

static struct acpi_address io_byte(uint16_t port)
{
	return (struct acpi_address){
		.space = 1, .bit_width = 8, .access_size = 1, .address = port
	};
}

static bool write_fadt(struct builder *b)
{
	uint8_t *dsdt = append(b, dsdt_aml_bytes);
	struct acpi_fadt *t = table(b, "FACP", 6, sizeof(*t));

	if (!dsdt || !t)
		return false;
	memcpy(dsdt, dsdt_aml, dsdt_aml_bytes); /* iasl has summed it up */
	t->boot_flags = FADT_BOOT_NO_VGA;
	t->flags =
		FADT_WBINVD | FADT_PWR_BUTTON | FADT_SLP_BUTTON | FADT_RESET_REG | FADT_HW_REDUCED;
	t->reset_register = io_byte(GUEST_RESET_PORT);
	t->reset_value = GUEST_RESET_VALUE;
	t->minor_version = 4;
	t->dsdt = (uint32_t)gpa_of(b, dsdt); /* the tables are below 3 GiB */
	t->x_dsdt = gpa_of(b, dsdt);
	t->sleep_control = io_byte(GUEST_SLEEP_CONTROL);
	t->sleep_status = io_byte(GUEST_SLEEP_STATUS);
	memcpy(t->hypervisor, "LASTHOP", 7);
	return table_done(b, &t->header, true);
}

static bool write_madt(struct builder *b, unsigned vcpus)
{
	size_t bytes = sizeof(struct acpi_madt) + vcpus * sizeof(struct madt_lapic) +
		       sizeof(struct madt_ioapic);
	struct acpi_madt *t = table(b, "APIC", 5, bytes);
	struct madt_ioapic *ioapic;
	struct madt_lapic *lapic;

	if (!t)
		return false;
	t->lapic_address = GUEST_LAPIC_BASE;
	lapic = (struct madt_lapic *)(t + 1);
	for (unsigned i = 0; i < vcpus; i++)
		lapic[i] = (struct madt_lapic){ .length = sizeof(*lapic),
						.uid = (uint8_t)i,
						.apic_id = (uint8_t)i,
						.flags = 1 };
	ioapic = (struct madt_ioapic *)(lapic + vcpus);
	*ioapic = (struct madt_ioapic){ .type = 1,
					.length = sizeof(*ioapic),
					.address = GUEST_IOAPIC_BASE };
	return table_done(b, &t->header, true);
}

static bool write_mcfg(struct builder *b)
{
	struct acpi_mcfg *t = table(b, "MCFG", 1, sizeof(*t));

	if (!t)
		return false;
	t->base = GUEST_ECAM_BASE;
	t->last_bus = (uint8_t)(GUEST_ECAM_BYTES / 0x100000 - 1); /* 1 MiB a bus */
	return table_done(b, &t->header, true);
}

/* One processor as AML: Device (Cnnn) { Name (_HID, "ACPI0007")  Name (_UID, n) }. */
struct aml_processor {
	uint8_t device_op[2]; /* 5B 82 */
	uint8_t length;	      /* from here on, itself included */
	char name[4];
	uint8_t hid[6]; /* NameOp "_HID" StringPrefix */
	char hid_value[9];
	uint8_t uid[6]; /* NameOp "_UID" BytePrefix */
	uint8_t uid_value;
} PACKED;

/* Scope (\_SB) around them, with a package length of two bytes (20.2.4: 12 bits). */
struct aml_scope {
	uint8_t op;
	uint8_t length[2]; /* from here on, itself included */
	char name[5];
} PACKED;

static bool write_ssdt(struct builder *b, unsigned vcpus)
{
	static const struct aml_processor model = {
		.device_op = { 0x5b, 0x82 },
		.length = sizeof(model) - 2,
		.name = { 'C' },
		.hid = { 0x08, '_', 'H', 'I', 'D', 0x0d },
		.hid_value = "ACPI0007",
		.uid = { 0x08, '_', 'U', 'I', 'D', 0x0a },
	};
	size_t scope_bytes = sizeof(struct aml_scope) + vcpus * sizeof(model);
	struct acpi_header *t = table(b, "SSDT", 2, sizeof(*t) + scope_bytes);
	size_t package = scope_bytes - 1;
	struct aml_processor *p;
	struct aml_scope *scope;

	if (!t || package > 0xfff)
		return false;
	scope = (struct aml_scope *)(t + 1);
	*scope = (struct aml_scope){
		.op = 0x10,
		.length = { (uint8_t)(0x40 | (package & 0xf)), (uint8_t)(package >> 4) },
		.name = { '\\', '_', 'S', 'B', '_' },
	};
	p = (struct aml_processor *)(scope + 1);
	for (unsigned i = 0; i < vcpus; i++, p++) {
		*p = model;
		for (unsigned digit = 3, n = i; digit > 0; digit--, n /= 10)
			p->name[digit] = (char)('0' + n % 10);
		p->uid_value = (uint8_t)i;
	}
	return table_done(b, t, true);
}

static struct acpi_header *write_xsdt(struct builder *b)
{
	size_t entries = b->count * sizeof(b->tables[0]);
	struct acpi_header *t = table(b, "XSDT", 1, sizeof(*t) + entries);

	if (t) {
		memcpy(t + 1, b->tables, entries);
		table_done(b, t, false);
	}
	return t;
}

size_t acpi_tables_write(void *to, size_t room, uint64_t gpa, unsigned vcpus)
{
	struct builder b = { .base = to, .gpa = gpa, .room = room };
	struct acpi_rsdp *rsdp = append(&b, sizeof(*rsdp));
	struct acpi_header *xsdt;

	if (!rsdp || !write_fadt(&b) || !write_madt(&b, vcpus) || !write_mcfg(&b) ||
	    !write_ssdt(&b, vcpus))
		return 0;
	xsdt = write_xsdt(&b);
	if (!xsdt)
		return 0;
	*rsdp = (struct acpi_rsdp){
		.signature = { 'R', 'S', 'D', ' ', 'P', 'T', 'R', ' ' },
		.oem_id = { 'L', 'S', 'T', 'H', 'O', 'P' },
		.revision = 2,
		.length = sizeof(*rsdp),
		.xsdt = gpa_of(&b, xsdt),
	};
	rsdp->checksum = sum_to_zero(rsdp, 20);
	rsdp->extended_checksum = sum_to_zero(rsdp, sizeof(*rsdp));
	return b.used;
}
