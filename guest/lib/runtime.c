/* SPDX-License-Identifier: BSD-2-Clause */
/* From the entry code to guest_main() and to the end of the VM (see runtime.h). */
#include "guest/lib/runtime.h"

#include <stdarg.h>

#include "guest/lib/acpi.h"
#include "guest/lib/apic.h"
#include "guest/lib/clock.h"
#include "guest/lib/format.h"
#include "guest/lib/print.h"
#include "guest/lib/string.h"
#include "guest/lib/trap.h"
#include "lasthop/hypercall.h"

_Noreturn void runtime_start(const struct hvm_start_info *info);

static struct hvm_start_info start_info;
static char cmdline[2048];

static void copy_cmdline(const char *from)
{
	size_t i;

	for (i = 0; from && from[i] && i < sizeof(cmdline) - 1; i++)
		cmdline[i] = from[i];
	cmdline[i] = '\0';
}

_Noreturn void runtime_start(const struct hvm_start_info *info)
{
	uart_init();
	trap_init();
	if (info->magic != HVM_START_MAGIC)
		guest_fail("start_info at %p has the wrong magic number %x", (const void *)info,
			   info->magic);
	start_info = *info;
	copy_cmdline((const char *)(uintptr_t)info->cmdline);
	acpi_init(start_info.rsdp);
	lapic_init();
	clock_init();
	guest_end(guest_main());
}

const char *guest_cmdline(void)
{
	return cmdline;
}

uint64_t guest_rsdp(void)
{
	return start_info.rsdp;
}

bool guest_memory(unsigned i, struct hvm_memmap_entry *entry)
{
	const struct hvm_memmap_entry *map = (const void *)(uintptr_t)start_info.memmap;

	if (start_info.version < 1 || i >= start_info.memmap_entries)
		return false;
	*entry = map[i];
	return true;
}

bool cpu_is_amd(void)
{
	uint32_t ebx = cpuid(0, 0).ebx;

	return ebx == 0x68747541 || ebx == 0x6f677948; /* "Auth"enticAMD, "Hygo"nGenuine */
}

bool hypercall_present(void)
{
	struct cpuid r;
	char signature[13] = { 0 };

	if (!(cpuid(1, 0).ecx >> 31))
		return false;
	r = cpuid(HC_CPUID_LEAF, 0);
	memcpy(signature, &r.ebx, 4);
	memcpy(signature + 4, &r.ecx, 4);
	memcpy(signature + 8, &r.edx, 4);
	return !strcmp(signature, "lasthop") && r.eax >= HC_VERSION;
}

int64_t hypercall(uint64_t number, uint64_t rdi, uint64_t rsi)
{
	int64_t answer;

	if (!hypercall_present())
		return HC_EUNKNOWN;
	if (cpu_is_amd())
		__asm__ volatile("vmmcall"
				 : "=a"(answer)
				 : "a"(number), "D"(rdi), "S"(rsi)
				 : "memory");
	else
		__asm__ volatile("vmcall"
				 : "=a"(answer)
				 : "a"(number), "D"(rdi), "S"(rsi)
				 : "memory");
	return answer;
}

_Noreturn void guest_end(int status)
{
	if (!hypercall_present())
		print("guest: end %d\n", status);
	(void)hypercall(HC_END, status ? 1 : 0, 0);
	cpu_stop();
}

_Noreturn void guest_fail(const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	(void)format(text, sizeof(text), fmt, args);
	va_end(args);
	print("guest: %s\n", text);
	guest_end(1);
}
