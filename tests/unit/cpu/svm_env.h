/* SPDX-License-Identifier: BSD-2-Clause */
/* A vCPU of the SVM backend without a processor, for the tests of svm_exit and svm_moves. */
#pragma once

#include "hv/core/pmm.h"
#include "hv/cpu/svm/svm_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct svm_machine svm;
static struct vmcb vmcb, entered;
static struct vm vm;
static struct svm_vcpu vcpu;
static uint8_t code[16];
static unsigned code_bytes;
static uint8_t maps[IOPM_BYTES + MSRPM_BYTES];

/* The addresses of entry.S that tell a refused entry from an exit. */
__asm__(".text; .globl svm_run, svm_run_end; svm_run: .skip 16; svm_run_end: ret");

unsigned guest_fetch(struct vcpu *v, uint8_t out[15])
{
	(void)v;
	memcpy(out, code, code_bytes);
	return code_bytes;
}

void panic(const char *fmt, ...)
{
	fail_msg("panic: %s", fmt);
	abort();
}

static void begin(void)
{
	svm = (struct svm_machine){ .asids = 16,
				    .rdtscp = true,
				    .iopm = maps,
				    .msrpm = maps + IOPM_BYTES,
				    .limits = { 0x7ff, EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE,
						BIT(40) - 1 } };
	memset(&vcpu, 0, sizeof(vcpu));
	vcpu.vcpu.vm = &vm;
	vcpu.vmcb = &vmcb;
	vcpu.entered = &entered;
	svm_vmcb_reset(&vcpu);
	vmcb.save.rip = 0x1000;
	vmcb.save.efer |= EFER_LME | EFER_LMA;
	vmcb.save.cs.attrib = 0xa9b;
	memset(code, 0x90, sizeof(code));
	code_bytes = 15;
}

static struct vmexit exit_of(uint64_t exit_code, uint64_t info1, uint64_t info2)
{
	struct vmexit exit = { .kind = VMEXIT_FAILED };

	vmcb.ctl.exit_code = exit_code;
	vmcb.ctl.exit_info1 = info1;
	vmcb.ctl.exit_info2 = info2;
	svm_exit(&vcpu, &exit);
	return exit;
}
