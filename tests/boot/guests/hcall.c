/* SPDX-License-Identifier: BSD-2-Clause */
/* Are hypercalls with wrong arguments answered with an error, and refused outside ring 0? */
#include <stddef.h>

#include "guest/lib/cpu.h"
#include "guest/lib/runtime.h"
#include "guest/lib/trap.h"
#include "lasthop/bench.h"
#include "lasthop/hypercall.h"
#include "tests/boot/guests/check.h"

#define DEVICES 0xC0000000ull /* no RAM from here to 4 GiB */

/* The end of the highest range below the devices, of whatever kind. */
static uint64_t end_of_ram(void)
{
	struct hvm_memmap_entry entry;
	uint64_t end = 0;

	for (unsigned i = 0; guest_memory(i, &entry); i++) {
		if (entry.address < DEVICES && entry.address + entry.bytes > end)
			end = entry.address + entry.bytes;
	}
	return end;
}

static void check_numbers(void)
{
	static const uint64_t unknown[] = { 0,	   1,	       9,	    0xff,
					    0x103, 0xffffffff, 0x100000100, UINT64_MAX };
	bool ok = true;

	for (unsigned i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		ok &= hypercall(unknown[i], 0, 0) == HC_EUNKNOWN;
	check(ok, "unknown", "unknown numbers answer HC_EUNKNOWN");
}

static void check_addresses(void)
{
	const uint64_t end = end_of_ram();
	const uint64_t bad[] = {
		0x7f00000000, 0xE0000000, end, end - 8, UINT64_MAX - 7, 1ull << 63
	};
	bool begin = true, result = true;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		begin &= hypercall(HC_BENCH_BEGIN, bad[i], 0) == HC_EFAULT;
		result &= hypercall(HC_BENCH_RESULT, bad[i], 0) == HC_EFAULT;
	}
	check(begin, "begin-address", "HC_BENCH_BEGIN outside RAM answers HC_EFAULT");
	check(result, "result-address", "HC_BENCH_RESULT outside RAM answers HC_EFAULT");
}

static void check_contents(void)
{
	static struct bench_begin begin = { .own_mac = { 2, 0xde, 0xad }, .peer_mac = { 2, 0xbe } };
	static struct bench_result result = {
		.test = BENCH_STREAM, .frame_bytes = 64, .run = 1, .runs = 1
	};

	check(hypercall(HC_BENCH_RESULT, (uintptr_t)&result, 0) == HC_EINVAL, "no-window",
	      "a result without a window answers HC_EINVAL");
	check(hypercall(HC_BENCH_BEGIN, (uintptr_t)&begin, 0) == HC_EINVAL, "unknown-mac",
	      "a window for unknown MACs answers HC_EINVAL");
	begin.reserved = 1;
	check(hypercall(HC_BENCH_BEGIN, (uintptr_t)&begin, 0) == HC_EINVAL, "reserved",
	      "reserved fields answer HC_EINVAL");
}

static uint64_t kernel_rsp, back_in_kernel;
static int user_vector;

static bool on_trap(struct trap_frame *frame)
{
	if (!(frame->cs & 3))
		return false;
	user_vector = (int)frame->vector;
	frame->cs = GDT_KERNEL_CODE;
	frame->ss = GDT_KERNEL_DATA;
	frame->rip = back_in_kernel;
	frame->rsp = kernel_rsp;
	return true;
}

/* To ring 3, there the instruction, and back by its exception (or that of UD2 behind it, or of
 * HLT, which ring 3 may not: then the vector is #GP). */
#define IN_RING_3(instruction)                                                                     \
	__asm__ volatile("movq %%rsp, %0\n\t"                                                      \
			 "leaq 2f(%%rip), %%rcx\n\tmovq %%rcx, %1\n\t"                             \
			 "pushq %2\n\tpushq %0\n\tpushq $2\n\tpushq %3\n\t"                        \
			 "leaq 1f(%%rip), %%rcx\n\tpushq %%rcx\n\tiretq\n"                         \
			 "1:\t" instruction "\n\thlt\n"                                            \
			 "2:"                                                                      \
			 : "=m"(kernel_rsp), "=m"(back_in_kernel)                                  \
			 : "i"(GDT_USER_DATA), "i"(GDT_USER_CODE), "a"(HC_END), "D"(1)             \
			 : "rcx", "memory", "cc")

static void check_ring_3(void)
{
	trap_hook = on_trap;
	user_vector = -1;
	IN_RING_3("nop");
	check(user_vector == TRAP_GP, "ring-3", "ring 3 can be reached, and HLT there is #GP");
	user_vector = -1;
	if (cpu_is_amd())
		IN_RING_3("vmmcall");
	else
		IN_RING_3("vmcall");
	check(user_vector == TRAP_UD, "ring-3-hypercall", "a hypercall from ring 3 is #UD");
	trap_hook = NULL;
}

static void check_other_vendor(void)
{
	if (cpu_is_amd())
		TRAP_TRY("vmcall", : : "a"(HC_END), "D"(1) : "r11", "memory");
	else
		TRAP_TRY("vmmcall", : : "a"(HC_END), "D"(1) : "r11", "memory");
	check(trap_vector == TRAP_UD, "other-vendor", "the other vendor's instruction is #UD");
}

int guest_main(void)
{
	check_ring_3();
	check_other_vendor();
	if (!check(hypercall_present(), "present", "lasthop is below us"))
		return check_status();
	check_numbers();
	check_addresses();
	check_contents();
	return check_status();
}
