/* SPDX-License-Identifier: BSD-2-Clause */
/* Chooses the backend by what CPUID shows, and asks it whether all it needs is there. */
#include "hv/cpu/detect.h"

#include <string.h>

#include "hv/cpu/x86.h"

#define CPUID1_ECX_VMX	      BIT(5)
#define CPUID80000001_ECX_SVM BIT(2)

bool detect_cpu(struct detect_result *result)
{
	static const char neither[] = "this CPU offers neither VT-x nor SVM (AMD-V): switch on "
				      "\"Virtualization Technology\" "
				      "or \"SVM Mode\" in the firmware set-up, or nested "
				      "virtualisation in the outer hypervisor";

	memset(result, 0, sizeof(*result));
	if (cpuid(1, 0).ecx & CPUID1_ECX_VMX) {
		if (!vmx_detect(result->missing, sizeof(result->missing)))
			return false;
		result->backend = BACKEND_VMX;
		return true;
	}
	if (cpuid(0x80000000, 0).eax >= 0x80000001 &&
	    cpuid(0x80000001, 0).ecx & CPUID80000001_ECX_SVM) {
		if (!svm_detect(result->missing, sizeof(result->missing)))
			return false;
		result->backend = BACKEND_SVM;
		return true;
	}
	memcpy(result->missing, neither, sizeof(neither));
	return false;
}
