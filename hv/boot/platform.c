/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the firmware knows of the machine and the core cannot ask later: the framebuffer, the
 * place of the ACPI tables, and a free page below 1 MiB for starting the other CPUs.
 */
#include "hv/boot/boot_impl.h"

#include <string.h>

#define ONE_MIB (1ull << 20)

/* UEFI, "EFI_GRAPHICS_OUTPUT_PROTOCOL", EFI_PIXEL_BITMASK: which bits of a pixel are what. */
static bool pixel_bits(const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info, EFI_PIXEL_BITMASK *bits)
{
	switch (info->PixelFormat) {
	case PixelRedGreenBlueReserved8BitPerColor:
		*bits = (EFI_PIXEL_BITMASK){ 0xff, 0xff00, 0xff0000, 0xff000000 };
		return true;
	case PixelBlueGreenRedReserved8BitPerColor:
		*bits = (EFI_PIXEL_BITMASK){ 0xff0000, 0xff00, 0xff, 0xff000000 };
		return true;
	case PixelBitMask:
		*bits = info->PixelInformation;
		return true;
	default: /* no framebuffer that can be written to */
		return false;
	}
}

/* The core checks what it says (hv/core/framebuffer.h). */
static bool take_framebuffer(const EFI_GRAPHICS_OUTPUT_PROTOCOL *gop)
{
	const EFI_GRAPHICS_OUTPUT_PROTOCOL_MODE *mode = gop->Mode;
	EFI_PIXEL_BITMASK bits;

	if (!mode || !mode->Info || !mode->FrameBufferBase || !pixel_bits(mode->Info, &bits))
		return false;
	boot.handover->fb = (struct handover_fb){
		.addr = mode->FrameBufferBase,
		.bytes = mode->FrameBufferSize,
		.width = mode->Info->HorizontalResolution,
		.height = mode->Info->VerticalResolution,
		.stride_px = mode->Info->PixelsPerScanLine,
		.red = bits.RedMask,
		.green = bits.GreenMask,
		.blue = bits.BlueMask,
		.unused = bits.ReservedMask,
	};
	return true;
}

/* Several handles can have the protocol; the firmware's splitter among them has no memory. */
void find_framebuffer(void)
{
	static EFI_GUID graphics = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
	EFI_GRAPHICS_OUTPUT_PROTOCOL *gop;
	EFI_HANDLE *handles = NULL;
	bool found = false;
	UINTN count = 0;

	if (EFI_ERROR(boot.services->LocateHandleBuffer(ByProtocol, &graphics, NULL, &count,
							&handles)))
		count = 0;
	for (UINTN i = 0; i < count && !found; i++)
		found = !EFI_ERROR(boot.services->HandleProtocol(handles[i], &graphics,
								 (void **)&gop)) &&
			take_framebuffer(gop);
	if (handles)
		boot.services->FreePool(handles);
	if (found)
		say("screen: %u x %u\n", boot.handover->fb.width, boot.handover->fb.height);
	else
		say("screen: none that can be written to\n");
}

void find_rsdp(void)
{
	static const EFI_GUID acpi2 = ACPI_20_TABLE_GUID, acpi1 = ACPI_TABLE_GUID;
	const EFI_CONFIGURATION_TABLE *tables = boot.system->ConfigurationTable;
	uint64_t old = 0;

	for (UINTN i = 0; i < boot.system->NumberOfTableEntries; i++) {
		uint64_t address = (uintptr_t)tables[i].VendorTable;

		if (!memcmp(&tables[i].VendorGuid, &acpi2, sizeof(acpi2)) && !boot.handover->rsdp)
			boot.handover->rsdp = address;
		else if (!memcmp(&tables[i].VendorGuid, &acpi1, sizeof(acpi1)))
			old = address;
	}
	if (!boot.handover->rsdp)
		boot.handover->rsdp = old;
	if (!boot.handover->rsdp)
		say("acpi: the firmware has no tables\n");
}

/* A start-up IPI names a page below 1 MiB. Page 0 would do for it, but is a null pointer's. */
bool take_trampoline(void)
{
	void *page = pages_alloc(PAGE_BYTES, PAGES_HANDOVER, ONE_MIB);

	if (!page) /* none, or page 0: then it is taken now, and there may be another */
		page = pages_alloc(PAGE_BYTES, PAGES_HANDOVER, ONE_MIB);
	if (!page)
		return refuse(EFI_OUT_OF_RESOURCES,
			      "no free page below 1 MiB: the other CPUs cannot "
			      "be started");
	boot.handover->trampoline = (uintptr_t)page;
	return true;
}
