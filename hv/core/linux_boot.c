/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads a Linux bzImage by the 64-bit boot protocol ("The Linux/x86 Boot Protocol", section "64-bit
 * Boot Protocol"): the kernel at its preferred address with init_size bytes kept free, the initrd
 * as high as it may be, and everything else in the second half of the reserved pages at the top of
 * low RAM: zero page, command line, GDT and page tables. vCPU 0 starts in 64-bit mode.
 */
#include <string.h>

#include "hv/core/bzimage.h"
#include "hv/core/guest_map.h"
#include "hv/core/pmm.h"
#include "hv/core/vcpu.h"
#include "hv/cpu/msr.h"

#define BOOT_DATA_OFFSET (GUEST_ACPI_BYTES / 2) /* of the reserved pages; tables lie before it */
#define PAGE_ENTRIES	 512
#define IDENTITY_GIB	 3 /* all of the RAM below the hole: GUEST_HIGH_RAM_END */
#define LOADER_UNKNOWN	 0xff
#define E820_ROOM	 128
#define SELECTOR_CODE	 0x10 /* __BOOT_CS and __BOOT_DS of the protocol */
#define SELECTOR_DATA	 0x18
#define SELECTOR_TASK	 0x20

#define PTE_PRESENT BIT(0)
#define PTE_WRITE   BIT(1)
#define PTE_LARGE   BIT(7)

_Static_assert(IDENTITY_GIB *(1ull << 30) >= GUEST_HIGH_RAM_END, "the zero page is mapped");

struct e820_entry {
	uint64_t addr, bytes;
	uint32_t type;
} __attribute__((packed));

/* struct boot_params ("The zero page"), what we set of it */
struct zero_page {
	uint8_t unused_000[0x70];
	uint64_t acpi_rsdp_addr;
	uint8_t unused_078[0x1e8 - 0x78];
	uint8_t e820_entries;
	uint8_t unused_1e9[0x1fa - 0x1e9];
	uint16_t vid_mode; /* from BZIMAGE_HEADER_AT on this is the setup header */
	uint8_t unused_1fc[0x210 - 0x1fc];
	uint8_t type_of_loader;
	uint8_t loadflags;
	uint8_t unused_212[0x218 - 0x212];
	uint32_t ramdisk_image;
	uint32_t ramdisk_size;
	uint8_t unused_220[0x228 - 0x220];
	uint32_t cmd_line_ptr;
	uint8_t unused_22c[0x2d0 - 0x22c];
	struct e820_entry e820[E820_ROOM];
	uint8_t unused_cd0[0x1000 - 0xcd0];
} __attribute__((packed));

_Static_assert(sizeof(struct zero_page) == 0x1000, "boot_params is a page");
_Static_assert(offsetof(struct zero_page, type_of_loader) == 0x210, "Boot Protocol");
_Static_assert(offsetof(struct zero_page, cmd_line_ptr) == 0x228, "Boot Protocol");
_Static_assert(offsetof(struct zero_page, e820) == 0x2d0, "Boot Protocol");

struct boot_data {
	struct zero_page zero_page;
	uint64_t pml4[PAGE_ENTRIES];
	uint64_t pdpt[PAGE_ENTRIES];
	uint64_t pd[IDENTITY_GIB][PAGE_ENTRIES];
	uint64_t gdt[6];
	char cmdline[CONFIG_MAX_BOOTARGS + 1];
};

_Static_assert(sizeof(struct boot_data) <= GUEST_ACPI_BYTES - BOOT_DATA_OFFSET, "fits");
_Static_assert(offsetof(struct boot_data, pml4) % PAGE_SIZE == 0, "tables are pages");

static int refused(const struct vm *vm, const char *why)
{
	return fail(LH_INVAL, "vm %s: kernel %s: %s", vm->config->name, vm->config->kernel, why);
}

/* The same that config_bzimage.c has told with more words, before the machine was started. */
static int check_header(const struct vm *vm, const struct bzimage *b,
			const struct handover_image *kernel)
{
	uint64_t top = vm->acpi_gpa.v;

	if (!(b->xloadflags & BZIMAGE_XLF_KERNEL_64))
		return refused(vm, "no 64-bit entry");
	if (b->payload_at > kernel->bytes || b->payload_bytes > kernel->bytes - b->payload_at)
		return refused(vm, "damaged or cut off");
	if (b->load_address < GUEST_HIGH_RAM || b->load_address % PAGE_SIZE ||
	    b->init_bytes < b->payload_bytes)
		return refused(vm, "its header's addresses are wrong");
	if (b->load_address > top || b->init_bytes > top - b->load_address)
		return refused(vm, "does not fit into the VM's memory: raise memory-mib");
	if (strlen(vm->config->bootargs) > b->cmdline_bytes)
		return refused(vm, "takes no command line as long as bootargs");
	return 0;
}

static int load_initrd(struct vm *vm, const struct bzimage *b, const struct handover_image *initrd,
		       struct zero_page *z)
{
	uint64_t at = bzimage_initrd_at(b, initrd->bytes, vm->acpi_gpa.v);

	z->ramdisk_image = (uint32_t)at; /* below 3 GiB, as all that is loaded */
	z->ramdisk_size = (uint32_t)initrd->bytes;
	return vm_load_initrd(vm, initrd, at);
}

static void fill_e820(const struct vm *vm, struct zero_page *z)
{
	struct vm_range ranges[VM_RANGES];

	z->e820_entries = (uint8_t)vm_ranges(vm, ranges);
	for (unsigned i = 0; i < z->e820_entries; i++)
		z->e820[i] = (struct e820_entry){ ranges[i].gpa, ranges[i].bytes, ranges[i].type };
}

/* The file's setup header, which may be longer than what we know of it, then our part. */
static void fill_zero_page(const struct vm *vm, const struct bzimage *b, const uint8_t *file,
			   uint64_t cmdline, struct zero_page *z)
{
	memcpy((uint8_t *)z + BZIMAGE_HEADER_AT, file + BZIMAGE_HEADER_AT,
	       b->header_end - BZIMAGE_HEADER_AT);
	z->vid_mode = 0xffff; /* "normal" */
	z->type_of_loader = LOADER_UNKNOWN;
	z->loadflags = BZIMAGE_LOADED_HIGH;
	z->ramdisk_image = 0;
	z->ramdisk_size = 0;
	z->cmd_line_ptr = (uint32_t)cmdline;
	z->acpi_rsdp_addr = vm->acpi_gpa.v;
	fill_e820(vm, z);
}

static void fill_page_tables(struct boot_data *d, uint64_t at)
{
	uint64_t table = PTE_PRESENT | PTE_WRITE;

	d->pml4[0] = (at + offsetof(struct boot_data, pdpt)) | table;
	for (unsigned g = 0; g < IDENTITY_GIB; g++) {
		d->pdpt[g] = (at + offsetof(struct boot_data, pd) + g * PAGE_SIZE) | table;
		for (unsigned i = 0; i < PAGE_ENTRIES; i++)
			d->pd[g][i] = ((uint64_t)g << 30 | (uint64_t)i << 21) | table | PTE_LARGE;
	}
}

static void set_entry_state(struct vcpu *v, uint64_t entry, uint64_t at)
{
	static const struct segment code = { SELECTOR_CODE, 0xa9b, 0xffffffff, 0 };
	static const struct segment data = { SELECTOR_DATA, 0xc93, 0xffffffff, 0 };
	struct vcpu_sregs s;

	memset(&s, 0, sizeof(s));
	s.rip = entry;
	s.rflags = RFLAGS_FIXED;
	s.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
	s.cr3 = at + offsetof(struct boot_data, pml4);
	s.cr4 = CR4_PAE;
	s.efer = EFER_LME | EFER_LMA;
	for (unsigned i = 0; i < SEG_REG_COUNT; i++)
		s.seg[i] = data;
	s.seg[SEG_CS] = code;
	s.seg[SEG_TR] = (struct segment){ SELECTOR_TASK, 0x8b, 0x67, 0 };
	s.seg[SEG_LDTR] = (struct segment){ 0, SEG_UNUSABLE | 0x82, 0xffff, 0 };
	s.gdt_base = at + offsetof(struct boot_data, gdt);
	s.gdt_limit = sizeof(((struct boot_data *)0)->gdt) - 1;
	hvm->set_sregs(v, &s);
	memset(v->gpr, 0, sizeof(v->gpr));
	v->gpr[GPR_RSI] = at + offsetof(struct boot_data, zero_page);
}

int linux_load(struct vm *vm, const struct handover_image *kernel,
	       const struct handover_image *initrd)
{
	uint64_t at = vm->acpi_gpa.v + BOOT_DATA_OFFSET;
	struct boot_data *d = gmem_ptr(&vm->mem, at, sizeof(*d)); /* nobody runs there yet */
	const uint8_t *file = hpa_to_ptr((hpa_t){ kernel->addr });
	struct bzimage b;
	int err;

	assert(d);
	if (vm->unsafe_dma)
		return refused(vm, "Linux cannot drive devices without an IOMMU: take the bundled "
				   "driver domain, or a machine with one");
	if (!bzimage_header(file, kernel->bytes, &b))
		return refused(vm, "no Linux bzImage");
	err = check_header(vm, &b, kernel);
	if (err < 0)
		return err;
	if (!vm_write(vm, (gpa_t){ b.load_address }, file + b.payload_at, b.payload_bytes))
		return refused(vm, "does not fit into the VM's memory: raise memory-mib");
	fill_zero_page(vm, &b, file, at + offsetof(struct boot_data, cmdline), &d->zero_page);
	if (initrd)
		err = load_initrd(vm, &b, initrd, &d->zero_page);
	if (err < 0)
		return err;
	memcpy(d->cmdline, vm->config->bootargs, sizeof(d->cmdline));
	fill_page_tables(d, at);
	d->gdt[SELECTOR_CODE / 8] = 0x00af9b000000ffffull;
	d->gdt[SELECTOR_DATA / 8] = 0x00cf93000000ffffull;
	set_entry_state(vm->vcpus[0], b.load_address + BZIMAGE_ENTRY_64, at);
	return 0;
}

bool linux_image(const struct handover_image *kernel)
{
	struct bzimage b;

	return bzimage_header(hpa_to_ptr((hpa_t){ kernel->addr }), kernel->bytes, &b);
}
