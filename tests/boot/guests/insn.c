/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Do the instructions that reach the hypervisor do what they do on a processor: what sets control
 * registers, what a guest must not have, accesses to device memory (here the host bridge's
 * configuration, ECAM) in their many forms, string I/O?
 */
#include "guest/lib/cpu.h"
#include "guest/lib/pci.h"
#include "guest/lib/runtime.h"
#include "guest/lib/trap.h"
#include "tests/boot/guests/check.h"

#define TRY(instruction, ...) TRAP_TRY(instruction, : : __VA_ARGS__ : "rbx", "r11", "memory")

static void check_control_registers(void)
{
	uint64_t cr4, cr8;

	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	TRY("mov %0, %%cr4", "r"(cr4 | 1ull << 30));
	check(trap_vector == TRAP_GP && trap_error == 0, "cr4", "a reserved bit in CR4 is #GP");
	TRY("mov %0, %%cr3", "r"(1ull << 63 | 1ull << 60));
	check(trap_vector == TRAP_GP, "cr3", "a reserved bit in CR3 is #GP");
	__asm__ volatile("mov %1, %%cr8; mov %%cr8, %0" : "=r"(cr8) : "r"(5ull));
	check(cr8 == 5, "cr8", "CR8 keeps what it is given");
	TRY("mov %0, %%cr8", "r"(16ull));
	check(trap_vector == TRAP_GP, "cr8-reserved", "a reserved bit in CR8 is #GP");
	__asm__ volatile("mov %0, %%cr8" : : "r"(0ull));
}

static void check_debug_registers(void)
{
	uint64_t back;

	__asm__ volatile("mov %1, %%db0; outb %%al, $0x80; mov %%db0, %0"
			 : "=r"(back)
			 : "r"(0x1234567ull));
	check(back == 0x1234567, "dr0", "a debug register outlives an exit");
	__asm__ volatile("mov %0, %%db0" : : "r"(0ull));
}

/* Whatever the CPU: instructions of virtualisation and those that CPUID does not offer. */
static void check_forbidden(void)
{
	TRY("monitor", "a"(0), "c"(0), "d"(0));
	check(trap_vector == TRAP_UD, "monitor", "MONITOR is #UD: it is not offered");
	TRY("vmload", "a"(0));
	check(trap_vector == TRAP_UD || trap_vector == TRAP_GP, "vmload", "VMLOAD faults");
	TRY("stgi", "a"(0));
	check(trap_vector == TRAP_UD || trap_vector == TRAP_GP, "stgi", "STGI faults");
	TRY("rdpmc", "c"(0x7fffffff));
	check(trap_vector == TRAP_GP || trap_vector == TRAP_UD, "rdpmc", "RDPMC faults");
}

static void check_harmless(void)
{
	TRY("wbinvd; pause; pause; pause", "a"(0));
	check(trap_vector == -1, "wbinvd", "WBINVD and PAUSE pass");
	TRAP_TRY(".byte 0x66, 0x66; cpuid", : : "a"(0), "c"(0) : "rbx", "rdx", "r11", "memory");
	check(trap_vector == -1, "prefixes", "prefixes before CPUID are skipped with it");
}

/* The host bridge's vendor and device as the reference, read by each form. */
static void check_mmio_reads(const volatile uint8_t *bridge)
{
	const uint64_t id = *(const volatile uint32_t *)bridge;
	uint64_t rax = ~0ull, rdi, rsi, rcx, flags;
	uint32_t ram[2] = { 0 };

	__asm__ volatile("movb 1(%1), %%ah" : "+a"(rax) : "c"(bridge));
	check(rax == (0xffffffffffff00ffull | (id & 0xff00)), "mmio-ah",
	      "MOV to AH changes only it");
	__asm__ volatile("movl (%1), %%eax" : "+a"(rax) : "r"(bridge));
	check(rax == id, "mmio-eax", "MOV to EAX clears the upper half");
	__asm__ volatile("movswq 2(%1), %%rax" : "=a"(rax) : "r"(bridge));
	check(rax == (uint64_t)(int16_t)(id >> 16), "mmio-movsx", "MOVSX extends the sign");
	__asm__ volatile("movzbl (%1,%2,2), %%eax" : "=a"(rax) : "r"(bridge), "r"(1ull));
	check(rax == (id >> 16 & 0xff), "mmio-movzx", "MOVZX through base, index and scale");
	__asm__ volatile("movabs 0xe0000000, %%eax" : "=a"(rax));
	check((uintptr_t)bridge != 0xe0000000 || rax == id, "mmio-offset",
	      "MOV with an absolute address");
	__asm__ volatile("cmpl %%eax, (%2); pushfq; pop %0"
			 : "=r"(flags)
			 : "a"(id), "r"(bridge)
			 : "cc");
	check(flags & 1 << 6, "mmio-cmp", "CMP sets ZF");
	__asm__ volatile("btl $3, (%2); pushfq; pop %0"
			 : "=r"(flags)
			 : "a"(id), "r"(bridge)
			 : "cc");
	check((flags & 1) == (id >> 3 & 1), "mmio-bt", "BT copies the bit to CF");
	__asm__ volatile("movl 0xffe(%1), %%eax" : "=a"(rax) : "r"(bridge));
	check(rax == 0xffff0000, "mmio-across", "MOV across two functions' pages reads both");
	rsi = (uintptr_t)bridge;
	rdi = (uintptr_t)ram;
	rcx = 2;
	__asm__ volatile("rep movsl" : "+S"(rsi), "+D"(rdi), "+c"(rcx) : : "memory");
	check(ram[0] == id && rcx == 0 && rsi == (uintptr_t)bridge + 8 &&
		      rdi == (uintptr_t)(ram + 2),
	      "mmio-movs", "REP MOVS from device memory to RAM");
}

/* The command register's memory and I/O bits, which the host bridge may or may not keep. */
static void check_mmio_writes(volatile uint8_t *bridge)
{
	volatile uint16_t *command = (volatile uint16_t *)(bridge + PCI_COMMAND);
	const uint16_t was = *command;
	uint64_t rdi = (uintptr_t)command;

	__asm__ volatile("orw $3, (%0)" : : "r"(command) : "memory", "cc");
	__asm__ volatile("andw $~3, (%0)" : : "r"(command) : "memory", "cc");
	check(!(*command & 3), "mmio-and", "AND to device memory");
	__asm__ volatile("stosw" : "+D"(rdi) : "a"(was) : "memory");
	check(*command == was && rdi == (uintptr_t)command + 2, "mmio-stos",
	      "STOS to device memory");
	__asm__ volatile("movw $0, (%0); movw %1, (%0)" : : "r"(command), "r"(was) : "memory");
	check(*command == was, "mmio-mov", "MOV of an immediate and of a register");
}

static void check_string_io(void)
{
	static const char text[] = "string I/O\n";
	const char *rsi = text;
	uint64_t rcx = sizeof(text) - 1;
	uint8_t in[2] = { 1, 1 };
	uint8_t *rdi = in;

	__asm__ volatile("rep outsb" : "+S"(rsi), "+c"(rcx) : "d"(0x3f8) : "memory");
	check(rcx == 0 && rsi == text + sizeof(text) - 1, "outs", "REP OUTSB moves RSI and RCX");
	rcx = 2;
	__asm__ volatile("rep insb" : "+D"(rdi), "+c"(rcx) : "d"(0x80) : "memory");
	check(rcx == 0 && rdi == in + 2 && in[0] == 0xff && in[1] == 0xff, "ins",
	      "REP INSB from a port that nobody has reads all ones");
	rdi = (uint8_t *)(1ull << 39);
	TRAP_TRY("insb", : "+D"(rdi) : "d"(0x80) : "r11", "memory");
	check(trap_vector == TRAP_PF && trap_error == 2, "ins-fault",
	      "INS to no memory is the guest's #PF");
}

/* String I/O with device memory at the other end. */
static void check_string_io_mmio(volatile uint8_t *bridge)
{
	const volatile uint8_t *rsi = bridge;
	volatile uint8_t *rdi = bridge; /* the vendor: read-only */
	const uint8_t was = *bridge;

	__asm__ volatile("outsb" : "+S"(rsi) : "d"(0x80) : "memory");
	__asm__ volatile("insb" : "+D"(rdi) : "d"(0x80) : "memory");
	check(rsi == bridge + 1 && rdi == bridge + 1 && *bridge == was, "string-mmio",
	      "OUTS from and INS to device memory");
}

int guest_main(void)
{
	volatile uint8_t *bridge = (volatile uint8_t *)pci_ecam();

	check_control_registers();
	check_debug_registers();
	check_forbidden();
	check_harmless();
	if (check(bridge, "ecam", "the MCFG tells where ECAM is")) {
		check_mmio_reads(bridge);
		check_mmio_writes(bridge);
		check_string_io_mmio(bridge);
	}
	check_string_io();
	return check_status();
}
