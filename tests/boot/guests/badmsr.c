/* SPDX-License-Identifier: BSD-2-Clause */
/* Do MSRs that no CPU of ours has answer with #GP, for reading and writing, and nothing else? */
#include "guest/lib/cpu.h"
#include "guest/lib/runtime.h"
#include "guest/lib/trap.h"
#include "tests/boot/guests/check.h"

enum { MSR_VMX_BASIC = 0x480 };
#define MSR_VM_HSAVE_PA 0xc0010117u
#define MSR_EFER	0xc0000080u
#define EFER_SVME	(1u << 12)

static const uint32_t reserved[] = { 0x5,	 0x2ff0,     0xffff,	 0x12345678, 0x40000105,
				     0x7fffffff, 0xbfffffff, 0xc0002fff, 0xc0ffffff, 0xffffffff };

static int try_read(uint32_t msr)
{
	TRAP_TRY("rdmsr", : : "c"(msr) : "rax", "rdx", "r11", "memory");
	return trap_vector;
}

static int try_write(uint32_t msr, uint64_t value)
{
	TRAP_TRY("wrmsr",
		 :
		 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
		 : "r11", "memory");
	return trap_vector;
}

int guest_main(void)
{
	unsigned faults = 0;

	for (unsigned i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		bool ok = try_read(reserved[i]) == TRAP_GP && !trap_error;

		faults += ok;
		if (!ok)
			print("badmsr: reading %x: vector %d\n", reserved[i], trap_vector);
		ok = try_write(reserved[i], 0x123456789abcdef0ull) == TRAP_GP && !trap_error;
		faults += ok;
		if (!ok)
			print("badmsr: writing %x: vector %d\n", reserved[i], trap_vector);
	}
	print("badmsr: %u of %zu accesses raised #GP(0)\n", faults,
	      2 * sizeof(reserved) / sizeof(reserved[0]));
	check(faults == 2 * sizeof(reserved) / sizeof(reserved[0]), "reserved",
	      "reading and writing reserved MSRs is #GP(0)");
	check(try_read(MSR_VMX_BASIC) == TRAP_GP, "vmx", "no VMX capability MSR");
	check(try_write(MSR_VM_HSAVE_PA, 0x1000) == TRAP_GP, "svm-hsave", "no SVM host save area");
	check(try_write(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME) == TRAP_GP, "svme",
	      "EFER.SVME cannot be set");
	check(!(rdmsr(MSR_EFER) & EFER_SVME), "svme-clear", "EFER.SVME reads 0");
	check(try_write(MSR_EFER, rdmsr(MSR_EFER) | 1ull << 40) == TRAP_GP, "efer",
	      "EFER's reserved bits are #GP");
	check(try_read(MSR_EFER) == -1, "good", "an MSR that is there raises nothing");
	return check_status();
}
