/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * netd that dies when it is told to: linked with --wrap=uart_key, so that the program under test is the
 * one that is shipped. Keys: c, a triple fault; f, an end as failed; h, an endless loop, interrupts off.
 */
#include "guest/lib/print.h"
#include "guest/lib/runtime.h"

char __real_uart_key(void);
char __wrap_uart_key(void);

static void triple_fault(void)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = { 0 };

	__asm__ volatile("lidt %0; ud2" : : "m"(none));
}

char __wrap_uart_key(void)
{
	char key = __real_uart_key();

	if (key != 'c' && key != 'f' && key != 'h')
		return key;
	print("mortal: %c\n", key);
	if (key == 'c')
		triple_fault();
	if (key == 'f')
		guest_fail("it was told to");
	for (;;)
		cpu_pause();
}
