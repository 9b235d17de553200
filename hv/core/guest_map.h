/* SPDX-License-Identifier: BSD-2-Clause */
/* Where things are in a guest's physical address space. The DSDT (hv/dev/dsdt.asl) is compiled from
 * these very numbers. */
#pragma once

#define GUEST_LOW_RAM_END    0x9f000ull	   /* RAM from 0 */
#define GUEST_RESET_VECTOR   0xffff0ull	   /* of a PC's firmware */
#define GUEST_HIGH_RAM	     0x100000ull   /* RAM again from 1 MiB … */
#define GUEST_HIGH_RAM_END   0xC0000000ull /* … to 3 GiB at most, the rest from 4 GiB on */
#define GUEST_UPPER_RAM	     0x100000000ull
#define GUEST_BAR_WINDOW     0xC0000000ull /* 32-bit memory BARs */
#define GUEST_BAR_END	     0xE0000000ull
#define GUEST_ECAM_BASE	     0xE0000000ull /* bus 0 */
#define GUEST_ECAM_BYTES     0x100000ull
#define GUEST_IOAPIC_BASE    0xFEC00000ull
#define GUEST_LAPIC_BASE     0xFEE00000ull
#define GUEST_IO_WINDOW	     0x1000 /* I/O-port BARs … 0xFFFF */
#define GUEST_IO_END	     0x10000
#define GUEST_UART_PORT	     0x3f8
#define GUEST_UART_IRQ	     4
#define GUEST_PIN_FIRST	     16 /* I/O APIC inputs of PCI pins: device number n has 16 + n % 8 */
#define GUEST_PINS	     8
#define GUEST_RTC_PORT	     0x70	/* index; data behind it */
#define GUEST_ACPI_BYTES     0x10000ull /* reserved at the top of the RAM below 3 GiB */
#define GUEST_SLEEP_CONTROL  0x600	/* ACPI hardware-reduced registers, I/O ports */
#define GUEST_SLEEP_STATUS   0x601
#define GUEST_RESET_PORT     0x602 /* FADT RESET_REG, write GUEST_RESET_VALUE */
#define GUEST_RESET_VALUE    0x01
#define GUEST_SLEEP_TYPE_S5  5	     /* SLP_TYP of \_S5 */
#define GUEST_APIC_TIMER_KHZ 1000000 /* the local APIC's timer, as CPUID 15h and 40000010h say */
