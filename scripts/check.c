/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lasthop-check: the config parser of the hypervisor on the host. One JSON object a line for each
 * error; exit status 0 without errors, 1 with, 2 if the file cannot be read. scripts/lasthop runs
 * it for `check` and before `run` and `image`, and turns its lines into file, line and column. With
 * --host it looks at this machine instead (check_host.c).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "hv/core/config.h"
#include "scripts/check_host.h"

static void print_json_string(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			putchar('\\');
		if ((unsigned char)*s < ' ')
			printf("\\u%04x", (unsigned char)*s);
		else
			putchar(*s);
	}
	putchar('"');
}

static void print_error(void *context, const struct config_error *error)
{
	(void)context;
	printf("{\"node\":");
	print_json_string(error->node);
	printf(",\"property\":");
	print_json_string(error->property);
	printf(",\"text\":");
	print_json_string(error->text);
	printf("}\n");
}

/* The whole file in new memory, at most max + 1 bytes of it: the caller tells what is too much. */
static void *read_file(const char *path, size_t max, size_t *bytes)
{
	FILE *file = fopen(path, "rb");
	char *data = NULL;
	size_t room = 0;
	bool failed = false;

	*bytes = 0;
	if (!file)
		return NULL;
	for (;;) {
		if (*bytes == room) {
			room = room ? room * 2 : 65536;
			char *more = realloc(data, room);
			failed = !more;
			if (failed)
				break;
			data = more;
		}
		size_t got = fread(data + *bytes, 1, room - *bytes, file);
		*bytes += got;
		if (!got || *bytes > max)
			break;
	}
	if (failed || ferror(file)) { /* no memory; a folder or a bad disk */
		free(data);
		data = NULL;
	}
	fclose(file);
	return data;
}

struct image {
	void *data;   /* NULL: there is none that can be read */
	size_t bytes; /* as config_check_image() wants it */
};

/* False: nothing of that name can be found. */
static bool read_image(const char *path, struct image *image)
{
	struct stat told;

	*image = (struct image){ 0 };
	if (stat(path, &told))
		return false;
	if (S_ISREG(told.st_mode))
		image->data = read_file(path, CONFIG_MAX_IMAGE_BYTES, &image->bytes);
	if (!image->data)
		image->bytes =
			S_ISDIR(told.st_mode) ? CONFIG_IMAGE_FOLDER : CONFIG_IMAGE_UNREADABLE;
	return true;
}

/* Looks for one image in the folders, in their order, and checks the first that is there. */
static unsigned check_image(const struct config_vm *vm, const char *property, const char *name,
			    char **folders, struct image *image)
{
	bool found = false;

	*image = (struct image){ 0 };
	if (!name[0] || !*folders)
		return 0;
	for (; *folders && !found; folders++) {
		size_t room = strlen(*folders) + strlen(name) + 2;
		char *path = malloc(room);

		if (!path)
			exit(2);
		snprintf(path, room, "%s/%s", *folders, name);
		found = read_image(path, image);
		free(path);
	}
	return config_check_image(vm, property, image->data, image->bytes, print_error, NULL);
}

static unsigned check_images(const struct config_vm *vm, char **folders)
{
	struct image kernel, initrd;
	unsigned errors = check_image(vm, "kernel", vm->kernel, folders, &kernel);

	errors += check_image(vm, "initrd", vm->initrd, folders, &initrd);
	if (!errors && kernel.data)
		errors = config_check_fit(vm, kernel.data, kernel.bytes, initrd.bytes, print_error,
					  NULL);
	free(kernel.data);
	free(initrd.data);
	return errors;
}

/* cpus: of the machine that it is for; 0: not known */
static int check(const char *file, char **folders, unsigned cpus)
{
	struct config_machine machine = { .cpus = cpus, .free_mib = UINT64_MAX };
	size_t bytes;
	void *dtb = read_file(file, 64 * CONFIG_MAX_DTB_BYTES, &bytes);
	struct config *config = malloc(sizeof(*config));

	if (!dtb || !config) {
		fprintf(stderr, "lasthop-check: %s: %s\n", file, strerror(errno));
		free(dtb);
		free(config);
		return 2;
	}
	unsigned errors = config_parse(dtb, bytes, config, print_error, NULL);
	if (cpus)
		errors += config_check_machine(config, &machine, print_error, NULL);
	for (unsigned i = 0; i < config->vm_count; i++)
		errors += check_images(&config->vms[i], folders);
	free(config);
	free(dtb);
	return errors ? 1 : 0;
}

/* What the parser knows, for the test of docs/config.md and for completion in editors. */
static int print_properties(void)
{
	struct config_property p;

	for (size_t i = 0; config_property_at(i, &p); i++)
		printf("%s %s %s %s %u %u\n", p.node, p.name, config_kind_name(p.kind),
		       p.required ? "required" : "optional", p.min, p.max);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned cpus = 0;

	if (argc == 2 && !strcmp(argv[1], "--properties"))
		return print_properties();
	if (argc == 2 && !strcmp(argv[1], "--host"))
		return check_host();
	if (argc > 3 && !strcmp(argv[1], "--cpus")) {
		cpus = (unsigned)strtoul(argv[2], NULL, 10);
		argv += 2;
		argc -= 2;
	}
	if (argc < 2 || argv[1][0] == '-') {
		fprintf(stderr, "usage: lasthop-check [--cpus N] FILE.dtb [IMAGE_DIR...]\n"
				"       lasthop-check --properties | --host\n");
		return 2;
	}
	return check(argv[1], argv + 2, cpus);
}
