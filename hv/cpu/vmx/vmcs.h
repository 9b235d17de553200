/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fields of the VMCS that lasthop uses, their encodings (SDM 3D, appendix B "Field Encoding in
 * VMCS") and access to those of the current VMCS. One table; enum vmcs_field is made from it.
 * Segment fields of ES … TR follow each other in steps of two, in the order of enum seg_reg.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define VMCS_FIELDS(X)                                                                             \
	/* 16 bits */                                                                              \
	X(VPID, 0x0000)                                                                            \
	X(POSTED_VECTOR, 0x0002)                                                                   \
	X(GUEST_ES_SELECTOR, 0x0800)                                                               \
	X(GUEST_INTERRUPT_STATUS, 0x0810)                                                          \
	X(HOST_ES_SELECTOR, 0x0c00)                                                                \
	X(HOST_CS_SELECTOR, 0x0c02)                                                                \
	X(HOST_SS_SELECTOR, 0x0c04)                                                                \
	X(HOST_DS_SELECTOR, 0x0c06)                                                                \
	X(HOST_FS_SELECTOR, 0x0c08)                                                                \
	X(HOST_GS_SELECTOR, 0x0c0a)                                                                \
	X(HOST_TR_SELECTOR, 0x0c0c)                                                                \
	/* 64 bits */                                                                              \
	X(IO_BITMAP_A, 0x2000)                                                                     \
	X(IO_BITMAP_B, 0x2002)                                                                     \
	X(MSR_BITMAP, 0x2004)                                                                      \
	X(TSC_OFFSET, 0x2010)                                                                      \
	X(VIRTUAL_APIC_PAGE, 0x2012)                                                               \
	X(POSTED_DESCRIPTOR, 0x2016)                                                               \
	X(EPT_POINTER, 0x201a)                                                                     \
	X(EOI_EXIT_BITMAP0, 0x201c)                                                                \
	X(EOI_EXIT_BITMAP1, 0x201e)                                                                \
	X(EOI_EXIT_BITMAP2, 0x2020)                                                                \
	X(EOI_EXIT_BITMAP3, 0x2022)                                                                \
	X(GUEST_PHYSICAL_ADDRESS, 0x2400)                                                          \
	X(VMCS_LINK_POINTER, 0x2800)                                                               \
	X(GUEST_DEBUGCTL, 0x2802)                                                                  \
	X(GUEST_PAT, 0x2804)                                                                       \
	X(GUEST_EFER, 0x2806)                                                                      \
	X(GUEST_PDPTE0, 0x280a)                                                                    \
	X(GUEST_PDPTE1, 0x280c)                                                                    \
	X(GUEST_PDPTE2, 0x280e)                                                                    \
	X(GUEST_PDPTE3, 0x2810)                                                                    \
	X(HOST_PAT, 0x2c00)                                                                        \
	X(HOST_EFER, 0x2c02)                                                                       \
	/* 32 bits */                                                                              \
	X(PIN_CONTROLS, 0x4000)                                                                    \
	X(PROC_CONTROLS, 0x4002)                                                                   \
	X(EXCEPTION_BITMAP, 0x4004)                                                                \
	X(PF_ERROR_CODE_MASK, 0x4006)                                                              \
	X(PF_ERROR_CODE_MATCH, 0x4008)                                                             \
	X(CR3_TARGET_COUNT, 0x400a)                                                                \
	X(EXIT_CONTROLS, 0x400c)                                                                   \
	X(EXIT_MSR_STORE_COUNT, 0x400e)                                                            \
	X(EXIT_MSR_LOAD_COUNT, 0x4010)                                                             \
	X(ENTRY_CONTROLS, 0x4012)                                                                  \
	X(ENTRY_MSR_LOAD_COUNT, 0x4014)                                                            \
	X(ENTRY_INTERRUPTION_INFO, 0x4016)                                                         \
	X(ENTRY_EXCEPTION_ERROR_CODE, 0x4018)                                                      \
	X(ENTRY_INSTRUCTION_LENGTH, 0x401a)                                                        \
	X(TPR_THRESHOLD, 0x401c)                                                                   \
	X(PROC2_CONTROLS, 0x401e)                                                                  \
	X(PLE_GAP, 0x4020)                                                                         \
	X(PLE_WINDOW, 0x4022)                                                                      \
	X(INSTRUCTION_ERROR, 0x4400)                                                               \
	X(EXIT_REASON, 0x4402)                                                                     \
	X(EXIT_INTERRUPTION_INFO, 0x4404)                                                          \
	X(EXIT_INTERRUPTION_ERROR_CODE, 0x4406)                                                    \
	X(IDT_VECTORING_INFO, 0x4408)                                                              \
	X(IDT_VECTORING_ERROR_CODE, 0x440a)                                                        \
	X(EXIT_INSTRUCTION_LENGTH, 0x440c)                                                         \
	X(EXIT_INSTRUCTION_INFO, 0x440e)                                                           \
	X(GUEST_ES_LIMIT, 0x4800)                                                                  \
	X(GUEST_GDTR_LIMIT, 0x4810)                                                                \
	X(GUEST_IDTR_LIMIT, 0x4812)                                                                \
	X(GUEST_ES_ACCESS, 0x4814)                                                                 \
	X(GUEST_INTERRUPTIBILITY, 0x4824)                                                          \
	X(GUEST_ACTIVITY_STATE, 0x4826)                                                            \
	X(GUEST_SYSENTER_CS, 0x482a)                                                               \
	X(PREEMPTION_TIMER_VALUE, 0x482e)                                                          \
	X(HOST_SYSENTER_CS, 0x4c00)                                                                \
	/* natural width */                                                                        \
	X(CR0_MASK, 0x6000)                                                                        \
	X(CR4_MASK, 0x6002)                                                                        \
	X(CR0_SHADOW, 0x6004)                                                                      \
	X(CR4_SHADOW, 0x6006)                                                                      \
	X(EXIT_QUALIFICATION, 0x6400)                                                              \
	X(GUEST_LINEAR_ADDRESS, 0x640a)                                                            \
	X(GUEST_CR0, 0x6800)                                                                       \
	X(GUEST_CR3, 0x6802)                                                                       \
	X(GUEST_CR4, 0x6804)                                                                       \
	X(GUEST_ES_BASE, 0x6806)                                                                   \
	X(GUEST_FS_BASE, 0x680e)                                                                   \
	X(GUEST_GS_BASE, 0x6810)                                                                   \
	X(GUEST_GDTR_BASE, 0x6816)                                                                 \
	X(GUEST_IDTR_BASE, 0x6818)                                                                 \
	X(GUEST_DR7, 0x681a)                                                                       \
	X(GUEST_RSP, 0x681c)                                                                       \
	X(GUEST_RIP, 0x681e)                                                                       \
	X(GUEST_RFLAGS, 0x6820)                                                                    \
	X(GUEST_PENDING_DEBUG, 0x6822)                                                             \
	X(GUEST_SYSENTER_ESP, 0x6824)                                                              \
	X(GUEST_SYSENTER_EIP, 0x6826)                                                              \
	X(HOST_CR0, 0x6c00)                                                                        \
	X(HOST_CR3, 0x6c02)                                                                        \
	X(HOST_CR4, 0x6c04)                                                                        \
	X(HOST_FS_BASE, 0x6c06)                                                                    \
	X(HOST_GS_BASE, 0x6c08)                                                                    \
	X(HOST_TR_BASE, 0x6c0a)                                                                    \
	X(HOST_GDTR_BASE, 0x6c0c)                                                                  \
	X(HOST_IDTR_BASE, 0x6c0e)                                                                  \
	X(HOST_SYSENTER_ESP, 0x6c10)                                                               \
	X(HOST_SYSENTER_EIP, 0x6c12)                                                               \
	X(HOST_RSP, 0x6c14)                                                                        \
	X(HOST_RIP, 0x6c16)

enum vmcs_field {
#define VMCS_ENUM(name, encoding) VMCS_##name = (encoding),
	VMCS_FIELDS(VMCS_ENUM)
#undef VMCS_ENUM
};

/* The field of segment register `seg` (enum seg_reg), given that of ES. */
static inline enum vmcs_field vmcs_segment(enum vmcs_field of_es, unsigned seg)
{
	return (enum vmcs_field)(of_es + 2 * seg);
}

/* The current VMCS of this CPU. A field that does not exist reads as 0: only with a VMCS that is
 * not current, which the callers promise. */
static inline uint64_t vmcs_read(enum vmcs_field field)
{
	uint64_t value = 0;

	__asm__ volatile("vmread %1, %0" : "+r"(value) : "r"((uint64_t)field) : "cc");
	return value;
}

static inline void vmcs_write(enum vmcs_field field, uint64_t value)
{
	__asm__ volatile("vmwrite %1, %0" : : "r"((uint64_t)field), "r"(value) : "cc", "memory");
}
