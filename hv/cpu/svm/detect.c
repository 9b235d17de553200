/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether this CPU's SVM is usable (APM 2, "Enabling SVM"). Pure: CPUID and one read-only look at
 * VM_CR; compiled into the loader, which refuses before it leaves the firmware, and into the core.
 */
#include "hv/cpu/detect.h"

#include <string.h>

#include "hv/cpu/svm/features.h"

/* Each sentence: what is missing, and where it is usually switched on. */
static const char *missing_feature(void)
{
	struct cpuid_regs leaf;

	if (cpuid(0x80000000, 0).eax < CPUID_SVM_LEAF)
		return "this CPU names SVM but not its features (CPUID 8000_000Ah): switch on "
		       "nested "
		       "virtualisation in the outer hypervisor, or take a newer CPU";
	leaf = cpuid(CPUID_SVM_LEAF, 0);
	if (rdmsr(MSR_VM_CR) & VM_CR_SVMDIS) {
		if (leaf.edx & SVM_EDX_LOCK)
			return "SVM (AMD-V) is locked off by the firmware: switch on \"SVM Mode\" "
			       "in "
			       "the firmware set-up (often under CPU or Overclocking)";
		return "SVM (AMD-V) is disabled by the firmware for good on this CPU: look for "
		       "\"SVM Mode\" in the firmware set-up or for a firmware update";
	}
	if (!(leaf.edx & SVM_EDX_NP))
		return "nested paging (NPT) is missing: it comes with every AMD CPU since 2008; in "
		       "a virtual machine switch on nested paging in the outer hypervisor";
	if (SVM_EBX_ASIDS(leaf.ebx) < 2)
		return "SVM offers no address space identifier (ASID) for guests: update the "
		       "firmware or the outer hypervisor";
	return NULL;
}

bool svm_detect(char *missing, size_t room)
{
	const char *sentence = missing_feature();
	size_t length;

	if (!sentence)
		return true;
	length = strlen(sentence);
	if (room == 0)
		return false;
	if (length > room - 1)
		length = room - 1;
	memcpy(missing, sentence, length);
	missing[length] = '\0';
	return false;
}

void svm_features(const struct cpuid_regs *leaf, bool known, uint64_t vm_cr, feature_fn *report,
		  void *context)
{
	static const struct {
		uint64_t bit;
		bool required;
		const char *name;
	} wanted[] = {
		{ SVM_EDX_NP, true, "nested paging (NPT)" },
		{ SVM_EDX_NRIP, false, "address of the next instruction at exits (NRIP)" },
		{ SVM_EDX_DECODE, false, "decode assists" },
		{ SVM_EDX_PAUSE, false, "PAUSE filter" },
		{ SVM_EDX_PAUSE_LIMIT, false, "PAUSE filter threshold" },
	};
	const char *const part = "SVM";

	report(context, part, "", "not disabled by the firmware",
	       known ? feature_state(!(vm_cr & VM_CR_SVMDIS), true) : FEATURE_UNKNOWN);
	report(context, part, "", "address space identifiers (ASID) for guests",
	       feature_state(SVM_EBX_ASIDS(leaf->ebx) >= 2, true));
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		report(context, part, "", wanted[i].name,
		       feature_state(leaf->edx & wanted[i].bit, wanted[i].required));
}
