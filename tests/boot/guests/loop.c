/* SPDX-License-Identifier: BSD-2-Clause */
/* Do other VMs go on while one loops for ever with interrupts off? It never ends by itself. */
#include "guest/lib/print.h"
#include "guest/lib/runtime.h"

int guest_main(void)
{
	print("loop: about to loop for ever\n");
	__asm__ volatile("cli\n1:\tjmp 1b");
	return 1;
}
