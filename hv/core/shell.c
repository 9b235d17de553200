/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The shell's commands: a table, from which `help` is made. Answers are lines of up to 80 columns.
 * What they tell of VMs and ports is collected in facts.c.
 */
#include "hv/core/shell.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "hv/core/config_diff.h"
#include "hv/core/console.h"
#include "hv/core/exit_cause.h"
#include "hv/core/facts.h"
#include "hv/core/last_boot.h"
#include "hv/core/lifecycle.h"
#include "hv/core/log.h"
#include "hv/core/machine_reset.h"
#include "hv/core/platform.h"
#include "hv/core/pmm.h"
#include "hv/core/shell_impl.h"

#define MAX_WORDS 4
#define LOG_LINES 20
#define LOG_BYTES (32u * 1024) /* of the log, shown by one command */

struct command {
	const char *name, *usage, *help;
	unsigned least, most; /* arguments */
	void (*run)(char **args, unsigned count);
};

static const struct command commands[];

static void list_vm(unsigned id)
{
	struct vm_facts f;

	vm_facts(id, &f);
	console_printf("%-31s %-8s %5u %7llu %12llu %11llu\n", f.config->name, f.state,
		       f.config->cpus, (unsigned long long)f.config->memory_mib,
		       (unsigned long long)exit_counts_total(&f.exits),
		       (unsigned long long)f.wakeups);
	if (f.unsafe_dma)
		console_printf("  unsafe DMA: its devices can read and write all memory\n");
}

static void vm_list(void)
{
	console_printf("%-31s %-8s %5s %7s %12s %11s\n", "VM", "STATE", "VCPUS", "MIB", "EXITS",
		       "WAKEUPS");
	for (unsigned i = 0; i < vm_config->vm_count; i++)
		if (config_vm_there(&vm_config->vms[i]))
			list_vm(i);
	console_printf("memory: %llu of %llu KiB free\n",
		       (unsigned long long)pmm_free_bytes() / 1024,
		       (unsigned long long)pmm_total_bytes() / 1024);
}

static void vcpu_is_off(unsigned vcpu)
{
	console_printf("vCPU %u is off\n", vcpu);
}

/* What a running VM's exits were for. */
static void vm_show_exits(const char *name)
{
	int id = vm_by_name(name);
	struct vm_facts f = { 0 };

	if (id >= 0)
		vm_facts((unsigned)id, &f);
	if (!f.runs)
		console_printf("vm exits: %s does not run\n", name);
	for (unsigned cause = 0; cause < EXIT_CAUSE_COUNT; cause++)
		if (f.exits.of[cause])
			console_printf("%-16s %12llu\n", exit_cause_name(cause),
				       (unsigned long long)f.exits.of[cause]);
}

static void vm_change(const char *verb, const char *name)
{
	static const struct {
		const char *verb;
		enum vm_command command;
	} verbs[] = {
		{ "start", VM_START }, { "stop", VM_STOP },	{ "restart", VM_RESTART },
		{ "pause", VM_PAUSE }, { "resume", VM_RESUME },
	};
	const char *why;

	for (unsigned i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].verb, verb) != 0)
			continue;
		if (vm_command(name, verbs[i].command, &why) < 0)
			console_printf("vm %s: %s: %s\n", verb, name, why);
		else
			console_printf("vm %s: %s: done\n", verb, name);
		return;
	}
	console_printf("vm: no command \"%s\": \"help\" lists them\n", verb);
}

static void run_vm(char **args, unsigned count)
{
	if (count == 1 && strcmp(args[0], "list") == 0)
		vm_list();
	else if (count == 1)
		console_printf("vm: which VM? \"vm list\" shows them\n");
	else if (strcmp(args[0], "exits") == 0)
		vm_show_exits(args[1]);
	else if (strcmp(args[0], "dump") != 0)
		vm_change(args[0], args[1]);
	else if (vm_dump(args[1], vcpu_is_off) < 0)
		console_printf("vm dump: %s does not run\n", args[1]);
}

/* A decimal number, not more than `most`; 0: none. */
static unsigned number(const char *text, unsigned most)
{
	unsigned n = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		n = n > most ? n : n * 10 + (unsigned)(*text - '0');
	if (*text)
		return 0;
	return n < most ? n : most;
}

static void run_log(char **args, unsigned count)
{
	static char text[LOG_BYTES];
	unsigned lines = count ? number(args[0], LOG_BYTES) : LOG_LINES;

	if (count && strcmp(args[0], "died") == 0) {
		if (!last_boot_answer())
			console_printf(
				"log: the boot before this one did not die, or left no log\n");
	} else if (lines == 0)
		console_printf("log: how many lines? \"%s\" is no number above 0\n", args[0]);
	else
		console_write(text, log_last(lines, text, sizeof(text)));
}

static void run_reset(char **args, unsigned count)
{
	(void)args;
	(void)count;
	log_printf("reset: by the user");
	log_set_orderly(true);
	console_flush(CONSOLE_ALL);
	machine_reset();
}

static void run_pci(char **args, unsigned count)
{
	char line[128];

	(void)args;
	(void)count;
	for (unsigned i = 0; platform->host_device(i, line, sizeof(line)); i++)
		console_printf("%s\n", line);
}

static void run_help(char **args, unsigned count)
{
	if (count && strcmp(args[0], "stat") == 0) {
		stat_help();
		return;
	}
	if (count && strcmp(args[0], "set") == 0) {
		set_help();
		return;
	}
	for (const struct command *c = commands; c->name; c++)
		console_printf("%-22s %s\n", c->usage, c->help);
	console_printf("Ctrl-] shows the next console: of each VM, then the log again\n");
}

/* Usage of one command in several rows: only the first is found. */
static const struct command commands[] = {
	{ "help", "help [stat|set]", "this list, or what counters or policies mean", 0, 1,
	  run_help },
	{ "vm", "vm list", "the VMs and their states, and the free memory", 1, 2, run_vm },
	{ "vm", "vm start VM", "make and start it, from the same images", 1, 2, run_vm },
	{ "vm", "vm stop VM", "end it at once, as if its power were cut", 1, 2, run_vm },
	{ "vm", "vm restart VM", "stop it, and start it again", 1, 2, run_vm },
	{ "vm", "vm pause VM", "its vCPUs do not run until it is resumed", 1, 2, run_vm },
	{ "vm", "vm resume VM", "let it go on", 1, 2, run_vm },
	{ "vm", "vm exits VM", "its VM exits, by what they were for", 1, 2, run_vm },
	{ "vm", "vm dump VM", "the registers of its vCPUs, into the log", 1, 2, run_vm },
	{ "port", "port [VM/NODE]", "the switches' ports, or the offloads of one", 0, 2, run_port },
	{ "port", "port VM/NODE up|down", "its link", 1, 2, run_port },
	{ "fdb", "fdb", "the addresses the switches have learned", 0, 0, run_fdb },
	{ "stat", "stat [VM/NODE]", "all counters of a port, or of all together", 0, 1, run_stat },
	{ "set", "set [POLICY VALUE]", "the switches' policies, or change one", 0, 2, run_set },
	{ "pci", "pci", "the machine's PCI functions, for passthrough nodes", 0, 0, run_pci },
	{ "log", "log [N]", "the last N lines of the log, else 20", 0, 1, run_log },
	{ "log", "log died", "the last lines of the boot before, if it died", 0, 1, run_log },
	{ "reset", "reset", "restart the machine; its VMs lose their power", 0, 0, run_reset },
	{ NULL, NULL, NULL, 0, 0, NULL },
};

/* Cuts the line at spaces; MAX_WORDS + 1: there are more than that. */
static unsigned split(char *line, char *words[MAX_WORDS])
{
	unsigned count = 0;

	for (char *p = line; *p; p++) {
		if (*p == ' ') {
			*p = '\0';
		} else if (p == line || p[-1] == '\0') {
			if (count == MAX_WORDS)
				return count + 1;
			words[count++] = p;
		}
	}
	return count;
}

void shell_run(char *line)
{
	char *words[MAX_WORDS];
	unsigned count = split(line, words);

	if (count == 0)
		return;
	for (const struct command *c = commands; c->name; c++) {
		if (strcmp(c->name, words[0]) != 0)
			continue;
		if (count - 1 < c->least || count - 1 > c->most)
			console_printf("%s: wrong number of words: \"help\" shows how\n", c->name);
		else
			c->run(words + 1, count - 1);
		return;
	}
	console_printf("no command \"%s\": \"help\" lists them\n", words[0]);
}
