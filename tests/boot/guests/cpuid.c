/* SPDX-License-Identifier: BSD-2-Clause */
/* Does CPUID say what a guest can rely on, and hide what it cannot have? */
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/runtime.h"
#include "guest/lib/string.h"
#include "guest/lib/trap.h"
#include "lasthop/hypercall.h"
#include "tests/boot/guests/check.h"

enum {
	ECX1_MONITOR = 1u << 3,
	ECX1_VMX = 1u << 5,
	ECX1_X2APIC = 1u << 21,
	ECX1_OSXSAVE = 1u << 27,
	ECX1_HYPERVISOR = 1u << 31,
	EDX1_TSC = 1u << 4,
	EDX1_MSR = 1u << 5,
	EDX1_APIC = 1u << 9,
	ECX8_SVM = 1u << 2,
	EDX8_LONG = 1u << 29,
	EDX8_NX = 1u << 20,
	EAX6_ARAT = 1u << 2,
	EDX8_INVARIANT_TSC = 1u << 8,
};

static bool signature(const struct cpuid *r, const char *wanted)
{
	char text[13] = { 0 };

	memcpy(text, &r->ebx, 4);
	memcpy(text + 4, &r->ecx, 4);
	memcpy(text + 8, &r->edx, 4);
	return !strcmp(text, wanted);
}

static void check_hidden(void)
{
	struct cpuid one = cpuid(1, 0), eight = cpuid(0x80000001, 0);

	check(!(one.ecx & ECX1_VMX), "vmx", "VMX is hidden");
	check(!(eight.ecx & ECX8_SVM), "svm", "SVM is hidden");
	check(!(one.ecx & ECX1_MONITOR), "monitor", "MONITOR/MWAIT is hidden");
	TRAP_TRY("vmxoff", : : : "r11", "memory");
	check(trap_vector == TRAP_UD, "vmxoff", "VMXOFF is #UD");
	TRAP_TRY("vmsave", : : "a"(0) : "r11", "memory");
	check(trap_vector == TRAP_UD, "vmsave", "VMSAVE is #UD");
	TRAP_TRY("clgi", : : : "r11", "memory");
	check(trap_vector == TRAP_UD, "clgi", "CLGI is #UD");
}

static void check_present(void)
{
	struct cpuid one = cpuid(1, 0), eight = cpuid(0x80000001, 0);

	check(one.ecx & ECX1_X2APIC, "x2apic", "there is an x2APIC");
	check(one.edx & EDX1_TSC && one.edx & EDX1_MSR && one.edx & EDX1_APIC, "basic",
	      "TSC, MSRs and local APIC are there");
	check(eight.edx & EDX8_LONG, "long-mode", "there is long mode");
	check(eight.edx & EDX8_NX, "nx", "there is no-execute");
	check(cpuid(6, 0).eax & EAX6_ARAT, "arat", "the APIC timer never stops");
	check(cpuid(0x80000007, 0).edx & EDX8_INVARIANT_TSC, "invariant-tsc", "TSC is invariant");
	check(one.ebx >> 24 == 0, "apic-id", "the first CPU has APIC ID 0");
	check(cpuid(0, 0).eax >= 7, "leaves", "basic leaves go to 7 at least");
	check(cpuid(0x80000000, 0).eax >= 0x80000008, "extended",
	      "extended leaves go to 8 at least");
}

static void check_osxsave(void)
{
	uint64_t cr4;
	bool now;

	__asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
	now = cr4 >> 18 & 1;
	check(now == !!(cpuid(1, 0).ecx & ECX1_OSXSAVE), "osxsave",
	      "OSXSAVE mirrors this VM's CR4");
}

static void check_hypervisor(void)
{
	struct cpuid r = cpuid(0x40000000, 0);

	check(cpuid(1, 0).ecx & ECX1_HYPERVISOR, "hypervisor-bit", "the hypervisor bit is set");
	check(signature(&r, "KVMKVMKVM"), "kvm", "leaf 0x40000000 has KVM's signature");
	check(r.eax >= 0x40000010, "kvm-max", "its leaves go to 0x40000010 at least");
	r = cpuid(0x40000001, 0); /* clock sources, no I/O delay, EOI, stable clock */
	check(!(r.eax & ~0x0100004bu), "kvm-bits", "no KVM feature is offered that we do not have");
	r = cpuid(HC_CPUID_LEAF, 0);
	check(signature(&r, HC_SIGNATURE) && r.eax >= HC_VERSION, "lasthop",
	      "leaf 0x40000100 has our signature");
	check(cpuid(0x40000010, 0).eax == clock_tsc_khz() && clock_tsc_khz() > 1000, "tsc-khz",
	      "leaf 0x40000010 tells a TSC rate");
}

static void check_leaf_15(void)
{
	struct cpuid r = cpuid(0x15, 0);
	uint64_t khz;

	if (cpuid(0, 0).eax < 0x15 || !r.eax || !r.ecx) {
		skip("leaf-15", "this CPU has no leaf 15h");
		return;
	}
	khz = (uint64_t)r.ecx * r.ebx / r.eax / 1000;
	check(khz + 1 >= clock_tsc_khz() && khz <= clock_tsc_khz() + 1, "leaf-15",
	      "leaf 15h tells the same TSC rate");
}

/* A leaf beyond the maximum must not leak what the host has. Intel: as the highest basic leaf;
 * AMD: zeroes. Whichever: the same each time, and no crash. */
static void check_far_leaves(void)
{
	static const uint32_t far[] = { 0x1f00, 0x40ffffff, 0x7fffffff, 0x8fffffff, 0xffffffff };
	bool ok = true;

	for (unsigned i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
		struct cpuid a = cpuid(far[i], 0), b = cpuid(far[i], 0);

		ok &= !memcmp(&a, &b, sizeof(a));
	}
	check(ok, "far", "leaves beyond the last are answered");
}

int guest_main(void)
{
	check_present();
	check_hidden();
	check_osxsave();
	check_hypervisor();
	check_leaf_15();
	check_far_leaves();
	return check_status();
}
