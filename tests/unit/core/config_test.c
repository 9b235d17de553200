/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does the config parser tell exactly what is wrong, and does it stay inside a blob that lies?
 * The .dts files in tests/config are broken configs, each with the errors expected of it in its first lines;
 * every blob and image ends at a page that cannot be read. Arguments: the root of the source tree
 * (default "."), a seed and a number of mutations.
 */
#include <dirent.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/core/config_test.h"

static const char *root = ".";

static struct config config;

static unsigned parse(const void *data, size_t bytes)
{
	uint8_t *blob = at_the_edge(bytes);

	memmove(blob, data, bytes);
	listed_count = 0;
	return config_parse(blob, bytes, &config, collect, NULL);
}

static void path_of(char *out, size_t room, const char *folder, const char *name)
{
	snprintf(out, room, "%s/%s/%s", root, folder, name);
}

/* Compiles a .dts with dtc; -f, since some faults are those that dtc refuses by itself. */
static size_t compile(const char *path, uint8_t *out, size_t room)
{
	int ends[2], status;
	size_t bytes = 0;
	ssize_t got;

	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (!child) {
		dup2(ends[1], 1);
		if (freopen("/dev/null", "w", stderr))
			execlp("dtc", "dtc", "-f", "-q", "-O", "dtb", path, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	while ((got = read(ends[0], out + bytes, room - bytes)) > 0)
		bytes += (size_t)got;
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (status)
		fail_msg("dtc does not compile %s", path);
	return bytes;
}

static uint8_t good[65536];
static size_t good_bytes;

static int compile_good(void **state)
{
	char path[512];

	(void)state;
	path_of(path, sizeof(path), "examples", "bench.dts");
	good_bytes = compile(path, good, sizeof(good));
	return 0;
}

/* One "// error: NODE PROPERTY substring" line; PROPERTY is - for the node itself. */
static void compare_error(const char *file, unsigned index, char *line)
{
	char *node = strtok(line + strlen("// error: "), " ");
	char *property = strtok(NULL, " "), *text = strtok(NULL, "\n");

	if (!node || !property || !text)
		fail_msg("%s: bad line", file);
	if (index >= listed_count)
		fail_msg("%s: not told: %s %s %s", file, node, property, text);
	const struct config_error *e = &listed[index];
	if (strcmp(e->node, node) || strcmp(e->property, strcmp(property, "-") ? property : "") ||
	    !strstr(e->text, text))
		fail_msg("%s: wanted %s %s %s, told %s %s %s", file, node, property, text, e->node,
			 e->property, e->text);
}

static void broken_config(const char *name)
{
	static uint8_t blob[65536];
	char path[512], line[512];
	unsigned expected = 0;

	path_of(path, sizeof(path), "tests/config", name);
	unsigned errors = parse(blob, compile(path, blob, sizeof(blob)));
	assert_int_equal(errors, listed_count);
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file) && !strncmp(line, "// error: ", 10))
		compare_error(name, expected++, line);
	fclose(file);
	if (!expected || expected != listed_count)
		fail_msg("%s: %u errors expected, %u told, the last: %s", name, expected,
			 listed_count, listed[listed_count ? listed_count - 1 : 0].text);
}

static void broken_configs(void **state)
{
	char path[512];
	unsigned count = 0;

	(void)state;
	path_of(path, sizeof(path), "tests", "config");
	DIR *folder = opendir(path);
	assert_non_null(folder);
	for (struct dirent *entry; (entry = readdir(folder));) {
		size_t length = strlen(entry->d_name);

		if (length < 5 || strcmp(entry->d_name + length - 4, ".dts"))
			continue;
		broken_config(entry->d_name);
		count++;
	}
	closedir(folder);
	assert_true(count >= 25);
}

static void good_config(void **state)
{
	static const uint8_t mac[6] = { 0x52, 0x54, 0, 0, 0, 1 };

	(void)state;
	assert_int_equal(parse(good, good_bytes), 0);
	assert_int_equal(config.switch_count, 1);
	assert_string_equal(config.switches[0].name, "switch");
	assert_int_equal(config.vm_count, 2);
	const struct config_vm *vm = &config.vms[1];
	assert_string_equal(vm->name, "source");
	assert_string_equal(vm->kernel, "bench.elf");
	assert_string_equal(vm->initrd, "");
	assert_non_null(strstr(vm->bootargs, "role=source peer=10.0.0.2"));
	assert_int_equal(vm->cpus, 1);
	assert_int_equal(vm->memory_mib, 64);
	assert_false(vm->affinity_given);
	assert_int_equal(vm->affinity[3], UINT64_MAX);
	assert_true(vm->no_fast_strings);
	assert_false(vm->disabled);
	assert_int_equal(vm->net_count, 1);
	assert_string_equal(vm->nets[0].name, "net0");
	assert_int_equal(vm->nets[0].switch_index, 0);
	assert_int_equal(vm->nets[0].mtu, 9000);
	assert_int_equal(vm->nets[0].queue_pairs, 1);
	assert_memory_equal(vm->nets[0].mac, mac, 6);
}

/* Overwrites a property's name in the blob, here so that the MAC addresses are not given. */
static void rename_in(uint8_t *blob, size_t bytes, const char *from, const char *to)
{
	uint8_t *found = memmem(blob, bytes, from, strlen(from) + 1);

	assert_non_null(found);
	memcpy(found, to, strlen(to) + 1);
}

static void derived_macs(void **state)
{
	static uint8_t blob[65536];
	uint8_t first[2][6];

	(void)state;
	memcpy(blob, good, good_bytes);
	rename_in(blob, good_bytes, "local-mac-address", "linux,phandle");
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(parse(blob, good_bytes), 0);
		for (unsigned i = 0; i < 2; i++) {
			const uint8_t *mac = config.vms[i].nets[0].mac;

			assert_memory_equal(mac, "\x52\x54\x00", 3);
			if (round)
				assert_memory_equal(mac, first[i], 6);
			memcpy(first[i], mac, 6);
		}
		assert_memory_not_equal(first[0], first[1], 6);
	}
}

static void truncated(void **state)
{
	(void)state;
	for (size_t bytes = 0; bytes < good_bytes; bytes++) {
		assert_int_equal(parse(good, bytes), 1);
		assert_string_equal(listed[0].node, "/");
	}
}

static void absurd_headers(void **state)
{
	static const struct {
		unsigned offset; /* of a header word */
		uint32_t value;
		const char *text;
	} cases[] = {
		{ 0, 0, "no device tree blob" },
		{ 4, 0xffffffff, "the limit is 1048576" },
		{ 4, (1 << 20) + 1, "the limit is 1048576" },
		{ 4, 1 << 20, "cut off" },
		{ 4, 0, "damaged" },
		{ 8, 0xfffffff0, "damaged" },
		{ 12, 0xfffffff0, "damaged" },
		{ 16, 0xfffffff0, "damaged" },
		{ 20, 16, "version" },
		{ 24, 99, "damaged" },
		{ 32, 0xfffffff0, "damaged" },
		{ 36, 0xfffffff0, "damaged" },
	};
	static uint8_t blob[65536];

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memcpy(blob, good, good_bytes);
		for (unsigned j = 0; j < 4; j++)
			blob[cases[i].offset + j] = (uint8_t)(cases[i].value >> (24 - 8 * j));
		assert_int_equal(parse(blob, good_bytes), 1);
		if (!strstr(listed[0].text, cases[i].text))
			fail_msg("header word %u: %s", cases[i].offset, listed[0].text);
	}
}

/* Whatever the blob was: an accepted config keeps the promises of config.h. */
static void assert_sane_config(void)
{
	assert_true(config.vm_count >= 1 && config.vm_count <= CONFIG_MAX_VMS);
	assert_true(config.switch_count <= CONFIG_MAX_SWITCHES);
	for (unsigned i = 0; i < config.vm_count; i++) {
		const struct config_vm *vm = &config.vms[i];

		assert_true(vm->name[0] && strlen(vm->name) <= CONFIG_MAX_NAME);
		assert_true(vm->kernel[0] && strlen(vm->kernel) <= CONFIG_MAX_FILE);
		assert_true(strlen(vm->initrd) <= CONFIG_MAX_FILE);
		assert_true(strlen(vm->bootargs) <= CONFIG_MAX_BOOTARGS);
		assert_true(vm->cpus >= 1 && vm->cpus <= CONFIG_MAX_VCPUS);
		assert_true(vm->memory_mib >= CONFIG_MIN_MEMORY_MIB &&
			    vm->memory_mib <= CONFIG_MAX_MEMORY_MIB);
		assert_true(vm->net_count <= CONFIG_MAX_NETS);
		for (unsigned j = 0; j < vm->net_count; j++) {
			const struct config_net *net = &vm->nets[j];

			assert_true(net->switch_index < config.switch_count);
			assert_true(net->mtu >= CONFIG_MIN_MTU && net->mtu <= CONFIG_MAX_MTU);
			assert_true(net->queue_pairs >= 1 &&
				    net->queue_pairs <= CONFIG_MAX_QUEUE_PAIRS);
			assert_false(net->mac[0] & 1);
		}
	}
}

static void mutated(void **state)
{
	static const uint8_t nice[] = { 0, 1, 2, 3, 4, 9, 0x20, 0x7f, 0x80, 0xfe, 0xff };
	static uint8_t blob[65536];
	unsigned accepted = 0;

	(void)state;
	for (unsigned round = 0; round < mutations; round++) {
		unsigned changes = 1 + random_word() % 8;

		memcpy(blob, good, good_bytes);
		while (changes--) {
			/* The header and the structure block, which come first, more often. */
			uint32_t where = random_word() % (random_word() & 1 ? 72 : good_bytes);

			blob[where] = random_word() & 1 ? (uint8_t)random_word()
							: nice[random_word() % sizeof(nice)];
		}
		if (!parse(blob, good_bytes)) {
			assert_sane_config();
			accepted++;
		}
	}
	print_message("seed %u: %u of %u mutations accepted\n", seed, accepted, mutations);
}

static void random_bytes(void **state)
{
	static uint8_t blob[4096];

	(void)state;
	for (unsigned round = 0; round < 1000; round++) {
		size_t bytes = random_word() % sizeof(blob);

		for (size_t i = 0; i < bytes; i++)
			blob[i] = (uint8_t)random_word();
		if (round & 1 && bytes > 40) /* so that some come further than the magic number */
			memcpy(blob, good, 40);
		assert_true(parse(blob, bytes) > 0);
	}
}

/* Many errors: the first are told, then one line that says so; all are counted. */
static void many_errors(void **state)
{
	static char source[65536];
	static uint8_t blob[65536];
	char path[] = "/tmp/config-test-XXXXXX";
	size_t at = (size_t)sprintf(source, "/dts-v1/; / { compatible = \"%s\"; vms { a {",
				    CONFIG_COMPATIBLE);

	(void)state;
	for (unsigned i = 0; i < 300; i++)
		at += (size_t)sprintf(source + at, " zzzzzzzzzz%u;", i);
	at += (size_t)sprintf(source + at, " }; }; };");
	int file = mkstemp(path);
	assert_true(file >= 0);
	assert_int_equal(write(file, source, at), at);
	close(file);
	size_t bytes = compile(path, blob, sizeof(blob));
	unlink(path);
	assert_int_equal(parse(blob, bytes), 303); /* and three that are missing */
	assert_int_equal(listed_count, CONFIG_MAX_ERRORS + 1);
	assert_non_null(strstr(listed[CONFIG_MAX_ERRORS].text, "too many errors"));
}

static void machines(void **state)
{
	struct config_machine machine = { .cpus = 2, .free_mib = 128 };

	(void)state;
	assert_int_equal(parse(good, good_bytes), 0);
	assert_int_equal(config_check_machine(&config, &machine, collect, NULL), 0);
	machine.free_mib = 127;
	listed_count = 0;
	assert_int_equal(config_check_machine(&config, &machine, collect, NULL), 1);
	assert_string_equal(listed[0].node, "/vms/source");
	assert_string_equal(listed[0].text, "64 MiB wanted, 63 of 127 MiB are left: lower it");
	config.vms[0].disabled = true;
	assert_int_equal(config_check_machine(&config, &machine, collect, NULL), 0);
	machine.free_mib = UINT64_MAX;
	config.vms[0].affinity_given = true;
	memset(config.vms[0].affinity, 0, sizeof(config.vms[0].affinity));
	config.vms[0].affinity[0] = 7;
	config.vms[0].affinity[1] = 1;
	listed_count = 0;
	assert_int_equal(config_check_machine(&config, &machine, collect, NULL), 2);
	assert_string_equal(listed[0].text, "CPU 2 is not there: this machine has CPUs 0 to 1");
	assert_string_equal(listed[1].text, "CPU 64 is not there: this machine has CPUs 0 to 1");
}

static void apicv_needs_the_machine(void **state)
{
	struct config_machine machine = { .cpus = 2,
					  .free_mib = UINT64_MAX,
					  .apicv_lacks = "posted interrupts" };

	(void)state;
	assert_int_equal(parse(good, good_bytes), 0);
	assert_int_equal(config.vms[0].apicv, CONFIG_APICV_AUTO);
	assert_int_equal(config_check_machine(&config, &machine, collect, NULL), 0);
	config.vms[0].apicv = CONFIG_APICV_OFF;
	assert_int_equal(config_check_machine(&config, &machine, collect, NULL), 0);
	config.vms[0].apicv = CONFIG_APICV_ON;
	listed_count = 0;
	assert_int_equal(config_check_machine(&config, &machine, collect, NULL), 1);
	assert_string_equal(listed[0].property, "apicv");
	assert_string_equal(listed[0].text, "\"on\" cannot be had, this machine lacks posted "
					    "interrupts: leave it out");
	machine.apicv_lacks = NULL;
	assert_int_equal(config_check_machine(&config, &machine, collect, NULL), 0);
}

static void one_line(void **state)
{
	struct config_error error = { "/vms/alice", "cpus", "0 is too small" };
	char line[200], small[8];

	(void)state;
	config_error_format(&error, "a.dts", line, sizeof(line));
	assert_string_equal(line, "a.dts: /vms/alice: cpus: 0 is too small");
	error.property[0] = 0;
	size_t length = config_error_format(&error, "a.dts", line, sizeof(line));
	assert_int_equal(length, strlen(line));
	assert_string_equal(line, "a.dts: /vms/alice: 0 is too small");
	assert_int_equal(config_error_format(&error, "a.dts", small, sizeof(small)), 7);
	assert_string_equal(small, "a.dts: ");
	config_format(line, sizeof(line), "%s|%.2s|%u|%lx|%%", "a\033b", "xyz", 0u, 0xffffffffffUL);
	assert_string_equal(line, "a?b|xy|0|ffffffffff|%");
}

/* How a row's limits stand in docs/config.md. */
static void limits_of(const struct config_property *p, char *out, size_t room)
{
	if (p->kind == CONFIG_FLAG || p->kind == CONFIG_LINK)
		snprintf(out, room, "| |");
	else if (p->kind == CONFIG_BYTES)
		snprintf(out, room, "| %u |", p->min);
	else
		snprintf(out, room, "| %u to %u |", p->min, p->max);
}

/* The tables in docs/config.md have the parser's rows, in the same order, and no others. */
static void documented(void **state)
{
	char path[512], line[512], node[16] = "", limits[64], wanted[256];
	struct config_property p;
	size_t row = 0;

	(void)state;
	path_of(path, sizeof(path), "docs", "config.md");
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "## %15s", node) == 1 || strncmp(line, "| `", 3))
			continue;
		if (!config_property_at(row++, &p))
			fail_msg("docs/config.md has more: %s", line);
		limits_of(&p, limits, sizeof(limits));
		snprintf(wanted, sizeof(wanted), "| `%s` | %s | %s %s %s |", p.name,
			 config_kind_name(p.kind), p.required ? "required" : "optional", limits,
			 config_effect_name(p.effect));
		if (strcmp(node, p.node) || strncmp(line, wanted, strlen(wanted)))
			fail_msg("docs/config.md, %s: wanted %s, got %s", p.node, wanted, line);
	}
	fclose(file);
	assert_false(config_property_at(row, &p));
}

/* What the config says of policies counts, the others are as the table has them. */
static void policies_set(void **state)
{
	static uint8_t blob[65536];
	char path[512];

	(void)state;
	path_of(path, sizeof(path), "tests/unit/core", "policy.dts");
	assert_int_equal(parse(blob, compile(path, blob, sizeof(blob))), 0);
	assert_int_equal(config.policy[POLICY_steering], 0);
	assert_int_equal(config.policy[POLICY_batch_packets], 8);
	assert_int_equal(config.policy[POLICY_batch_bytes], 65536);
	assert_int_equal(config.policy[POLICY_immediate_notification], 1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_config),	  cmocka_unit_test(derived_macs),
		cmocka_unit_test(broken_configs), cmocka_unit_test(many_errors),
		cmocka_unit_test(truncated),	  cmocka_unit_test(absurd_headers),
		cmocka_unit_test(mutated),	  cmocka_unit_test(random_bytes),
		cmocka_unit_test(machines),	  cmocka_unit_test(apicv_needs_the_machine),
		cmocka_unit_test(one_line),	  cmocka_unit_test(documented),
		cmocka_unit_test(policies_set),
	};

	if (argc > 1)
		root = argv[1];
	take_seed(argc - 1, argv + 1);
	return cmocka_run_group_tests_name("config", tests, compile_good, NULL);
}
