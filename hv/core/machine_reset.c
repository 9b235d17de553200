/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The order is Linux's: ACPI's register (ACPI 6.5, 4.8.3.6), the chipset's (Intel PCH, "Reset Control
 * Register"), the keyboard controller's pulse, a triple fault.
 */
#include "hv/core/machine_reset.h"

#include <stddef.h>

#include "hv/core/acpi.h"
#include "hv/core/paging.h"
#include "hv/core/timer.h"
#include "hv/cpu/x86.h"

enum {
	RESET_CONTROL = 0xcf9,
	RESET_SYSTEM = 0x02, /* then, with the next write, */
	RESET_CPU = 0x04,
	KEYBOARD_COMMAND = 0x64,
	PULSE_RESET = 0xfe,
	WAIT_US = 100000,
};

void machine_reset(void)
{
	volatile uint8_t *reg = acpi.reset_address ? map_device(acpi.reset_address, 1) : NULL;
	const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) no_idt = { 0, 0 };

	interrupts_off();
	if (acpi.reset_port)
		outb(acpi.reset_port, acpi.reset_value);
	else if (reg)
		*reg = acpi.reset_value;
	delay_us(WAIT_US);
	outb(RESET_CONTROL, RESET_SYSTEM);
	outb(RESET_CONTROL, RESET_SYSTEM | RESET_CPU);
	delay_us(WAIT_US);
	outb(KEYBOARD_COMMAND, PULSE_RESET);
	delay_us(WAIT_US);
	for (;;)
		__asm__ volatile("lidt %0; ud2" : : "m"(no_idt));
}
