/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BOOTX64.EFI: the sequence from the firmware to the core. Everything
 * that can be refused is refused before the firmware is left, so that its menu comes back with
 * a sentence on the screen; after that there is only the jump.
 */
#include "hv/boot/boot_impl.h"

#include "hv/cpu/detect.h"
#include "hv/cpu/x86.h"

#define CR4_LA57 BIT(12) /* SDM 3A, "Control Registers": five-level paging */

enum { JUMP_STACK_BYTES = 16384 };

struct boot boot;

static bool check_cpu(void)
{
	struct detect_result cpu;

	if (read_cr4() & CR4_LA57)
		return refuse(EFI_UNSUPPORTED,
			      "the firmware runs with five-level paging: switch it off in "
			      "the firmware set-up (5-level paging, LA57)");
	if (!detect_cpu(&cpu)) {
		if (!boot.handover->check_only)
			return refuse(EFI_UNSUPPORTED, "%s", cpu.missing);
		say("cpu: %s\n", cpu.missing);
		return true;
	}
	say("cpu: %s\n", cpu.backend == BACKEND_VMX ? "VT-x" : "SVM");
	return true;
}

static bool start_handover(void)
{
	boot.handover = pages_alloc(sizeof(*boot.handover), PAGES_HANDOVER, UINT64_MAX);
	if (!boot.handover)
		return refuse(EFI_OUT_OF_RESOURCES, "the firmware has no memory left");
	boot.handover->magic = HANDOVER_MAGIC;
	boot.handover->version = HANDOVER_VERSION;
	boot.handover->bytes = sizeof(*boot.handover);
	return true;
}

/* Returns only if something is refused. */
static bool start_core(void)
{
	uint64_t entry, top, cr3;

	if (!start_handover() || !text_init())
		return false;
	say("lasthop: loader\n");
	boot.handover->check_only = check_is_wanted();
	if (!check_cpu() || !(boot.handover->check_only || load_files()) || !load_core(&entry) ||
	    !take_trampoline())
		return false;
	find_framebuffer();
	find_rsdp();
	uint8_t *stack = pages_alloc(JUMP_STACK_BYTES, PAGES_HANDOVER, UINT64_MAX);
	if (!stack)
		return refuse(EFI_OUT_OF_RESOURCES, "the firmware has no memory left");
	if (!memory_top(&top) || !build_page_tables(top, &cr3))
		return false;
	say("leaving the firmware\n");
	if (!leave_firmware())
		return false;
	jump(cr3, (uintptr_t)stack + JUMP_STACK_BYTES, DIRECT_MAP_BASE + (uintptr_t)boot.handover,
	     entry);
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
	boot.image = image;
	boot.system = system;
	boot.services = system->BootServices;
	/* Large images from a slow stick take longer than the firmware's five minutes. */
	boot.services->SetWatchdogTimer(0, 0, 0, NULL);
	start_core();
	pages_free_all();
	return boot.status;
}
