/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is every way in which a kernel or initrd can be unfit told, and does a damaged file lead nothing
 * outside of it? Images end at a page that cannot be read. Arguments: a seed and a number
 * of mutations.
 */
#include "tests/unit/core/config_test.h"

#include "hv/core/elf.h"
#include "hv/core/guest_map.h"

/* An ELF file as small as one can be: header, PT_LOAD, PT_NOTE, the note, a page of code. */
struct image {
	struct elf64_ehdr ehdr;
	struct elf64_phdr load, notes;
	struct elf64_note note;
	char name[4];
	uint32_t entry;
	uint8_t code[64];
};

static struct image good_image(void)
{
	return (struct image){
		.ehdr = { .ident = { 0x7f, 'E', 'L', 'F', ELF_CLASS_64, ELF_DATA_LSB, 1 },
			  .type = ELF_TYPE_EXEC,
			  .machine = ELF_MACHINE_X86_64,
			  .phoff = sizeof(struct elf64_ehdr),
			  .phentsize = sizeof(struct elf64_phdr),
			  .phnum = 2 },
		.load = { .type = ELF_PT_LOAD,
			  .paddr = 0x100000,
			  .filesz = sizeof(struct image),
			  .memsz = 0x10000 },
		.notes = { .type = ELF_PT_NOTE,
			   .offset = offsetof(struct image, note),
			   .filesz = sizeof(struct elf64_note) + 8,
			   .align = 4 },
		.note = { .namesz = 4, .descsz = 4, .type = ELF_NOTE_PVH },
		.name = "Xen",
		.entry = 0x100100,
	};
}

static const struct config_vm image_vm = { .name = "alice",
					   .kernel = "k.elf",
					   .initrd = "i.cpio",
					   .memory_mib = 64,
					   .bootargs = "quiet" };

static bool adds_dma_offset;

static unsigned check_image(const char *property, const void *data, size_t bytes)
{
	uint8_t *edge = at_the_edge(bytes + 7) + 7; /* no image needs alignment */

	memmove(edge, data, bytes);
	listed_count = 0;
	adds_dma_offset = elf64_adds_dma_offset(edge, bytes);
	return config_check_image(&image_vm, property, edge, bytes, collect, NULL);
}

static void assert_image_error(const struct image *image, const char *text)
{
	assert_int_equal(check_image("kernel", image, sizeof(*image)), 1);
	assert_string_equal(listed[0].node, "/vms/alice");
	assert_string_equal(listed[0].property, "kernel");
	if (!strstr(listed[0].text, text))
		fail_msg("wanted \"%s\", told \"%s\"", text, listed[0].text);
}

/* Sets one member of a good image, and expects this error. */
#define BROKEN(member, value, text)                                                                \
	do {                                                                                       \
		struct image broken = good_image();                                                \
		broken.member = (value);                                                           \
		assert_image_error(&broken, text);                                                 \
	} while (0)

static void kernels(void **state)
{
	struct image image = good_image();

	(void)state;
	assert_int_equal(check_image("kernel", &image, sizeof(image)), 0);
	BROKEN(ehdr.ident[0], 0, "is no kernel");
	BROKEN(ehdr.ident[4], 1, "another processor");
	BROKEN(ehdr.machine, 183, "another processor");
	BROKEN(ehdr.type, 1, "not linked");
	BROKEN(ehdr.phnum, 0, "program headers");
	BROKEN(ehdr.phnum, 65535, "program headers");
	BROKEN(ehdr.phoff, UINT64_MAX - 8, "program headers");
	BROKEN(ehdr.phentsize, 32, "program headers");
	BROKEN(load.type, 7, "nothing to load");
	BROKEN(load.memsz, 16, "larger in the file than in memory");
	BROKEN(load.offset, 64, "cut off");
	BROKEN(load.offset, UINT64_MAX - 8, "cut off");
	BROKEN(load.paddr, 64 << 20, "raise memory-mib");
	BROKEN(load.paddr, (64 << 20) - 0x10000, "raise memory-mib"); /* the ACPI tables */
	BROKEN(load.paddr, 0x9f000, "raise memory-mib");
	BROKEN(load.paddr, UINT64_MAX - 8, "raise memory-mib");
	BROKEN(load.memsz, UINT64_MAX, "raise memory-mib");
	BROKEN(note.type, 17, "no PVH entry");
	BROKEN(note.descsz, 6, "no PVH entry");
	BROKEN(note.namesz, UINT32_MAX, "no PVH entry");
	BROKEN(note.descsz, UINT32_MAX, "no PVH entry");
	BROKEN(notes.filesz, 15, "no PVH entry");
	BROKEN(notes.offset, UINT64_MAX - 8, "no PVH entry");
	BROKEN(entry, 0x110000, "lies in no segment");
	BROKEN(entry, 0xfffff, "lies in no segment");
}

/* Behind the PVH note. */
static void guest_that_adds_a_dma_offset(void **state)
{
	static const uint8_t note[] = { 8, 0, 0,   0,	0,   0,	  0,   0,   1,	 0,
					0, 0, 'l', 'a', 's', 't', 'h', 'o', 'p', 0 };
	struct image image = good_image();

	(void)state;
	memcpy(image.code, note, sizeof(note));
	assert_int_equal(check_image("kernel", &image, sizeof(image)), 0);
	assert_false(adds_dma_offset); /* outside of the notes */
	image.notes.filesz += sizeof(note);
	assert_int_equal(check_image("kernel", &image, sizeof(image)), 0);
	assert_true(adds_dma_offset);
	for (unsigned i = 0; i < sizeof(note); i++) {
		image.code[i] ^= 1;
		check_image("kernel", &image, sizeof(image));
		assert_false(adds_dma_offset); /* any other size, name or type */
		image.code[i] ^= 1;
	}
	image.ehdr.ident[0] = 0;
	check_image("kernel", &image, sizeof(image));
	assert_false(adds_dma_offset);
}

static void other_images(void **state)
{
	static const uint8_t gzip[64] = { 0x1f, 0x8b };
	static uint8_t arm_image[64];

	(void)state;
	assert_int_equal(check_image("kernel", gzip, 64), 1);
	assert_non_null(strstr(listed[0].text, "gzip"));
	memcpy(arm_image + 0x38, "ARM\x64", 4);
	assert_int_equal(check_image("kernel", arm_image, sizeof(arm_image)), 1);
	assert_non_null(strstr(listed[0].text, "for arm64"));
	assert_int_equal(check_image("kernel", gzip, 0), 1);
	assert_string_equal(listed[0].text, "k.elf is empty");
	assert_int_equal(check_image("initrd", gzip, 64), 0);

	listed_count = 0;
	assert_int_equal(config_check_image(&image_vm, "initrd", NULL, 0, collect, NULL), 1);
	assert_string_equal(listed[0].text, "i.cpio is missing: put it beside the config");
	listed_count = 0;
	assert_int_equal(
		config_check_image(&image_vm, "kernel", NULL, CONFIG_IMAGE_FOLDER, collect, NULL),
		1);
	assert_string_equal(listed[0].text, "k.elf is a folder: name a file");
	/* Refused by its size alone: nothing of it is read. */
	assert_int_equal(config_check_image(&image_vm, "kernel", gzip, CONFIG_MAX_IMAGE_BYTES + 1,
					    collect, NULL),
			 1);
	assert_non_null(strstr(listed[1].text, "the limit is 512"));
	assert_int_equal(config_check_image(&image_vm, "initrd", gzip, 64 << 20, collect, NULL), 1);
	assert_non_null(strstr(listed[2].text, "raise memory-mib"));
}

/* Do the longest names leave the mend in the message? */
static void long_names(void **state)
{
	struct image image = good_image();
	struct config_vm vm = { .memory_mib = 4 };
	char edge[64];

	(void)state;
	memset(edge, 'x', 63);
	edge[63] = 0;
	memcpy(vm.kernel, edge, 64);
	memcpy(vm.initrd, edge, 64);
	image.load.paddr = image.load.memsz = 1ull << 62;
	listed_count = 0;
	assert_int_equal(config_check_image(&vm, "kernel", &image, sizeof(image), collect, NULL),
			 1);
	assert_non_null(strstr(listed[0].text, "4 MiB: raise memory-mib"));
	image = good_image();
	assert_int_equal(config_check_fit(&vm, &image, sizeof(image), 500ull << 20, collect, NULL),
			 1);
	assert_non_null(strstr(listed[1].text, "of 4 MiB: raise memory-mib"));
}

/* A Linux image as Debian's: one sector of setup, then 8 KiB that are loaded at 16 MiB. */
enum { LINUX_SETUP = 2 * 512, LINUX_PAYLOAD = 8192, LINUX_BYTES = LINUX_SETUP + LINUX_PAYLOAD };

static uint8_t *put(uint8_t *image, unsigned at, unsigned bytes, uint64_t value)
{
	memcpy(image + at, &value, bytes);
	return image;
}

static uint8_t *linux_image(void)
{
	static uint8_t image[LINUX_BYTES];

	memset(image, 0, sizeof(image));
	put(image, 0x1f1, 1, 1);		  /* setup_sects */
	put(image, 0x1f4, 4, LINUX_PAYLOAD / 16); /* syssize */
	put(image, 0x200, 2, 0x6aeb);		  /* jump over the header */
	memcpy(image + 0x202, "HdrS", 4);
	put(image, 0x206, 2, 0x20f);	       /* version */
	put(image, 0x22c, 4, 0x7fffffff);      /* initrd_addr_max */
	put(image, 0x236, 2, 0x7f);	       /* xloadflags */
	put(image, 0x238, 4, 2047);	       /* cmdline_size */
	put(image, 0x258, 8, 16 << 20);	       /* pref_address */
	return put(image, 0x260, 4, 32 << 20); /* init_size */
}

static void assert_linux_error(const uint8_t *image, size_t bytes, const char *text)
{
	assert_int_equal(check_image("kernel", image, bytes), 1);
	if (!strstr(listed[0].text, text))
		fail_msg("wanted \"%s\", told \"%s\"", text, listed[0].text);
}

static void linux_kernels(void **state)
{
	(void)state;
	assert_int_equal(check_image("kernel", linux_image(), LINUX_BYTES), 0);
	assert_int_equal(check_image("kernel", put(linux_image(), 0x260, 4, 47 << 20), LINUX_BYTES),
			 0);
	assert_linux_error(linux_image(), LINUX_BYTES - 1,
			   "cut off: it has 8 KiB, its header tells 9");
	assert_linux_error(linux_image(), 0x264, "cut off");
	assert_linux_error(linux_image(), 0x263, "header of a Linux bzImage does not end");
	assert_linux_error(put(linux_image(), 0x206, 2, 0x20b), LINUX_BYTES, "boot protocol 2.11");
	assert_linux_error(put(linux_image(), 0x236, 2, 0), LINUX_BYTES, "32-bit Linux image");
	assert_linux_error(put(linux_image(), 0x1f4, 4, 0), LINUX_BYTES, "cut off");
	assert_linux_error(put(linux_image(), 0x1f4, 4, UINT32_MAX), LINUX_BYTES, "cut off");
	assert_linux_error(put(linux_image(), 0x258, 8, 0), LINUX_BYTES, "addresses are wrong");
	assert_linux_error(put(linux_image(), 0x258, 8, UINT64_MAX), LINUX_BYTES,
			   "addresses are wrong");
	assert_linux_error(put(linux_image(), 0x260, 4, 4096), LINUX_BYTES, "addresses are wrong");
	/* 64 MiB less the reserved pages are there */
	assert_linux_error(put(linux_image(), 0x260, 4, 48 << 20), LINUX_BYTES,
			   "needs at least 65 MiB of memory, the VM has 64: raise memory-mib");
	assert_linux_error(put(linux_image(), 0x258, 8, 64 << 20), LINUX_BYTES,
			   "needs at least 97 MiB");
	assert_linux_error(put(linux_image(), 0x238, 4, 3), LINUX_BYTES, "takes 3");
	assert_string_equal(listed[0].property, "bootargs");
}

static unsigned check_fit(const uint8_t *image, size_t initrd_bytes)
{
	listed_count = 0;
	return config_check_fit(&image_vm, image, LINUX_BYTES, initrd_bytes, collect, NULL);
}

static void elf_initrd(void **state)
{
	struct image image = good_image();
	const size_t room = (64 << 20) - GUEST_ACPI_BYTES - 0x110000;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		listed_count = 0;
		assert_int_equal(
			config_check_fit(&image_vm, &image, sizeof(image), room + i, collect, NULL),
			i);
	}
	assert_string_equal(listed[0].property, "initrd");
	assert_non_null(strstr(listed[0].text, "needs the first 2 of 64 MiB: raise memory-mib"));
	assert_int_equal(elf64_end(&image, sizeof(image)), 0x110000);
	image.load.memsz = UINT64_MAX;
	assert_int_equal(elf64_end(&image, sizeof(image)), UINT64_MAX);
	assert_int_equal(elf64_initrd_at(UINT64_MAX, 1, 64 << 20), 0);
	assert_int_equal(elf64_end(&image, 63), 0);
}

static void linux_initrd(void **state)
{
	const size_t room = (16 << 20) - 0x10000;

	(void)state;
	assert_int_equal(check_fit(linux_image(), 0), 0);
	assert_int_equal(check_fit(linux_image(), room / 2), 0);
	assert_int_equal(check_fit(linux_image(), room / 2 + 1), 1);
	assert_non_null(strstr(listed[0].text, "does not fit twice, as it is unpacked, behind"));
	assert_int_equal(check_fit(linux_image(), room + 1), 1);
	assert_string_equal(listed[0].property, "initrd");
	assert_non_null(strstr(listed[0].text, "does not fit behind"));
	assert_non_null(strstr(listed[0].text, "needs the first 48 of 64 MiB: raise memory-mib"));
	assert_int_equal(check_fit(linux_image(), SIZE_MAX), 1);
	assert_int_equal(check_fit(put(linux_image(), 0x22c, 4, (48 << 20) + 4095), 4096), 0);
	assert_int_equal(check_fit(put(linux_image(), 0x22c, 4, (48 << 20) + 4095), 4097), 1);
	assert_int_equal(check_fit(put(linux_image(), 0x202, 1, 0), SIZE_MAX), 0); /* not Linux */
}

static void damaged_linux_kernels(void **state)
{
	(void)state;
	for (size_t bytes = 1; bytes < LINUX_BYTES; bytes++)
		assert_true(check_image("kernel", linux_image(), bytes) > 0);
	for (unsigned round = 0; round < mutations; round++) {
		uint8_t *image = linux_image();
		unsigned changes = 1 + random_word() % 4;

		while (changes--)
			image[0x1f1 + random_word() % (0x264 - 0x1f1)] = (uint8_t)random_word();
		if (!check_image("kernel", image, LINUX_BYTES))
			check_fit(image, (size_t)random_word() << 12);
	}
}

static void damaged_kernels(void **state)
{
	(void)state;
	for (size_t bytes = 1; bytes < sizeof(struct image); bytes++) {
		struct image image = good_image();

		assert_true(check_image("kernel", &image, bytes) > 0);
	}
	for (unsigned round = 0; round < mutations; round++) {
		struct image image = good_image();
		unsigned changes = 1 + random_word() % 4;

		while (changes--)
			((uint8_t *)&image)[random_word() % offsetof(struct image, code)] =
				(uint8_t)random_word();
		check_image("kernel", &image, sizeof(image));
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernels),
		cmocka_unit_test(other_images),
		cmocka_unit_test(long_names),
		cmocka_unit_test(damaged_kernels),
		cmocka_unit_test(linux_kernels),
		cmocka_unit_test(elf_initrd),
		cmocka_unit_test(linux_initrd),
		cmocka_unit_test(damaged_linux_kernels),
		cmocka_unit_test(guest_that_adds_a_dma_offset),
	};

	take_seed(argc, argv);
	return cmocka_run_group_tests_name("config images", tests, NULL, NULL);
}
