/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The config and the images it names, from \lasthop on the volume that the loader came from. Each
 * file is read once, whatever the number of VMs that use it. All that is
 * wrong with the config and with the images is told before anything is refused.
 */
#include "hv/boot/boot_impl.h"

#include <string.h>

#include "hv/cpu/x86.h"

#define CONFIG_FILE "\\lasthop\\lasthop.dtb"
#define CHECK_FILE  "check-only" /* its being there is all it says */

enum {
	MAX_IMAGES = 2 * CONFIG_MAX_VMS, /* a kernel and an initrd each */
	READ_BYTES = 1 << 20,		 /* at a time */
	PROGRESS_BYTES = 8 << 20,	 /* smaller files are there before one can read it */
	MSR_FS_BASE = 0xc0000100u,
};

enum read_result { READ_OK, READ_MISSING, READ_FOLDER, READ_TOO_LARGE, READ_REFUSED };

struct file {
	void *data;
	uint64_t bytes;
};

static EFI_FILE_HANDLE volume;

static bool open_volume(void)
{
	static EFI_GUID loaded_image = EFI_LOADED_IMAGE_PROTOCOL_GUID;
	static EFI_GUID file_system = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
	EFI_BOOT_SERVICES *bs = boot.services;
	EFI_LOADED_IMAGE *self;
	EFI_FILE_IO_INTERFACE *fs;

	if (EFI_ERROR(bs->HandleProtocol(boot.image, &loaded_image, (void **)&self)) ||
	    EFI_ERROR(bs->HandleProtocol(self->DeviceHandle, &file_system, (void **)&fs)) ||
	    EFI_ERROR(fs->OpenVolume(fs, &volume)))
		return refuse(EFI_NOT_FOUND, "the disk that the loader came from cannot be read: "
					     "start \\EFI\\BOOT\\BOOTX64.EFI from a FAT volume");
	return true;
}

/* \lasthop\NAME in UCS-2; names are ASCII (config_file.c). */
static EFI_FILE_HANDLE open_file(const char *name)
{
	static const char folder[] = "\\lasthop\\";
	CHAR16 path[sizeof(folder) + CONFIG_MAX_FILE + 1];
	EFI_FILE_HANDLE file;
	unsigned n = 0;

	for (const char *s = folder; *s; s++)
		path[n++] = (CHAR16)*s;
	for (const char *s = name; *s && n + 1 < sizeof(path) / sizeof(path[0]); s++)
		path[n++] = (CHAR16)*s;
	path[n] = 0;
	if (EFI_ERROR(volume->Open(volume, &file, path, EFI_FILE_MODE_READ, 0)))
		return NULL;
	return file;
}

/* UEFI, "EFI_FILE_PROTOCOL.SetPosition()": all ones is the end; a folder answers EFI_UNSUPPORTED. */
static EFI_STATUS file_size(EFI_FILE_HANDLE file, uint64_t *bytes)
{
	EFI_STATUS status = file->SetPosition(file, UINT64_MAX);

	if (!EFI_ERROR(status))
		status = file->GetPosition(file, bytes);
	if (!EFI_ERROR(status))
		status = file->SetPosition(file, 0);
	return status;
}

static bool read_all(EFI_FILE_HANDLE handle, const char *name, const struct file *file)
{
	uint64_t done = 0, told = 0;

	while (done < file->bytes) {
		UINTN piece = file->bytes - done < READ_BYTES ? file->bytes - done : READ_BYTES;

		if (EFI_ERROR(handle->Read(handle, &piece, (uint8_t *)file->data + done)) || !piece)
			return refuse(EFI_DEVICE_ERROR, "\\lasthop\\%s cannot be read to its end",
				      name);
		done += piece;
		if (file->bytes >= PROGRESS_BYTES && done * 10 / file->bytes > told) {
			told = done * 10 / file->bytes;
			say_progress(name, (unsigned)told * 10);
		}
	}
	return true;
}

static enum read_result read_open_file(EFI_FILE_HANDLE handle, const char *name, uint64_t limit,
				       struct file *file)
{
	EFI_STATUS status = file_size(handle, &file->bytes);

	if (status == EFI_UNSUPPORTED) {
		file->bytes = CONFIG_IMAGE_FOLDER;
		return READ_FOLDER;
	}
	if (EFI_ERROR(status)) {
		refuse(EFI_DEVICE_ERROR, "\\lasthop\\%s is no file that can be read", name);
		return READ_REFUSED;
	}
	if (file->bytes > limit)
		return READ_TOO_LARGE;
	file->data = pages_alloc(file->bytes ? file->bytes : 1, PAGES_HANDOVER, UINT64_MAX);
	if (!file->data) {
		refuse(EFI_OUT_OF_RESOURCES,
		       "no memory for \\lasthop\\%s with %lu MiB: use a "
		       "machine with more memory",
		       name, (unsigned long)(file->bytes >> 20));
		return READ_REFUSED;
	}
	return read_all(handle, name, file) ? READ_OK : READ_REFUSED;
}

static enum read_result read_file(const char *name, uint64_t limit, struct file *file)
{
	EFI_FILE_HANDLE handle = open_file(name);

	memset(file, 0, sizeof(*file));
	if (!handle)
		return READ_MISSING;
	enum read_result result = read_open_file(handle, name, limit, file);
	handle->Close(handle);
	return result;
}

/* The first error goes into the reason for refusing; every one is printed. */
struct errors {
	unsigned count;
	char first[384];
};

static void print_error(void *context, const struct config_error *error)
{
	struct errors *errors = context;
	char line[sizeof(errors->first)];

	config_error_format(error, CONFIG_FILE, line, sizeof(line));
	say("%s\n", line);
	if (!errors->first[0])
		memcpy(errors->first, line, sizeof(line));
}

/* libfdt is hosted code and looks for a stack canary at FS:0x28; the firmware leaves FS alone. */
static unsigned parse_config(struct file *dtb, struct config *config, struct errors *errors)
{
	static uint64_t canary_area[8] = { [5] = 0x5ea1ab1e0ddba11 };
	uint64_t before = rdmsr(MSR_FS_BASE);

	wrmsr(MSR_FS_BASE, (uintptr_t)canary_area);
	unsigned count = config_parse(dtb->data, dtb->bytes, config, print_error, errors);
	wrmsr(MSR_FS_BASE, before);
	return count;
}

static bool read_config(struct config *config, struct errors *errors)
{
	struct file dtb;

	switch (read_file("lasthop.dtb", CONFIG_MAX_DTB_BYTES, &dtb)) {
	case READ_OK:
		break;
	case READ_MISSING:
		return refuse(EFI_NOT_FOUND,
			      CONFIG_FILE " is missing: scripts/lasthop image writes it");
	case READ_FOLDER:
		return refuse(EFI_NOT_FOUND,
			      CONFIG_FILE " is a folder: scripts/lasthop image writes a file");
	case READ_TOO_LARGE:
		return refuse(EFI_UNSUPPORTED, CONFIG_FILE " has %lu bytes, the limit is %u",
			      (unsigned long)dtb.bytes, CONFIG_MAX_DTB_BYTES);
	case READ_REFUSED:
		return false;
	}
	boot.handover->dtb = (uintptr_t)dtb.data;
	boot.handover->dtb_bytes = dtb.bytes;
	errors->count += parse_config(&dtb, config, errors);
	say("config: VMs %u, switches %u\n", config->vm_count, config->switch_count);
	return true;
}

/*
 * The image of this name, read now if it is the first time. addr = 0: missing, or a folder; addr = 1:
 * too large, and not read.
 */
static struct handover_image *image(const char *name)
{
	struct handover_image *images = (struct handover_image *)(uintptr_t)boot.handover->images;
	struct file file;
	uint32_t i;

	for (i = 0; i < boot.handover->image_count; i++)
		if (!strcmp(images[i].name, name))
			return &images[i];
	enum read_result result = read_file(name, CONFIG_MAX_IMAGE_BYTES, &file);
	if (result == READ_REFUSED)
		return NULL;
	memcpy(images[i].name, name, strlen(name) + 1);
	images[i].addr = result == READ_TOO_LARGE ? 1 : (uintptr_t)file.data;
	images[i].bytes = file.bytes;
	boot.handover->image_count++;
	if (result == READ_OK)
		say("%s: %lu KiB\n", name, (unsigned long)(file.bytes + 1023) >> 10);
	return &images[i];
}

/* *out: the image, NULL if the VM has none of the kind. */
static bool load_image(const struct config_vm *vm, const char *property, const char *name,
		       struct errors *errors, const struct handover_image **out)
{
	*out = NULL;
	if (!name[0])
		return true;
	*out = image(name);
	if (!*out)
		return false;
	errors->count += config_check_image(vm, property, (const void *)(uintptr_t)(*out)->addr,
					    (*out)->bytes, print_error, errors);
	return true;
}

static bool load_vm_images(const struct config_vm *vm, struct errors *errors)
{
	const struct handover_image *kernel, *initrd;
	unsigned before = errors->count;

	if (!load_image(vm, "kernel", vm->kernel, errors, &kernel) ||
	    !load_image(vm, "initrd", vm->initrd, errors, &initrd))
		return false;
	if (errors->count == before && kernel && initrd)
		errors->count +=
			config_check_fit(vm, (const void *)(uintptr_t)kernel->addr, kernel->bytes,
					 initrd->bytes, print_error, errors);
	return true;
}

static bool load_images(const struct config *config, struct errors *errors)
{
	void *images =
		pages_alloc(MAX_IMAGES * sizeof(struct handover_image), PAGES_HANDOVER, UINT64_MAX);

	if (!images)
		return refuse(EFI_OUT_OF_RESOURCES, "the firmware has no memory left");
	boot.handover->images = (uintptr_t)images;
	for (unsigned i = 0; i < config->vm_count; i++)
		if (!load_vm_images(&config->vms[i], errors))
			return false;
	return true;
}

static bool load_from_volume(void)
{
	static struct errors errors;
	struct config *config = pages_alloc(sizeof(*config), PAGES_SCRATCH, UINT64_MAX);

	if (!config)
		return refuse(EFI_OUT_OF_RESOURCES, "the firmware has no memory left");
	if (!read_config(config, &errors) || !load_images(config, &errors))
		return false;
	if (errors.count == 1)
		return refuse(EFI_LOAD_ERROR, "%s", errors.first);
	if (errors.count)
		return refuse(EFI_LOAD_ERROR, "%s (and %u more)", errors.first, errors.count - 1);
	return true;
}

/* The word among the options that the EFI shell or a boot entry gives, which are text or anything. */
static bool option_given(const EFI_LOADED_IMAGE *self)
{
	static const CHAR16 word[] = L"check";
	const CHAR16 *text = self->LoadOptions;
	size_t count = text ? self->LoadOptionsSize / sizeof(*text) : 0,
	       n = sizeof(word) / sizeof(*word) - 1;

	for (size_t i = 0; i + n <= count; i++)
		if (!memcmp(text + i, word, n * sizeof(*word)) && (i == 0 || text[i - 1] == ' ') &&
		    (i + n == count || text[i + n] == ' ' || !text[i + n]))
			return true;
	return false;
}

bool check_is_wanted(void)
{
	static EFI_GUID loaded_image = EFI_LOADED_IMAGE_PROTOCOL_GUID;
	EFI_LOADED_IMAGE *self;
	EFI_FILE_HANDLE mark;

	if (!EFI_ERROR(boot.services->HandleProtocol(boot.image, &loaded_image, (void **)&self)) &&
	    option_given(self))
		return true;
	if (!open_volume())
		return false; /* which load_files() tells, too */
	mark = open_file(CHECK_FILE);
	if (mark)
		mark->Close(mark);
	volume->Close(volume);
	return mark != NULL;
}

bool load_files(void)
{
	if (!open_volume())
		return false;
	bool good = load_from_volume();
	volume->Close(volume);
	return good;
}
