/* SPDX-License-Identifier: BSD-2-Clause */
/* Does a guest come up, print and end? Boot argument: name=NAME. */
#include "guest/lib/args.h"
#include "guest/lib/clock.h"
#include "guest/lib/print.h"
#include "guest/lib/runtime.h"
#include "guest/lib/string.h"
#include "tests/boot/guests/check.h"

static void print_signature(const char *what, uint32_t a, uint32_t b, uint32_t c, uint32_t max)
{
	char text[13] = { 0 };

	memcpy(text, &a, 4);
	memcpy(text + 4, &b, 4);
	memcpy(text + 8, &c, 4);
	print("%s: \"%s\", maximum leaf %x\n", what, text, max);
}

static void print_memory(void)
{
	struct hvm_memmap_entry entry;

	for (unsigned i = 0; guest_memory(i, &entry); i++)
		print("memory: %012lx + %lx type %u\n", entry.address, entry.bytes, entry.type);
}

int guest_main(void)
{
	struct cpuid r = cpuid(0, 0);
	char name[32];

	print_signature("cpu", r.ebx, r.edx, r.ecx, r.eax);
	if (cpuid(1, 0).ecx >> 31) {
		r = cpuid(0x40000000, 0);
		print_signature("hypervisor", r.ebx, r.ecx, r.edx, r.eax);
	}
	print("tsc: %lu kHz (%s)\n", clock_tsc_khz(), clock_source());
	print_memory();
	if (!args_string(guest_cmdline(), "name", name, sizeof(name)))
		memcpy(name, "guest", 6);
	print("hello from %s\n", name);
	check(guest_rsdp() != 0, "rsdp", "start_info names the ACPI tables");
	return check_status();
}
