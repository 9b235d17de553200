/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads an ELF64 kernel with a PVH entry ("x86/HVM direct boot ABI" of Xen): segments to their
 * physical addresses, initrd below the reserved pages at the top of low RAM, start_info and what
 * it points to in the second half of those; vCPU 0 in 32-bit protected mode with EBX = start_info.
 */
#include <string.h>

#include "hv/core/elf.h"
#include "hv/core/guest_map.h"
#include "hv/core/log.h"
#include "hv/core/pmm.h"
#include "hv/core/vcpu.h"
#include "hv/cpu/msr.h"

#define START_MAGIC	 0x336ec578u
#define DMA_OFFSET_BYTES 32			/* of the word about it on the command line */
#define BOOT_DATA_OFFSET (GUEST_ACPI_BYTES / 2) /* of the reserved pages; tables lie before it */

struct start_info {
	uint32_t magic, version, flags, module_count;
	uint64_t modules, cmdline, rsdp, memmap;
	uint32_t memmap_count, reserved;
};

struct start_module {
	uint64_t paddr, bytes, cmdline, reserved;
};

struct start_memmap {
	uint64_t addr, bytes;
	uint32_t type, reserved;
};

_Static_assert(sizeof(struct start_info) == 56, "PVH start_info, version 1");

/* All that start_info points to, in one piece. */
struct boot_data {
	struct start_info info;
	struct start_module module;
	struct start_memmap memmap[VM_RANGES];
	char cmdline[DMA_OFFSET_BYTES + CONFIG_MAX_BOOTARGS + 1];
};

_Static_assert(sizeof(struct boot_data) <= GUEST_ACPI_BYTES - BOOT_DATA_OFFSET, "fits");

static int refused(const struct vm *vm, const char *why)
{
	return fail(LH_INVAL, "vm %s: kernel %s: %s", vm->config->name, vm->config->kernel, why);
}

static int load_segment(struct vm *vm, const struct handover_image *kernel,
			const struct elf64_phdr *p)
{
	const uint8_t *file = hpa_to_ptr((hpa_t){ kernel->addr });

	if (p->offset > kernel->bytes || p->filesz > kernel->bytes - p->offset ||
	    p->filesz > p->memsz)
		return refused(vm, "a segment lies outside the file: it is damaged");
	if (p->paddr > vm->acpi_gpa.v || p->memsz > vm->acpi_gpa.v - p->paddr)
		return refused(vm, "a segment lies outside the VM's memory: raise memory-mib");
	if (!vm_write(vm, (gpa_t){ p->paddr }, file + p->offset, p->filesz)) /* RAM comes zeroed */
		return refused(vm, "a segment lies in the hole below 1 MiB");
	return 0;
}

static int load_kernel(struct vm *vm, const struct handover_image *kernel, uint32_t *entry)
{
	const void *file = hpa_to_ptr((hpa_t){ kernel->addr });
	struct elf64_ehdr ehdr;
	struct elf64_phdr p;

	if (!elf64_header(file, kernel->bytes, &ehdr) ||
	    !elf64_pvh_entry(file, kernel->bytes, &ehdr, entry))
		return refused(vm, "not an ELF64 file with a PVH entry");
	for (unsigned i = 0; i < ehdr.phnum; i++) {
		if (!elf64_phdr_at(file, kernel->bytes, &ehdr, i, &p))
			return refused(vm, "its program headers are damaged");
		if (p.type == ELF_PT_LOAD && load_segment(vm, kernel, &p) < 0)
			return LH_INVAL;
	}
	return 0;
}

static int load_initrd(struct vm *vm, const struct handover_image *kernel,
		       const struct handover_image *initrd, struct boot_data *data)
{
	uint64_t kernel_end = elf64_end(hpa_to_ptr((hpa_t){ kernel->addr }), kernel->bytes);
	uint64_t at = elf64_initrd_at(kernel_end, initrd->bytes, vm->acpi_gpa.v);

	data->module = (struct start_module){ .paddr = at, .bytes = initrd->bytes };
	data->info.module_count = 1;
	return vm_load_initrd(vm, initrd, at);
}

static void fill_memmap(const struct vm *vm, struct boot_data *d)
{
	struct vm_range ranges[VM_RANGES];

	d->info.memmap_count = vm_ranges(vm, ranges);
	for (unsigned i = 0; i < d->info.memmap_count; i++)
		d->memmap[i] =
			(struct start_memmap){ ranges[i].gpa, ranges[i].bytes, ranges[i].type, 0 };
}

/* Without an IOMMU a driver has to add the offset to each address that it gives a device. The RAM below
 * 3 GiB is one extent, and there is no other then (hv/dev/passthrough.c). It comes first: that counts. */
static void fill_cmdline(const struct vm *vm, struct boot_data *d)
{
	if (vm->unsafe_dma)
		snprintf(d->cmdline, sizeof(d->cmdline), "dma-offset=0x%llx %s",
			 (unsigned long long)vm->extent[0].hpa.v, vm->config->bootargs);
	else
		memcpy(d->cmdline, vm->config->bootargs, sizeof(vm->config->bootargs));
}

/* "Initial machine state" of the ABI: flat segments, paging off, interrupts off. */
static void set_entry_state(struct vcpu *v, uint32_t entry, uint64_t start_info)
{
	static const struct segment code = { 0x08, 0xc9b, 0xffffffff, 0 };
	static const struct segment data = { 0x10, 0xc93, 0xffffffff, 0 };
	struct vcpu_sregs s;

	memset(&s, 0, sizeof(s));
	s.rip = entry;
	s.rflags = RFLAGS_FIXED;
	s.cr0 = CR0_PE | CR0_ET;
	for (unsigned i = 0; i < SEG_REG_COUNT; i++)
		s.seg[i] = data;
	s.seg[SEG_CS] = code;
	s.seg[SEG_TR] = (struct segment){ 0x18, 0x8b, 0x67, 0 };
	s.seg[SEG_LDTR] = (struct segment){ 0, SEG_UNUSABLE | 0x82, 0xffff, 0 };
	hvm->set_sregs(v, &s);
	memset(v->gpr, 0, sizeof(v->gpr));
	v->gpr[GPR_RBX] = start_info;
}

int pvh_load(struct vm *vm, const struct handover_image *kernel,
	     const struct handover_image *initrd)
{
	gpa_t at = { vm->acpi_gpa.v + BOOT_DATA_OFFSET };
	struct boot_data *d = gmem_ptr(&vm->mem, at.v, sizeof(*d)); /* nobody runs there yet */
	uint32_t entry = 0;
	int err;

	assert(d);
	err = load_kernel(vm, kernel, &entry);
	if (err == 0 && initrd)
		err = load_initrd(vm, kernel, initrd, d);
	if (err < 0)
		return err;
	fill_cmdline(vm, d);
	fill_memmap(vm, d);
	d->info.magic = START_MAGIC;
	d->info.version = 1;
	d->info.modules = at.v + offsetof(struct boot_data, module);
	d->info.cmdline = at.v + offsetof(struct boot_data, cmdline);
	d->info.memmap = at.v + offsetof(struct boot_data, memmap);
	d->info.rsdp = vm->acpi_gpa.v;
	set_entry_state(vm->vcpus[0], entry, at.v + offsetof(struct boot_data, info));
	return 0;
}
