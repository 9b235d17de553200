/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a config asks of its images and of the machine. A kernel is an ELF64 file with a PVH entry
 * or a Linux bzImage (config_bzimage.c); everything in it is checked here before
 * anything is loaded from it. Files may hold anything: offsets and sizes are compared without sums
 * that can overflow.
 */
#include "hv/core/bzimage.h"
#include "hv/core/config_impl.h"
#include "hv/core/elf.h"
#include "hv/core/guest_map.h"
#include "lasthop/dma_offset.h"

enum { /* more than any kernel has */
       MAX_PROGRAM_HEADERS = 128,
       MAX_NOTES = 1024,
};

#define MIB (1ull << 20)

bool elf64_header(const void *data, size_t bytes, struct elf64_ehdr *ehdr)
{
	if (bytes < sizeof(*ehdr))
		return false;
	memcpy(ehdr, data, sizeof(*ehdr));
	return !memcmp(ehdr->ident, "\177ELF", 4);
}

bool elf64_phdr_at(const void *data, size_t bytes, const struct elf64_ehdr *ehdr, unsigned index,
		   struct elf64_phdr *phdr)
{
	uint64_t step = (uint64_t)index * sizeof(*phdr);

	if (index >= ehdr->phnum || ehdr->phentsize != sizeof(*phdr) || ehdr->phoff > bytes ||
	    !inside(ehdr->phoff + step, sizeof(*phdr), bytes))
		return false;
	memcpy(phdr, (const uint8_t *)data + ehdr->phoff + step, sizeof(*phdr));
	return true;
}

uint64_t elf64_end(const void *data, size_t bytes)
{
	struct elf64_ehdr ehdr;
	struct elf64_phdr phdr;
	uint64_t end = 0;

	if (!elf64_header(data, bytes, &ehdr))
		return 0;
	for (unsigned i = 0; i < MAX_PROGRAM_HEADERS; i++) {
		uint64_t last;

		if (!elf64_phdr_at(data, bytes, &ehdr, i, &phdr))
			break;
		if (phdr.type != ELF_PT_LOAD)
			continue;
		if (__builtin_add_overflow(phdr.paddr, phdr.memsz, &last))
			last = UINT64_MAX;
		if (last > end)
			end = last;
	}
	return end;
}

/* A note, by its name (with its NUL) and type; its descriptor once it is found. */
struct note {
	const char *name;
	uint32_t type;
	const uint8_t *desc;
	uint32_t bytes;
};

/* Whether it is in notes[0..bytes); *left bounds the notes looked at in the whole file. */
static bool find_note(const uint8_t *notes, uint64_t bytes, uint64_t align, unsigned *left,
		      struct note *wanted)
{
	const size_t name_bytes = strlen(wanted->name) + 1;
	uint64_t at = 0;

	while (inside(at, sizeof(struct elf64_note), bytes) && *left) {
		struct elf64_note note;

		(*left)--;
		memcpy(&note, notes + at, sizeof(note));
		uint64_t name = at + sizeof(note);
		/* 32-bit sizes: the sums stay far below 2^64 */
		uint64_t desc = (name + note.namesz + align - 1) & ~(align - 1);
		uint64_t next = (desc + note.descsz + align - 1) & ~(align - 1);

		if (!inside(name, note.namesz, bytes) || !inside(desc, note.descsz, bytes))
			return false;
		if (note.type == wanted->type && note.namesz == name_bytes &&
		    !memcmp(notes + name, wanted->name, name_bytes)) {
			wanted->desc = notes + desc;
			wanted->bytes = note.descsz;
			return true;
		}
		at = next;
	}
	return false;
}

static bool has_note(const void *data, size_t bytes, const struct elf64_ehdr *ehdr,
		     struct note *wanted)
{
	unsigned left = MAX_NOTES;
	struct elf64_phdr phdr;

	for (unsigned i = 0; i < MAX_PROGRAM_HEADERS; i++) {
		if (!elf64_phdr_at(data, bytes, ehdr, i, &phdr))
			return false;
		if (phdr.type == ELF_PT_NOTE && inside(phdr.offset, phdr.filesz, bytes) &&
		    find_note((const uint8_t *)data + phdr.offset, phdr.filesz,
			      phdr.align == 8 ? 8 : 4, &left, wanted))
			return true;
	}
	return false;
}

bool elf64_adds_dma_offset(const void *data, size_t bytes)
{
	struct note note = { .name = LASTHOP_NOTE_NAME, .type = LASTHOP_NOTE_DMA_OFFSET };
	struct elf64_ehdr ehdr;

	return elf64_header(data, bytes, &ehdr) && has_note(data, bytes, &ehdr, &note);
}

bool elf64_pvh_entry(const void *data, size_t bytes, const struct elf64_ehdr *ehdr, uint32_t *entry)
{
	struct note note = { .name = "Xen", .type = ELF_NOTE_PVH };
	uint64_t found = 0;

	if (!has_note(data, bytes, ehdr, &note) || (note.bytes != 4 && note.bytes != 8))
		return false;
	memcpy(&found, note.desc, note.bytes);
	*entry = (uint32_t)found;
	return found <= UINT32_MAX;
}

/* A kernel that is checked for one VM. */
struct kernel {
	struct config_reporter *reporter;
	const struct config_vm *vm;
	const uint8_t *data;
	size_t bytes;
	struct elf64_ehdr ehdr;
};

static void kernel_fail(const struct kernel *k, const char *what)
{
	config_fail(k->reporter, "kernel", "%s %s", k->vm->kernel, what);
}

/* Why a file is neither of the two kinds of kernel. */
static void not_a_kernel(const struct kernel *k)
{
	if (inside(0x38, 4, k->bytes) && !memcmp(k->data + 0x38, "ARM\x64", 4))
		kernel_fail(k, "is a Linux image for arm64: one for x86-64 is wanted");
	else if (inside(0x202, 4, k->bytes) && !memcmp(k->data + 0x202, "HdrS", 4))
		kernel_fail(k,
			    "is cut off: the header of a Linux bzImage does not end in the file");
	else if (k->bytes >= 2 && k->data[0] == 0x1f && k->data[1] == 0x8b)
		kernel_fail(k, "is compressed with gzip: unpack it");
	else
		kernel_fail(k, "is no kernel: a Linux bzImage, or an ELF64 x86-64 file with a PVH "
			       "entry is wanted");
}

static bool good_header(struct kernel *k)
{
	struct elf64_ehdr *e = &k->ehdr;

	if (!elf64_header(k->data, k->bytes, e)) {
		not_a_kernel(k);
	} else if (e->ident[4] != ELF_CLASS_64 || e->ident[5] != ELF_DATA_LSB ||
		   e->machine != ELF_MACHINE_X86_64) {
		kernel_fail(k, "is an ELF file for another processor: ELF64 x86-64 is wanted");
	} else if (e->type != ELF_TYPE_EXEC && e->type != ELF_TYPE_DYN) {
		kernel_fail(k, "is an ELF file that is not linked: an executable is wanted");
	} else if (!e->phnum || e->phnum > MAX_PROGRAM_HEADERS || e->phentsize != 56 ||
		   !inside(e->phoff, (uint64_t)e->phnum * 56, k->bytes)) {
		kernel_fail(k, "is damaged: its program headers are not inside the file");
	} else {
		return true;
	}
	return false;
}

static bool in_guest_ram(const struct config_vm *vm, const struct elf64_phdr *segment)
{
	uint64_t end = vm->memory_mib * MIB;

	if (!vm->memory_mib)
		return true; /* an error told already: nothing to compare with */
	if (end > GUEST_HIGH_RAM_END)
		end = GUEST_HIGH_RAM_END;
	end -= GUEST_ACPI_BYTES;
	return inside(segment->paddr, segment->memsz, GUEST_LOW_RAM_END) ||
	       (segment->paddr >= GUEST_HIGH_RAM && inside(segment->paddr, segment->memsz, end));
}

/* One PT_LOAD segment; counts it and notes whether the entry point is in it. */
static bool good_segment(const struct kernel *k, const struct elf64_phdr *segment)
{
	if (!inside(segment->offset, segment->filesz, k->bytes)) {
		kernel_fail(k, "is damaged or cut off: a segment lies behind the end of the file");
		return false;
	}
	if (segment->filesz > segment->memsz) {
		kernel_fail(k, "is damaged: a segment is larger in the file than in memory");
		return false;
	}
	if (in_guest_ram(k->vm, segment))
		return true;
	config_fail(k->reporter, "kernel",
		    "%s: the segment at 0x%lx with %lu KiB is outside of the VM's %lu MiB: "
		    "raise memory-mib",
		    k->vm->kernel, (unsigned long)segment->paddr,
		    (unsigned long)(segment->memsz >> 10), (unsigned long)k->vm->memory_mib);
	return false;
}

static void check_kernel(struct kernel *k)
{
	struct elf64_phdr segment;
	struct bzimage linux_image;
	unsigned loads = 0;
	bool entry_loaded = false;
	uint32_t entry;

	if (bzimage_header(k->data, k->bytes, &linux_image)) {
		config_check_bzimage(k->reporter, k->vm, &linux_image, k->bytes);
		return;
	}
	if (!good_header(k))
		return;
	bool pvh = elf64_pvh_entry(k->data, k->bytes, &k->ehdr, &entry);
	for (unsigned i = 0; i < k->ehdr.phnum; i++) {
		if (!elf64_phdr_at(k->data, k->bytes, &k->ehdr, i, &segment))
			return;
		if (segment.type != ELF_PT_LOAD || !segment.memsz)
			continue;
		if (!good_segment(k, &segment))
			return; /* one is enough: the others tell the same */
		loads++;
		if (pvh && entry >= segment.paddr && entry - segment.paddr < segment.memsz)
			entry_loaded = true;
	}
	if (!loads)
		kernel_fail(k, "has nothing to load: an executable is wanted");
	else if (!pvh)
		kernel_fail(k, "has no PVH entry: an ELF note \"Xen\" of type 18 is wanted "
			       "(Linux: CONFIG_PVH=y)");
	else if (!entry_loaded)
		kernel_fail(k, "is damaged: its PVH entry lies in no segment");
}

unsigned config_check_image(const struct config_vm *vm, const char *property, const void *data,
			    size_t bytes, config_error_fn *report, void *context)
{
	bool is_kernel = !strcmp(property, "kernel");
	const char *file = is_kernel ? vm->kernel : vm->initrd;
	struct config_reporter r = { .report = report, .context = context };

	config_format(r.node, sizeof(r.node), "/vms/%s", vm->name);
	if (!data && !bytes)
		config_fail(&r, property, "%s is missing: put it beside the config", file);
	else if (!data && bytes == CONFIG_IMAGE_FOLDER)
		config_fail(&r, property, "%s is a folder: name a file", file);
	else if (!data && bytes == CONFIG_IMAGE_UNREADABLE)
		config_fail(&r, property, "%s is there, but cannot be read", file);
	else if (!bytes)
		config_fail(&r, property, "%s is empty", file);
	else if (bytes > CONFIG_MAX_IMAGE_BYTES)
		config_fail(&r, property, "%s has %lu MiB, the limit is %lu", file,
			    (unsigned long)(bytes / MIB),
			    (unsigned long)(CONFIG_MAX_IMAGE_BYTES / MIB));
	else if (is_kernel && data)
		check_kernel(
			&(struct kernel){ .reporter = &r, .vm = vm, .data = data, .bytes = bytes });
	else if (vm->memory_mib && bytes >= vm->memory_mib * MIB)
		config_fail(&r, property, "%s has %lu MiB, the VM only %lu: raise memory-mib", file,
			    (unsigned long)(bytes / MIB), (unsigned long)vm->memory_mib);
	return r.errors;
}

static void check_affinity(struct config_reporter *r, const struct config_vm *vm, unsigned cpus)
{
	for (unsigned cpu = cpus; vm->affinity_given && cpu < CONFIG_MAX_CPUS; cpu++)
		if (vm->affinity[cpu / 64] & 1ull << cpu % 64)
			config_fail(r, "cpu-affinity",
				    "CPU %u is not there: this machine has CPUs 0 to %u", cpu,
				    cpus - 1);
}

unsigned config_check_machine(const struct config *config, const struct config_machine *machine,
			      config_error_fn *report, void *context)
{
	struct config_reporter r = { .report = report, .context = context };
	uint64_t left = machine->free_mib;

	for (unsigned i = 0; i < config->vm_count; i++) {
		const struct config_vm *vm = &config->vms[i];

		config_format(r.node, sizeof(r.node), "/vms/%s", vm->name);
		check_affinity(&r, vm, machine->cpus);
		if (vm->apicv == CONFIG_APICV_ON && machine->apicv_lacks)
			config_fail(&r, "apicv",
				    "\"on\" cannot be had, this machine lacks %s: leave it out",
				    machine->apicv_lacks);
		if (vm->disabled || machine->free_mib == UINT64_MAX)
			continue;
		if (vm->memory_mib > left)
			config_fail(&r, "memory-mib",
				    "%lu MiB wanted, %lu of %lu MiB are left: lower it",
				    (unsigned long)vm->memory_mib, (unsigned long)left,
				    (unsigned long)machine->free_mib);
		else
			left -= vm->memory_mib;
	}
	return r.errors;
}
