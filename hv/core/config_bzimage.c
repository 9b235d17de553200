/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The check of a Linux bzImage and of what it needs of the VM ("The Linux/x86 Boot Protocol"); and
 * where an initrd goes beside any kernel.
 * Files may hold anything: offsets and sizes are compared without sums that can overflow.
 */
#include "hv/core/bzimage.h"

#include "hv/core/config_impl.h"
#include "hv/core/elf.h"
#include "hv/core/guest_map.h"

/* offsets of the document's "The Real-Mode Kernel Header" */
enum {
	AT_SETUP_SECTS = 0x1f1,
	AT_SYSSIZE = 0x1f4, /* in 16 bytes */
	AT_JUMP = 0x200,    /* its second byte ends the header */
	AT_MAGIC = 0x202,
	AT_VERSION = 0x206,
	AT_INITRD_MAX = 0x22c,
	AT_XLOADFLAGS = 0x236,
	AT_CMDLINE_SIZE = 0x238,
	AT_PREF_ADDRESS = 0x258,
	AT_INIT_SIZE = 0x260,
	HEADER_OF_2_12 = 0x264, /* it reaches at least so far */
};

enum { VERSION_2_12 = 0x20c, SECTOR = 512, PAGE = 4096 };

#define MIB (1ull << 20)

static uint64_t number(const void *data, unsigned at, unsigned bytes)
{
	uint64_t value = 0;

	memcpy(&value, (const uint8_t *)data + at, bytes);
	return value;
}

bool bzimage_header(const void *data, size_t bytes, struct bzimage *out)
{
	uint64_t sectors;

	memset(out, 0, sizeof(*out));
	if (bytes < HEADER_OF_2_12 || memcmp((const uint8_t *)data + AT_MAGIC, "HdrS", 4) ||
	    !memcmp(data, "\177ELF", 4))
		return false;
	out->version = (uint16_t)number(data, AT_VERSION, 2);
	sectors = number(data, AT_SETUP_SECTS, 1);
	out->payload_at = ((sectors ? sectors : 4) + 1) * SECTOR;
	out->payload_bytes = number(data, AT_SYSSIZE, 4) * 16;
	out->header_end = AT_MAGIC + (uint32_t)number(data, AT_JUMP + 1, 1);
	if (out->header_end > BZIMAGE_HEADER_LIMIT)
		out->header_end = BZIMAGE_HEADER_LIMIT;
	if (out->version < VERSION_2_12)
		return true;
	out->xloadflags = (uint16_t)number(data, AT_XLOADFLAGS, 2);
	out->load_address = number(data, AT_PREF_ADDRESS, 8);
	out->init_bytes = number(data, AT_INIT_SIZE, 4);
	out->initrd_last = number(data, AT_INITRD_MAX, 4);
	out->cmdline_bytes = (uint32_t)number(data, AT_CMDLINE_SIZE, 4);
	return true;
}

uint64_t bzimage_initrd_at(const struct bzimage *image, uint64_t initrd_bytes, uint64_t top)
{
	uint64_t kernel_end = image->load_address + image->init_bytes;
	uint64_t at;

	if (top > image->initrd_last)
		top = image->initrd_last + 1;
	if (initrd_bytes > top)
		return 0;
	at = (top - initrd_bytes) & ~(uint64_t)(PAGE - 1);
	return at >= kernel_end ? at : 0;
}

uint64_t elf64_initrd_at(uint64_t kernel_end, uint64_t initrd_bytes, uint64_t top)
{
	uint64_t at = initrd_bytes > top ? 0 : (top - initrd_bytes) & ~(uint64_t)(PAGE - 1);

	return at >= GUEST_HIGH_RAM && at >= kernel_end ? at : 0;
}

static uint64_t low_ram_end(const struct config_vm *vm)
{
	uint64_t end = vm->memory_mib * MIB;

	return (end > GUEST_HIGH_RAM_END ? GUEST_HIGH_RAM_END : end) - GUEST_ACPI_BYTES;
}

static void memory_fail(struct config_reporter *r, const struct config_vm *vm,
			const struct bzimage *image)
{
	uint64_t wanted = image->load_address + image->init_bytes + GUEST_ACPI_BYTES;

	config_fail(r, "kernel",
		    "%s needs at least %lu MiB of memory, the VM has %lu: raise memory-mib",
		    vm->kernel, (unsigned long)((wanted + MIB - 1) / MIB),
		    (unsigned long)vm->memory_mib);
}

void config_check_bzimage(struct config_reporter *r, const struct config_vm *vm,
			  const struct bzimage *image, size_t bytes)
{
	uint64_t end = low_ram_end(vm);
	size_t cmdline = strlen(vm->bootargs);

	if (image->version < VERSION_2_12)
		config_fail(r, "kernel",
			    "%s is a Linux image of boot protocol %u.%u: 2.12 (Linux 3.8) "
			    "or later is wanted",
			    vm->kernel, image->version >> 8, image->version & 0xff);
	else if (!(image->xloadflags & BZIMAGE_XLF_KERNEL_64))
		config_fail(r, "kernel", "%s is a 32-bit Linux image: one for x86-64 is wanted",
			    vm->kernel);
	else if (!image->payload_bytes || image->payload_at > bytes ||
		 image->payload_bytes > bytes - image->payload_at)
		config_fail(r, "kernel",
			    "%s is damaged or cut off: it has %lu KiB, its header tells %lu",
			    vm->kernel, (unsigned long)(bytes >> 10),
			    (unsigned long)((image->payload_at + image->payload_bytes) >> 10));
	else if (image->load_address < GUEST_HIGH_RAM || image->load_address % PAGE ||
		 image->load_address > UINT32_MAX || image->init_bytes < image->payload_bytes)
		config_fail(r, "kernel", "%s is damaged: its header's addresses are wrong",
			    vm->kernel);
	else if (cmdline > image->cmdline_bytes)
		config_fail(r, "bootargs", "%lu characters are too many: %s takes %u",
			    (unsigned long)cmdline, vm->kernel, image->cmdline_bytes);
	else if (vm->memory_mib &&
		 (image->load_address > end || image->init_bytes > end - image->load_address))
		memory_fail(r, vm, image);
}

unsigned config_check_fit(const struct config_vm *vm, const void *kernel, size_t kernel_bytes,
			  size_t initrd_bytes, config_error_fn *report, void *context)
{
	struct config_reporter r = { .report = report, .context = context };
	struct bzimage image;
	uint64_t end = low_ram_end(vm), kernel_end, at;
	bool tight = false;

	if (!initrd_bytes || !vm->memory_mib)
		return 0;
	if (bzimage_header(kernel, kernel_bytes, &image)) {
		kernel_end = image.load_address + image.init_bytes;
		at = bzimage_initrd_at(&image, initrd_bytes, end);
		tight = at && 2 * (uint64_t)initrd_bytes > end - kernel_end;
	} else {
		kernel_end = elf64_end(kernel, kernel_bytes);
		if (!kernel_end)
			return 0; /* no kernel: that has been told */
		at = elf64_initrd_at(kernel_end, initrd_bytes, end);
	}
	if (at && !tight)
		return 0;
	config_format(r.node, sizeof(r.node), "/vms/%s", vm->name);
	config_fail(&r, "initrd",
		    "%s with %lu MiB does not fit%s behind the kernel, which needs the "
		    "first %lu of %lu MiB: raise memory-mib",
		    vm->initrd, (unsigned long)((initrd_bytes + MIB - 1) / MIB),
		    tight ? " twice, as it is unpacked," : "",
		    (unsigned long)((kernel_end + MIB - 1) / MIB), (unsigned long)vm->memory_mib);
	return r.errors;
}
