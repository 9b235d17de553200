/* SPDX-License-Identifier: BSD-2-Clause */
/* The instructions that C has no words for. Guests run with interrupts off but in cpu_wait(). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(subleaf));
	return r;
}

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

static inline uint8_t in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %w1, %b0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint16_t in16(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %w1, %w0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint32_t in32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %w1, %k0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %b0, %w1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void out16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %w0, %w1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %k0, %w1" : : "a"(value), "Nd"(port) : "memory");
}

/* Device memory: a plain MOV of just this width, which is what a hypervisor decodes. */
static inline uint8_t mmio_read8(uint64_t at)
{
	uint8_t value;

	__asm__ volatile("movb (%1), %0" : "=r"(value) : "r"(at) : "memory");
	return value;
}

static inline uint16_t mmio_read16(uint64_t at)
{
	uint16_t value;

	__asm__ volatile("movw (%1), %0" : "=r"(value) : "r"(at) : "memory");
	return value;
}

static inline uint32_t mmio_read32(uint64_t at)
{
	uint32_t value;

	__asm__ volatile("movl (%1), %0" : "=r"(value) : "r"(at) : "memory");
	return value;
}

static inline uint64_t mmio_read64(uint64_t at)
{
	uint64_t value;

	__asm__ volatile("movq (%1), %0" : "=r"(value) : "r"(at) : "memory");
	return value;
}

static inline void mmio_write8(uint64_t at, uint8_t value)
{
	__asm__ volatile("movb %0, (%1)" : : "r"(value), "r"(at) : "memory");
}

static inline void mmio_write16(uint64_t at, uint16_t value)
{
	__asm__ volatile("movw %0, (%1)" : : "r"(value), "r"(at) : "memory");
}

static inline void mmio_write32(uint64_t at, uint32_t value)
{
	__asm__ volatile("movl %0, (%1)" : : "r"(value), "r"(at) : "memory");
}

static inline void mmio_write64(uint64_t at, uint64_t value)
{
	__asm__ volatile("movq %0, (%1)" : : "r"(value), "r"(at) : "memory");
}

/* Sleeps until an interrupt was handled. STI holds it off until HLT has begun: what was checked
 * just before with interrupts off cannot be missed. */
static inline void cpu_wait(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

static inline void cpu_pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

_Noreturn static inline void cpu_stop(void)
{
	for (;;)
		__asm__ volatile("cli; hlt" : : : "memory");
}
