/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The self-test of the Bochs test bed: a UEFI application that scripts/setup boots once on each
 * repaired copy. It answers on port 0xE9 whether a 64-bit division is right (the first of the
 * repaired faults) and the CPU offers VMX, and switches the machine off.
 */
#include <efi.h>

#define CPUID1_ECX_VMX (1u << 5)

static void out8(UINT16 port, UINT8 value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void say(const char *text)
{
	while (*text)
		out8(0xe9, (UINT8)*text++);
}

/* An unrepaired Bochs divides garbage here, mostly into a divide error. */
static int division_works(void)
{
	INT64 low = -1000000007LL * 77 - 5, high = -1, quotient, remainder;

	__asm__ volatile("idivq %4"
			 : "=a"(quotient), "=d"(remainder)
			 : "a"(low), "d"(high), "r"((INT64)77));
	return quotient == -1000000007LL && remainder == -5;
}

static int has_vmx(void)
{
	UINT32 eax = 1, ebx, ecx = 0, edx;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return (ecx & CPUID1_ECX_VMX) != 0;
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	(void)image;
	(void)table;
	say(division_works() && has_vmx() ? "\nselftest ok\n" : "\nselftest failed\n");
	for (const char *c = "Shutdown"; *c; c++)
		out8(0x8900, (UINT8)*c);
	for (;;)
		__asm__ volatile("hlt");
}
