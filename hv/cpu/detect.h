/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What this CPU offers for virtualisation. Pure look-ups (CPUID, read-only MSRs): the loader calls
 * detect_cpu() before it leaves the firmware, the core on every CPU. hv/cpu/detect.c asks the two
 * backends' detect.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum cpu_backend { BACKEND_NONE, BACKEND_VMX, BACKEND_SVM };

struct detect_result {
	enum cpu_backend backend;
	char missing
		[200]; /* "" if usable; else one sentence: what is missing, where it is switched on */
};

/* True and the backend if this CPU can run lasthop, else false and the sentence. */
bool detect_cpu(struct detect_result *result);

/* One backend each. Called only if the CPU's CPUID shows VMX (1:ECX[5]) resp. SVM
 * (8000_0001h:ECX[2]). Writes the sentence and returns false if something required is missing.
 * A FEATURE_CONTROL MSR that is not locked counts as usable (the core locks it). */
bool vmx_detect(char *missing, size_t room);
bool svm_detect(char *missing, size_t room);
