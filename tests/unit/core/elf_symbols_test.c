/* SPDX-License-Identifier: BSD-2-Clause */
/* Is an address of a guest named by its kernel's symbols, and does a file that holds anything do no harm? */
#include "hv/core/elf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A file: header, three symbols, their names, section headers. */
static struct image {
	struct elf64_ehdr ehdr;
	struct elf64_sym sym[4];
	char names[32];
	struct elf64_shdr shdr[3];
} image;

static int make(void **state)
{
	(void)state;
	memset(&image, 0, sizeof(image));
	memcpy(image.ehdr.ident, "\177ELF", 4);
	image.ehdr.shoff = offsetof(struct image, shdr);
	image.ehdr.shentsize = sizeof(struct elf64_shdr);
	image.ehdr.shnum = 3;
	memcpy(image.names, "\0start\0main\0label\0data", 23);
	image.sym[0] = (struct elf64_sym){
		.name = 1, .info = 2, .shndx = 1, .value = 0x1000, .size = 0x100
	};
	image.sym[1] = (struct elf64_sym){
		.name = 7, .info = 0x12, .shndx = 1, .value = 0x2000, .size = 0x80
	};
	image.sym[2] = (struct elf64_sym){ .name = 12, .info = 0, .shndx = 1, .value = 0x3000 };
	image.sym[3] = (struct elf64_sym){
		.name = 18, .info = 1, .shndx = 2, .value = 0x3010, .size = 64
	};
	image.shdr[1] = (struct elf64_shdr){ .type = ELF_SHT_SYMTAB,
					     .offset = offsetof(struct image, sym),
					     .size = sizeof(image.sym),
					     .link = 2 };
	image.shdr[2] = (struct elf64_shdr){ .type = 3,
					     .offset = offsetof(struct image, names),
					     .size = sizeof(image.names) };
	return 0;
}

static void is(uint64_t address, const char *name, uint64_t offset)
{
	uint64_t found = 77;
	const char *text = elf64_symbol(&image, sizeof(image), address, &found);

	if (!name) {
		assert_null(text);
		return;
	}
	assert_non_null(text);
	assert_string_equal(text, name);
	assert_int_equal(found, offset);
}

static void names(void **state)
{
	(void)state;
	is(0xfff, NULL, 0);
	is(0x1000, "start", 0);
	is(0x10ff, "start", 0xff);
	is(0x1100, NULL, 0); /* behind it, and in no other */
	is(0x207f, "main", 0x7f);
	is(0x3000, "label", 0);
	is(0x3020, "label", 0x20); /* not what is data */
	is(0x3000 + (64 << 10), NULL, 0);
	is(UINT64_MAX, NULL, 0);
}

static void damaged(void **state)
{
	(void)state;
	image.shdr[2].size = 4; /* names beyond the strings' end */
	is(0x2000, NULL, 0);
	image.shdr[2].size = 10; /* one without an end */
	is(0x2000, NULL, 0);
	image.shdr[2].size = UINT64_MAX;
	is(0x2000, NULL, 0);
	make(NULL);
	image.shdr[1].link = 3;
	is(0x2000, NULL, 0);
	make(NULL);
	image.shdr[1].size = UINT64_MAX - 8;
	is(0x2000, NULL, 0);
	make(NULL);
	image.ehdr.shoff = UINT64_MAX - 63;
	is(0x2000, NULL, 0);
	make(NULL);
	image.ehdr.shnum = 0;
	is(0x2000, NULL, 0);
	make(NULL);
	image.ehdr.ident[0] = 0;
	is(0x2000, NULL, 0);
}

/* Cut anywhere, and with any bytes changed: nothing is read outside (ASan). */
static void anything(void **state)
{
	uint64_t offset, seed = 1;

	(void)state;
	for (size_t cut = 0; cut <= sizeof(image); cut++) {
		uint8_t *copy = malloc(cut ? cut : 1);

		memcpy(copy, &image, cut);
		(void)elf64_symbol(copy, cut, 0x2000, &offset);
		free(copy);
	}
	for (unsigned i = 0; i < 20000; i++) {
		uint8_t *copy = malloc(sizeof(image));
		const char *name;

		memcpy(copy, &image, sizeof(image));
		for (unsigned n = 0; n < 4; n++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			copy[seed >> 33 & 1 ? (seed >> 40) % sizeof(image)
					    : offsetof(struct image, shdr) +
						      (seed >> 40) % sizeof(image.shdr)] =
				(uint8_t)(seed >> 20);
		}
		name = elf64_symbol(copy, sizeof(image), seed % 0x4000, &offset);
		if (name)
			assert_true(strlen(name) < sizeof(image));
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(names, make),
		cmocka_unit_test_setup(damaged, make),
		cmocka_unit_test_setup(anything, make),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
