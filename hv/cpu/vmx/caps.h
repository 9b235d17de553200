/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a CPU's VT-x can do, as its capability MSRs say (SDM 3D, appendix A "VMX Capability
 * Reporting Facility"), the execution controls (SDM 3C, "VM-Execution Control Fields" and after)
 * and which of them lasthop wants. detect.c has the tables; the loader contains that file too.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/cpu/feature.h"
#include "hv/cpu/x86.h"

/* IA32_FEATURE_CONTROL */
#define FEATURE_CONTROL_LOCK BIT(0)
#define FEATURE_CONTROL_VMX  BIT(2) /* VMXON outside of SMX */

/* IA32_VMX_BASIC */
#define VMX_BASIC_REVISION(v) ((uint32_t)(v)&0x7fffffffu)
#define VMX_BASIC_INS_OUTS    BIT(54)
#define VMX_BASIC_TRUE	      BIT(55)

/* IA32_VMX_EPT_VPID_CAP */
#define EPT_CAP_WALK_4		BIT(6)
#define EPT_CAP_WRITE_BACK	BIT(14)
#define EPT_CAP_2M		BIT(16)
#define EPT_CAP_1G		BIT(17)
#define EPT_CAP_INVEPT		BIT(20)
#define EPT_CAP_INVEPT_SINGLE	BIT(25)
#define EPT_CAP_INVEPT_ALL	BIT(26)
#define VPID_CAP_INVVPID	BIT(32)
#define VPID_CAP_INVVPID_SINGLE BIT(41)
#define VPID_CAP_INVVPID_ALL	BIT(42)

/* Pin-Based VM-Execution Controls */
#define PIN_EXTERNAL_INTERRUPT BIT(0)
#define PIN_NMI		       BIT(3)
#define PIN_VIRTUAL_NMI	       BIT(5)
#define PIN_PREEMPTION_TIMER   BIT(6)
#define PIN_POSTED_INTERRUPTS  BIT(7)

/* Primary Processor-Based VM-Execution Controls */
#define PROC_IRQ_WINDOW	 BIT(2)
#define PROC_TSC_OFFSET	 BIT(3)
#define PROC_HLT	 BIT(7)
#define PROC_INVLPG	 BIT(9)
#define PROC_MWAIT	 BIT(10)
#define PROC_RDPMC	 BIT(11)
#define PROC_RDTSC	 BIT(12)
#define PROC_CR3_LOAD	 BIT(15)
#define PROC_CR3_STORE	 BIT(16)
#define PROC_CR8_LOAD	 BIT(19)
#define PROC_CR8_STORE	 BIT(20)
#define PROC_TPR_SHADOW	 BIT(21)
#define PROC_NMI_WINDOW	 BIT(22)
#define PROC_MOV_DR	 BIT(23)
#define PROC_IO_BITMAPS	 BIT(25)
#define PROC_MSR_BITMAPS BIT(28)
#define PROC_MONITOR	 BIT(29)
#define PROC_PAUSE	 BIT(30)
#define PROC_SECONDARY	 BIT(31)

/* Secondary Processor-Based VM-Execution Controls */
#define PROC2_EPT	     BIT(1)
#define PROC2_RDTSCP	     BIT(3)
#define PROC2_X2APIC_MODE    BIT(4)
#define PROC2_VPID	     BIT(5)
#define PROC2_WBINVD	     BIT(6)
#define PROC2_UNRESTR	     BIT(7)
#define PROC2_APIC_REGISTERS BIT(8)
#define PROC2_VIRTUAL_IRQS   BIT(9)
#define PROC2_PAUSE_LOOP     BIT(10)
#define PROC2_INVPCID	     BIT(12)

/* VM-Exit Controls */
#define EXIT_SAVE_DEBUG BIT(2)
#define EXIT_HOST_64	BIT(9)
#define EXIT_ACK_IRQ	BIT(15)
#define EXIT_SAVE_PAT	BIT(18)
#define EXIT_LOAD_PAT	BIT(19)
#define EXIT_SAVE_EFER	BIT(20)
#define EXIT_LOAD_EFER	BIT(21)

/* VM-Entry Controls */
#define ENTRY_LOAD_DEBUG BIT(2)
#define ENTRY_GUEST_64	 BIT(9)
#define ENTRY_LOAD_PAT	 BIT(14)
#define ENTRY_LOAD_EFER	 BIT(15)

enum ctl_word { CTL_PIN, CTL_PROC, CTL_PROC2, CTL_EXIT, CTL_ENTRY, CTL_COUNT };

struct vmx_caps {
	uint64_t basic, misc;
	uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	uint64_t ept_vpid;
	uint64_t controls[CTL_COUNT]; /* low half: must be 1; high half: may be 1 */
};

/* Reads this CPU's; what does not exist is 0. */
void vmx_caps_read(struct vmx_caps *caps);

/* The same by a function that reads MSRs; false: one may not be read. */
bool vmx_caps_read_by(struct vmx_caps *caps,
		      bool (*read)(void *context, uint32_t msr, uint64_t *value), void *context);

/* Reports each feature that lasthop uses; known: the MSRs could be read. Pure. */
void vmx_features(const struct vmx_caps *caps, bool known, uint64_t feature_control,
		  feature_fn *report, void *context);

/* The sentence on what is missing, and false; else true. Pure. */
bool vmx_caps_check(const struct vmx_caps *caps, uint64_t feature_control, char *missing,
		    size_t room);

/* A control word as lasthop runs with it: all wanted bits that can be had. Pure. */
uint32_t vmx_control(const struct vmx_caps *caps, enum ctl_word word);

/* What APIC virtualisation needs and this CPU lacks, in words; NULL: nothing. Pure. */
const char *vmx_apicv_lacks(const struct vmx_caps *caps);

/* Bits of a control word that go on, and off, when a vCPU's local APIC is virtualised (apicv.c). */
#define APICV_PIN      PIN_POSTED_INTERRUPTS
#define APICV_PROC     PROC_TPR_SHADOW
#define APICV_PROC_OFF (PROC_CR8_LOAD | PROC_CR8_STORE)
#define APICV_PROC2    (PROC2_X2APIC_MODE | PROC2_APIC_REGISTERS | PROC2_VIRTUAL_IRQS)
#define APICV_EXIT     EXIT_ACK_IRQ

/* Bits that lasthop changes while a vCPU runs; off in vmx_control(). */
#define PROC_WINDOWS (PROC_IRQ_WINDOW | PROC_NMI_WINDOW)
