/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: does the difference of two configs name each change, with what the parser's table says that it
 * asks for, and do VMs and switches keep their places? Of every property of the table one change is tried:
 * one without a value here, or without a text in config_diff.c, fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hv/core/config_diff.h"
#include "tests/unit/core/dtc.h"

static struct config now, next, placed;
static struct config_change told[64];
static unsigned told_count;
static struct config_plan plan;
static const char *other_image; /* has another content */

static void tell(void *context, const struct config_change *change)
{
	(void)context;
	assert_true(told_count < 64);
	assert_non_null(memchr(change->from, 0, sizeof(change->from)));
	assert_non_null(memchr(change->to, 0, sizeof(change->to)));
	told[told_count++] = *change;
}

static bool is_other(void *context, const char *name)
{
	(void)context;
	return other_image && !strcmp(name, other_image);
}

static void diff(void)
{
	told_count = 0;
	config_place(&now, &next, &placed);
	config_diff(&now, &placed, is_other, tell, NULL, &plan);
	assert_int_equal(plan.changes, told_count);
}

static void wrong(void *context, const struct config_error *error)
{
	(void)context;
	fprintf(stderr, "%s %s: %s\n", error->node, error->property, error->text);
}

/* A source through dtc. */
static void parse(const char *source, struct config *config)
{
	static uint8_t blob[DTC_BLOB];
	size_t bytes = dtc_compile(source, blob);

	if (config_parse(blob, bytes, config, wrong, NULL))
		fail_msg("%s", source);
}

#define VM "memory-mib = <8>; kernel = \"k\"; role = \"driver-domain\";"

/* What is put into the nodes of a config that has one of each kind. */
struct pieces {
	const char *policy, *vm, *net, *passthrough;
};

static void build(const struct pieces *p, struct config *config)
{
	char source[4096];

	snprintf(source, sizeof(source),
		 "/dts-v1/; / { compatible = \"lasthop,config-1\";"
		 "lan: lan { compatible = \"lasthop,switch\"; };"
		 "wan: wan { compatible = \"lasthop,switch\"; };"
		 "policy { %s };"
		 "vms { a { compatible = \"lasthop,vm\"; %s"
		 "net0 { compatible = \"lasthop,net\"; %s };"
		 "nic { compatible = \"lasthop,passthrough\"; %s }; };"
		 "netd { compatible = \"lasthop,vm\"; " VM
		 "up0 { compatible = \"lasthop,net\"; switch = <&lan>; uplink; }; }; }; };",
		 p->policy, p->vm, p->net, p->passthrough);
	parse(source, config);
}

#define NET  "switch = <&lan>;"
#define PASS "pci-id = <0x8086 0x10d3>;"

/* Two values of each property, and how they read; "": it is the VM's, but not there. */
static const struct trial {
	const char *node, *property, *first, *second, *from, *to;
} trials[] = {
	{ "policy", "batching", "", "batching = \"off\";", "on", "off" },
	{ "policy", "preemptive-copy", "", "preemptive-copy = \"off\";", "on", "off" },
	{ "policy", "immediate-notification", "", "immediate-notification = \"off\";", "on",
	  "off" },
	{ "policy", "offload", "", "offload = \"off\";", "on", "off" },
	{ "policy", "polling", "", "polling = \"off\";", "on", "off" },
	{ "policy", "steering", "", "steering = \"off\";", "on", "off" },
	{ "policy", "copy", "copy = \"rep\";", "copy = \"moves\";", "rep", "moves" },
	{ "policy", "buffer-reuse", "", "buffer-reuse = \"on\";", "off", "on" },
	{ "policy", "batch-packets", "", "batch-packets = <8>;", "64", "8" },
	{ "policy", "batch-bytes", "", "batch-bytes = <2000>;", "65536", "2000" },
	{ "policy", "poll-us", "poll-us = <50>;", "poll-us = <60>;", "50", "60" },
	{ "policy", "lag-us", "lag-us = <50>;", "lag-us = <60>;", "50", "60" },
	{ "vm", "cpus", VM, VM "cpus = <2>;", "1", "2" },
	{ "vm", "cpu-affinity", VM "cpu-affinity = <3 1>;", VM "cpu-affinity = <1 255>;", "1 3",
	  "1 255" },
	{ "vm", "memory-mib", VM, "memory-mib = <9>; kernel = \"k\"; role = \"driver-domain\";",
	  "8", "9" },
	{ "vm", "kernel", VM, "memory-mib = <8>; kernel = \"l\"; role = \"driver-domain\";", "k",
	  "l" },
	{ "vm", "initrd", VM, VM "initrd = \"i\";", "", "i" },
	{ "vm", "bootargs", VM "bootargs = \"a b\";", VM "bootargs = \"a c\";", "a b", "a c" },
	{ "vm", "console", VM, VM "console = \"virtio\";", "serial", "virtio" },
	{ "vm", "apicv", VM, VM "apicv = \"off\";", "auto", "off" },
	{ "vm", "no-fast-strings", VM, VM "no-fast-strings;", "no", "yes" },
	{ "vm", "status", VM "status = \"okay\";", VM "status = \"disabled\";", "okay",
	  "disabled" },
	{ "vm", "role", "memory-mib = <8>; kernel = \"k\"; role = \"guest\";", VM, "guest",
	  "driver-domain" },
	{ "vm", "allow-unsafe-dma", VM, VM "allow-unsafe-dma;", "no", "yes" },
	{ "net", "switch", NET, "switch = <&wan>;", "lan", "wan" },
	{ "net", "local-mac-address", NET "local-mac-address = [52 54 00 00 00 01];",
	  NET "local-mac-address = [52 54 00 00 00 a2];", "52:54:00:00:00:01",
	  "52:54:00:00:00:a2" },
	{ "net", "max-frame-size", NET, NET "max-frame-size = <9000>;", "1500", "9000" },
	{ "net", "queue-pairs", NET, NET "queue-pairs = <3>;", "1", "3" },
	{ "net", "uplink", NET, NET "uplink;", "no", "yes" },
	{ "net", "link-follows-uplink", NET, NET "link-follows-uplink;", "no", "yes" },
	{ "passthrough", "pci-id", PASS, "pci-id = <0x8086 0x100e>;", "8086:10d3", "8086:100e" },
	{ "passthrough", "pci-address", "pci-address = \"00:03.0\";", "pci-address = \"01:1f.7\";",
	  "0:3.0", "1:1f.7" },
	{ "passthrough", "interrupt-gsi", PASS, PASS "interrupt-gsi = <11>;", "", "11" },
};
#define TRIALS (sizeof(trials) / sizeof(trials[0]))

static const struct trial *trial_of(const struct config_property *p)
{
	for (size_t i = 0; i < TRIALS; i++)
		if (!strcmp(trials[i].node, p->node) && !strcmp(trials[i].property, p->name))
			return &trials[i];
	return NULL;
}

static void put(struct pieces *p, const struct trial *t, const char *text)
{
	*p = (struct pieces){ "", VM, NET, PASS };
	if (!strcmp(t->node, "policy"))
		p->policy = text;
	else if (!strcmp(t->node, "vm"))
		p->vm = text;
	else if (!strcmp(t->node, "net"))
		p->net = text;
	else
		p->passthrough = text;
}

static void try_property(const struct config_property *p, const struct trial *t)
{
	struct pieces pieces;
	enum config_step step;

	put(&pieces, t, t->first);
	build(&pieces, &now);
	next = now;
	diff();
	assert_int_equal(plan.changes, 0);
	assert_int_equal(plan.vms[0], CONFIG_KEEP);
	put(&pieces, t, t->second);
	build(&pieces, &next);
	diff();
	if (told_count != 1 || strcmp(told[0].property, p->name) || strcmp(told[0].from, t->from) ||
	    strcmp(told[0].to, t->to))
		fail_msg("%s %s: %u changes: %s: \"%s\" -> \"%s\"", p->node, p->name, told_count,
			 told[0].property, told[0].from, told[0].to);
	assert_int_equal(told[0].kind, CONFIG_CHANGED);
	assert_int_equal(told[0].effect, p->effect);
	assert_int_equal(plan.refused, p->effect == CONFIG_BOOT);
	step = strcmp(p->node, "policy") ? CONFIG_RENEW : CONFIG_KEEP;
	assert_int_equal(plan.vms[0], step);
	assert_int_equal(plan.policies, step == CONFIG_KEEP);
}

static void every_property(void **state)
{
	struct config_property p;
	size_t tried = 0;

	(void)state;
	for (size_t i = 0; config_property_at(i, &p); i++) {
		const struct trial *t = trial_of(&p);

		if (p.effect == CONFIG_NEVER) {
			assert_string_equal(p.name, "compatible");
			continue;
		}
		if (!t)
			fail_msg("%s %s: no trial here", p.node, p.name);
		try_property(&p, t);
		tried++;
	}
	assert_int_equal(tried, TRIALS);
}

#define HEAD	     "/dts-v1/; / { compatible = \"lasthop,config-1\";"
#define SWITCH(name) #name ": " #name " { compatible = \"lasthop,switch\"; };"
#define NODE(name, sw, more)                                                                       \
#name " { compatible = \"lasthop,vm\"; memory-mib = <8>; kernel = \"k\"; " more            \
	      "net0 { compatible = \"lasthop,net\"; switch = <&" #sw ">; }; };"

static const struct config_change *change_of(const char *node)
{
	for (unsigned i = 0; i < told_count; i++)
		if (!strcmp(told[i].node, node))
			return &told[i];
	fail_msg("nothing told of %s", node);
	return NULL;
}

static void places_stay(void **state)
{
	const struct config_change *c;

	(void)state;
	parse(HEAD SWITCH(s0) SWITCH(s1) "vms {" NODE(a, s0, "") NODE(b, s1, "")
		      NODE(c, s1, "") "}; };",
	      &now);
	/* another order, one less, one more, another switch for the new one and the last */
	parse(HEAD SWITCH(s2) SWITCH(s1) "vms {" NODE(d, s2, "") NODE(c, s1, "")
		      NODE(b, s1, "") "}; };",
	      &next);
	diff();
	assert_string_equal(placed.vms[1].name, "b");
	assert_string_equal(placed.vms[2].name, "c");
	assert_string_equal(placed.vms[3].name, "d");
	assert_false(config_vm_there(&placed.vms[0]));
	assert_int_equal(placed.vm_count, 4);
	assert_string_equal(placed.switches[1].name, "s1");
	assert_string_equal(placed.switches[2].name, "s2");
	assert_int_equal(placed.vms[1].nets[0].switch_index, 1);
	assert_int_equal(placed.vms[3].nets[0].switch_index, 2);
	assert_int_equal(told_count, 4);
	c = change_of("/vms/a");
	assert_int_equal(c->kind, CONFIG_REMOVED);
	assert_int_equal(c->effect, CONFIG_POWER);
	assert_string_equal(c->from, "1 vCPU, 8 MiB");
	assert_int_equal(change_of("/vms/d")->kind, CONFIG_ADDED);
	assert_int_equal(change_of("/s0")->kind, CONFIG_REMOVED);
	assert_int_equal(change_of("/s2")->effect, CONFIG_LIVE);
	const uint8_t vms[] = { CONFIG_REMOVE, CONFIG_KEEP, CONFIG_KEEP, CONFIG_ADD };
	assert_memory_equal(plan.vms, vms, sizeof(vms));
	const uint8_t sw[] = { CONFIG_REMOVE, CONFIG_KEEP, CONFIG_ADD };
	assert_memory_equal(plan.switches, sw, sizeof(sw));

	/* and back: the free places are taken, and nothing differs then */
	now = placed;
	parse(HEAD SWITCH(s1) SWITCH(s2) SWITCH(s3) "vms {" NODE(b, s1, "") NODE(c, s1, "")
		      NODE(d, s2, "") NODE(e, s3, "") "}; };",
	      &next);
	diff();
	assert_string_equal(placed.vms[0].name, "e");
	assert_string_equal(placed.switches[0].name, "s3");
	assert_int_equal(told_count, 2);
	now = placed;
	diff();
	assert_int_equal(told_count, 0);
}

/* With all places taken, one that goes is reused. */
static void full(void **state)
{
	(void)state;
	memset(&now, 0, sizeof(now));
	now.vm_count = CONFIG_MAX_VMS;
	now.switch_count = CONFIG_MAX_SWITCHES;
	for (unsigned i = 0; i < CONFIG_MAX_VMS; i++)
		snprintf(now.vms[i].name, sizeof(now.vms[i].name), "vm%u", i);
	for (unsigned i = 0; i < CONFIG_MAX_SWITCHES; i++)
		snprintf(now.switches[i].name, sizeof(now.switches[i].name), "sw%u", i);
	next = now;
	strcpy(next.vms[0].name, "last");
	strcpy(next.vms[63].name, "vm7"); /* vm7 is named twice by no parser: two others go */
	strcpy(next.vms[7].name, "first");
	strcpy(next.switches[15].name, "new");
	diff();
	assert_string_equal(placed.vms[0].name, "last");
	assert_string_equal(placed.vms[7].name, "vm7");
	assert_string_equal(placed.vms[63].name, "first");
	assert_int_equal(plan.vms[0], CONFIG_RENEW);
	assert_int_equal(plan.vms[7], CONFIG_KEEP);
	assert_int_equal(plan.vms[63], CONFIG_RENEW);
	assert_int_equal(plan.switches[15], CONFIG_RENEW);
	assert_int_equal(plan.switches[14], CONFIG_KEEP);
}

#define NETS(vm)                                                                                   \
	HEAD SWITCH(                                                                               \
		s) "vms { a { compatible = \"lasthop,vm\"; memory-mib = <8>; kernel = \"k\";" vm   \
		   "}; }; };"
#define PORT(name) #name " { compatible = \"lasthop,net\"; switch = <&s>; };"

static void ports(void **state)
{
	(void)state;
	parse(NETS(PORT(x) PORT(y)), &now);
	parse(NETS(PORT(y) PORT(x)), &next);
	diff();
	assert_int_equal(told_count, 1);
	assert_string_equal(told[0].node, "/vms/a");
	assert_int_equal(told[0].effect, CONFIG_RESTART);
	parse(NETS(PORT(y) PORT(z)), &next);
	diff();
	assert_int_equal(told_count, 2);
	assert_int_equal(change_of("/vms/a/x")->kind, CONFIG_REMOVED);
	assert_int_equal(change_of("/vms/a/z")->kind, CONFIG_ADDED);
	assert_string_equal(change_of("/vms/a/z")->to, "s");
	assert_int_equal(plan.vms[0], CONFIG_RENEW);
}

/* The same name is not the same file. */
static void images(void **state)
{
	(void)state;
	parse(HEAD SWITCH(s) "vms {" NODE(a, s, "initrd = \"i\";") NODE(b, s, "") "}; };", &now);
	next = now;
	other_image = "i";
	diff();
	other_image = NULL;
	assert_int_equal(told_count, 1);
	assert_string_equal(told[0].node, "/vms/a");
	assert_string_equal(told[0].property, "initrd");
	assert_string_equal(told[0].to, "another i");
	assert_int_equal(plan.vms[1], CONFIG_KEEP);
}

/* Devices of the machine stay where they are. */
static void devices(void **state)
{
	struct pieces p = { "", VM, NET, PASS };

	(void)state;
	build(&p, &now);
	next = now;
	next.vms[0].passthrough_count = 0;
	diff();
	assert_int_equal(plan.refused, 1);
	assert_int_equal(change_of("/vms/a/nic")->kind, CONFIG_REMOVED);
	next = now;
	next.vm_count = 0;
	memset(next.vms, 0, sizeof(next.vms));
	diff();
	assert_int_equal(plan.refused, 1);
	assert_int_equal(plan.vms[0], CONFIG_REMOVE);
	p.vm = VM "bootargs = \"x\";";
	build(&p, &next);
	diff();
	assert_int_equal(plan.refused, 0);
	assert_int_equal(plan.vms[0], CONFIG_RENEW);
}

static void long_values(void **state)
{
	(void)state;
	parse(NETS(""), &now);
	next = now;
	memset(next.vms[0].bootargs, 'x', CONFIG_MAX_BOOTARGS);
	diff();
	assert_int_equal(strlen(told[0].to), CONFIG_CHANGE_TEXT - 1);
	assert_string_equal(told[0].to + CONFIG_CHANGE_TEXT - 4, "x..");
	now = next;
	next.vms[0].bootargs[CONFIG_MAX_BOOTARGS - 1] = 'y';
	diff();
	assert_int_equal(told_count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_property), cmocka_unit_test(places_stay),
		cmocka_unit_test(full),		  cmocka_unit_test(ports),
		cmocka_unit_test(images),	  cmocka_unit_test(devices),
		cmocka_unit_test(long_values),
	};

	return cmocka_run_group_tests_name("config_diff", tests, NULL, NULL);
}
