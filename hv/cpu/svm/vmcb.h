/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtual machine control block (APM 2, appendix B "VMCB Layout", tables "VMCB Layout, Control
 * Area" and "State Save Area"), exit codes (appendix C "SVM Intercept Exit Codes") and the bits we
 * use. The layout is stated once, here, and each documented offset asserted; nothing in it needs
 * packing, so that its members' addresses may be taken.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "hv/cpu/x86.h"

#define DR6_RESET 0xffff0ff0u
#define DR7_RESET 0x400u

/* Control area 00Ch, "intercept vector 3" */
#define CTL3_INTR     BIT(0)
#define CTL3_NMI      BIT(1)
#define CTL3_VINTR    BIT(4)
#define CTL3_RDPMC    BIT(15)
#define CTL3_CPUID    BIT(18)
#define CTL3_IRET     BIT(20)
#define CTL3_INVD     BIT(22)
#define CTL3_PAUSE    BIT(23)
#define CTL3_HLT      BIT(24)
#define CTL3_INVLPGA  BIT(26)
#define CTL3_IOIO     BIT(27)
#define CTL3_MSR      BIT(28)
#define CTL3_SHUTDOWN BIT(31)

/* Control area 010h, "intercept vector 4" */
#define CTL4_VMRUN   BIT(0)
#define CTL4_VMMCALL BIT(1)
#define CTL4_VMLOAD  BIT(2)
#define CTL4_VMSAVE  BIT(3)
#define CTL4_STGI    BIT(4)
#define CTL4_CLGI    BIT(5)
#define CTL4_SKINIT  BIT(6)
#define CTL4_WBINVD  BIT(9)
#define CTL4_MONITOR BIT(10)
#define CTL4_MWAIT   BIT(11)
#define CTL4_XSETBV  BIT(13)

/* Control area 05Ch */
#define TLB_KEEP      0
#define TLB_FLUSH_ALL 1

/* Control area 060h */
#define VINTR_IRQ	BIT(8)
#define VINTR_PRIO_MAX	(0xfull << 16)
#define VINTR_IGN_TPR	BIT(20)
#define VINTR_MASKING	BIT(24)
#define VINTR_VECTOR(n) ((uint64_t)(n) << 32)

#define INT_SHADOW BIT(0) /* 068h */
#define NP_ENABLE  BIT(0) /* 090h */

/* EVENTINJ and EXITINTINFO (APM 2, "Event Injection") */
#define EVENT_VECTOR	0xffull
#define EVENT_TYPE	(7ull << 8)
#define EVENT_INTR	(0ull << 8)
#define EVENT_NMI	(2ull << 8)
#define EVENT_EXCEPTION (3ull << 8)
#define EVENT_SOFTWARE	(4ull << 8)
#define EVENT_HAS_ERROR BIT(11)
#define EVENT_VALID	BIT(31)
#define EVENT_ERROR(e)	((uint64_t)(uint32_t)(e) << 32)

#define CR4_BIT BIT(4) /* 000h and 002h: intercepts of reads and writes */
#define CR8_BIT BIT(8)

enum svm_exit_code {
	EXIT_CR8_READ = 0x08,
	EXIT_CR0_WRITE = 0x10,
	EXIT_CR4_WRITE = 0x14,
	EXIT_CR8_WRITE = 0x18,
	EXIT_DR5_READ = 0x25,
	EXIT_DR7_READ = 0x27,
	EXIT_DR5_WRITE = 0x35,
	EXIT_DR6_WRITE = 0x36,
	EXIT_DR7_WRITE = 0x37,
	EXIT_EXCEPTION_DB = 0x41,
	EXIT_EXCEPTION_AC = 0x51,
	EXIT_EXCEPTION_MC = 0x52,
	EXIT_INTR = 0x60,
	EXIT_NMI = 0x61,
	EXIT_VINTR = 0x64,
	EXIT_RDPMC = 0x6f,
	EXIT_CPUID = 0x72,
	EXIT_IRET = 0x74,
	EXIT_INVD = 0x76,
	EXIT_PAUSE = 0x77,
	EXIT_HLT = 0x78,
	EXIT_INVLPGA = 0x7a,
	EXIT_IOIO = 0x7b,
	EXIT_MSR = 0x7c,
	EXIT_SHUTDOWN = 0x7f,
	EXIT_VMRUN = 0x80,
	EXIT_VMMCALL = 0x81,
	EXIT_VMLOAD = 0x82,
	EXIT_VMSAVE = 0x83,
	EXIT_STGI = 0x84,
	EXIT_CLGI = 0x85,
	EXIT_SKINIT = 0x86,
	EXIT_WBINVD = 0x89,
	EXIT_MONITOR = 0x8a,
	EXIT_MWAIT = 0x8b,
	EXIT_MWAIT_ARMED = 0x8c,
	EXIT_XSETBV = 0x8d,
	EXIT_NPF = 0x400,
};
#define EXIT_INVALID_32 0xffffffffu /* VMEXIT_INVALID; QEMU stores only these 32 bits of -1 */

/* EXITINFO1 of IOIO (APM 2, "IOIO Intercept Information") */
#define IOIO_IN	    BIT(0)
#define IOIO_STRING BIT(2)
#define IOIO_REP    BIT(3)

/* EXITINFO1 of a nested page fault (APM 2, "Nested versus Guest Page Faults") */
#define NPF_PRESENT  BIT(0)
#define NPF_WRITE    BIT(1)
#define NPF_RESERVED BIT(3)
#define NPF_FETCH    BIT(4)
#define NPF_WALK     BIT(33) /* in a guest page-table walk */

struct vmcb_segment {
	uint16_t selector,
		attrib; /* attrib: descriptor bits 40-47 and 52-55, as struct segment's */
	uint32_t limit;
	uint64_t base;
};

struct vmcb_control {
	uint16_t cr_read, cr_write, dr_read, dr_write;
	uint32_t exceptions, ctl3, ctl4, ctl5;
	uint8_t reserved_018[0x3c - 0x18];
	uint16_t pause_threshold, pause_count;
	uint64_t iopm, msrpm, tsc_offset;
	uint32_t asid;
	uint8_t tlb_control, reserved_05d[3];
	uint64_t vintr, int_state;
	uint64_t exit_code, exit_info1, exit_info2, exit_int_info;
	uint64_t np, avic_apic_bar, ghcb;
	uint64_t event_inj, n_cr3, lbr, clean;
	uint64_t next_rip;
	uint8_t fetched_count, fetched[15];
	uint8_t reserved_0e0[0x400 - 0xe0];
};

struct vmcb_save {
	struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	uint8_t reserved_0a0[0xcb - 0xa0];
	uint8_t cpl;
	uint32_t reserved_0cc;
	uint64_t efer;
	uint8_t reserved_0d8[0x148 - 0xd8];
	uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
	uint8_t reserved_180[0x1d8 - 0x180];
	uint64_t rsp, s_cet, ssp, isst, rax;
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip, cr2;
	uint8_t reserved_248[0x268 - 0x248];
	uint64_t g_pat, dbgctl, br_from, br_to, last_excp_from, last_excp_to;
	uint8_t reserved_298[0xc00 - 0x298];
};

struct vmcb {
	struct vmcb_control ctl;
	struct vmcb_save save;
} __attribute__((aligned(4096)));

#define VMCB_AT(member, offset)                                                                    \
	_Static_assert(offsetof(struct vmcb, member) == (offset), "APM 2, appendix B: " #member)
VMCB_AT(ctl.cr_read, 0x000);
VMCB_AT(ctl.dr_read, 0x004);
VMCB_AT(ctl.exceptions, 0x008);
VMCB_AT(ctl.ctl3, 0x00c);
VMCB_AT(ctl.ctl4, 0x010);
VMCB_AT(ctl.ctl5, 0x014);
VMCB_AT(ctl.pause_threshold, 0x03c);
VMCB_AT(ctl.pause_count, 0x03e);
VMCB_AT(ctl.iopm, 0x040);
VMCB_AT(ctl.msrpm, 0x048);
VMCB_AT(ctl.tsc_offset, 0x050);
VMCB_AT(ctl.asid, 0x058);
VMCB_AT(ctl.tlb_control, 0x05c);
VMCB_AT(ctl.vintr, 0x060);
VMCB_AT(ctl.int_state, 0x068);
VMCB_AT(ctl.exit_code, 0x070);
VMCB_AT(ctl.exit_info1, 0x078);
VMCB_AT(ctl.exit_info2, 0x080);
VMCB_AT(ctl.exit_int_info, 0x088);
VMCB_AT(ctl.np, 0x090);
VMCB_AT(ctl.avic_apic_bar, 0x098);
VMCB_AT(ctl.ghcb, 0x0a0);
VMCB_AT(ctl.event_inj, 0x0a8);
VMCB_AT(ctl.n_cr3, 0x0b0);
VMCB_AT(ctl.lbr, 0x0b8);
VMCB_AT(ctl.clean, 0x0c0);
VMCB_AT(ctl.next_rip, 0x0c8);
VMCB_AT(ctl.fetched_count, 0x0d0);
VMCB_AT(save.es, 0x400);
VMCB_AT(save.cs, 0x410);
VMCB_AT(save.ss, 0x420);
VMCB_AT(save.ds, 0x430);
VMCB_AT(save.fs, 0x440);
VMCB_AT(save.gs, 0x450);
VMCB_AT(save.gdtr, 0x460);
VMCB_AT(save.ldtr, 0x470);
VMCB_AT(save.idtr, 0x480);
VMCB_AT(save.tr, 0x490);
VMCB_AT(save.cpl, 0x4cb);
VMCB_AT(save.efer, 0x4d0);
VMCB_AT(save.cr4, 0x548);
VMCB_AT(save.cr3, 0x550);
VMCB_AT(save.cr0, 0x558);
VMCB_AT(save.dr7, 0x560);
VMCB_AT(save.dr6, 0x568);
VMCB_AT(save.rflags, 0x570);
VMCB_AT(save.rip, 0x578);
VMCB_AT(save.rsp, 0x5d8);
VMCB_AT(save.s_cet, 0x5e0);
VMCB_AT(save.rax, 0x5f8);
VMCB_AT(save.star, 0x600);
VMCB_AT(save.lstar, 0x608);
VMCB_AT(save.cstar, 0x610);
VMCB_AT(save.sfmask, 0x618);
VMCB_AT(save.kernel_gs_base, 0x620);
VMCB_AT(save.sysenter_cs, 0x628);
VMCB_AT(save.sysenter_esp, 0x630);
VMCB_AT(save.sysenter_eip, 0x638);
VMCB_AT(save.cr2, 0x640);
VMCB_AT(save.g_pat, 0x668);
VMCB_AT(save.dbgctl, 0x670);
VMCB_AT(save.br_from, 0x678);
VMCB_AT(save.last_excp_to, 0x690);
#undef VMCB_AT
_Static_assert(sizeof(struct vmcb) == 4096, "a VMCB is one page");
