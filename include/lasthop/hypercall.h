/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypercalls of the bundled guests. VMCALL on Intel, VMMCALL on AMD (the guest asks CPUID
 * leaf 0 for the vendor). RAX = number, RDI, RSI = arguments; the answer is in RAX: 0 or a
 * negative error. An unknown number answers HC_EUNKNOWN. From CPL > 0 it is #UD.
 *
 * The hypervisor is recognised by CPUID 0x40000100: EBX,ECX,EDX = "lasthop", NUL-padded, EAX =
 * version. (0x40000000 carries KVM's signature, for Linux.)
 */
#pragma once

#define HC_CPUID_LEAF 0x40000100u
#define HC_SIGNATURE  "lasthop\0\0\0\0"
#define HC_VERSION    1u

#define HC_BENCH_BEGIN	   0x100 /* RDI = GPA of struct bench_begin: a measured window opens */
#define HC_BENCH_RESULT	   0x101 /* RDI = GPA of struct bench_result: it closes, with this result */
#define HC_END		   0x102 /* RDI = 0: the VM's work is done; else it failed. Does not return */
#define HC_WATCHDOG	   0x103 /* RDI = milliseconds until the next is due, 0: none is; driver domains */
#define HC_WATCHDOG_MAX_MS 60000u
#define HC_CARRIER                                                                                 \
	0x104 /* RDI = 2 * N + 1: the wire behind its uplink N (0: the first) has carrier;
				  * 2 * N: it has none. Until it is told it has; driver domains */

#define HC_EUNKNOWN (-1)
#define HC_EFAULT   (-2) /* argument not in RAM */
#define HC_EINVAL   (-3) /* a field out of range, or no window open */
