/* SPDX-License-Identifier: BSD-2-Clause */
/* Is a guest that triple-faults stopped, and only that? It never ends by itself. */
#include "guest/lib/print.h"
#include "guest/lib/runtime.h"

int guest_main(void)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} none = { 0, 0 };

	print("triple: about to triple-fault\n");
	__asm__ volatile("lidt %0; ud2" : : "m"(none));
	print("FAIL triple: the guest goes on after a triple fault\n");
	return 1;
}
