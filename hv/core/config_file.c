/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names of images. They lie beside the config in one folder of a FAT file system, which has rules
 * of its own (Microsoft's FAT specification, "Long directory entries"): some characters cannot
 * be had, and names that differ only in case are the same.
 */
#include "hv/core/config_impl.h"

static const char config_name[] = "lasthop.dtb"; /* the config itself, in the same folder */

static bool same_on_fat(const char *a, const char *b)
{
	for (; *a && config_lower(*a) == config_lower(*b); a++, b++)
		;
	return *a == *b;
}

/* Names that DOS has taken, and that tools refuse to write: COM1 to COM9 and LPT1 to LPT9, too. */
static bool is_device(const char *name)
{
	static const char names[][5] = { "con", "prn", "aux", "nul", "com#", "lpt#" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t at = 0;

		while (names[i][at] &&
		       (config_lower(name[at]) == names[i][at] ||
			(names[i][at] == '#' && name[at] >= '1' && name[at] <= '9')))
			at++;
		if (!names[i][at] && !name[at])
			return true;
	}
	return false;
}

static bool good_characters(struct config_parser *p, const char *property, const char *name)
{
	for (const char *c = name; *c; c++) {
		if (*c == '/' || *c == '\\') {
			config_fail(&p->reporter, property,
				    "names a folder: the file lies beside the config, write its "
				    "name only");
			return false;
		}
		if ((unsigned char)*c > '~' || strchr("\"*:<>?|", *c)) {
			config_fail(&p->reporter, property,
				    "holds a character that a FAT file name cannot have: rename "
				    "the file");
			return false;
		}
	}
	return true;
}

/* Does it name one of the files that other properties name, with other letters? */
static bool other_case(struct config_parser *p, const char *property, const char *name)
{
	for (unsigned i = 0; i < p->config->vm_count; i++) {
		const struct config_vm *vm = &p->config->vms[i];
		const char *taken[] = { vm->kernel, vm->initrd };

		for (unsigned j = 0; j < 2; j++) {
			if (!same_on_fat(name, taken[j]) || !strcmp(name, taken[j]))
				continue;
			config_fail(&p->reporter, property,
				    "\"%s\" and \"%s\" of %s are the same file name on FAT: "
				    "rename one",
				    name, taken[j], vm->name);
			return true;
		}
	}
	return false;
}

bool config_good_file(struct config_parser *p, const char *property, const char *name)
{
	char last = name[strlen(name) - 1];

	if (!good_characters(p, property, name))
		return false;
	if (name[0] == ' ' || last == ' ' || last == '.') {
		config_fail(&p->reporter, property,
			    "\"%s\" is no file name: it starts with a space or ends with a space "
			    "or dot",
			    name);
		return false;
	}
	if (same_on_fat(name, config_name)) {
		config_fail(&p->reporter, property,
			    "\"%s\" is the name of the config on the disk: rename the file", name);
		return false;
	}
	if (is_device(name)) {
		config_fail(&p->reporter, property,
			    "\"%s\" is the name of a DOS device, which no file on FAT can have: "
			    "rename the file",
			    name);
		return false;
	}
	return !other_case(p, property, name);
}
