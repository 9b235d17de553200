/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the firmware knows of the machine and the core cannot ask later: the framebuffer, the
 * place of the ACPI tables, and a free page below 1 MiB for starting the other CPUs.
 */
#include "hv/boot/boot_impl.h"

#include <string.h>

#define ONE_MIB (1ull << 20)

/* A linear framebuffer of 32 bits a pixel, large enough for what it says it shows. */
static bool take_framebuffer(const EFI_GRAPHICS_OUTPUT_PROTOCOL *gop)
{
	const EFI_GRAPHICS_OUTPUT_PROTOCOL_MODE *mode = gop->Mode;
	struct handover_fb *fb = &boot.handover->fb;

	if (!mode || !mode->Info || !mode->FrameBufferBase)
		return false;
	const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info = mode->Info;
	if (info->PixelFormat != PixelRedGreenBlueReserved8BitPerColor &&
	    info->PixelFormat != PixelBlueGreenRedReserved8BitPerColor)
		return false;
	if (!info->HorizontalResolution || !info->VerticalResolution ||
	    info->PixelsPerScanLine < info->HorizontalResolution ||
	    (uint64_t)info->PixelsPerScanLine * info->VerticalResolution >
		    mode->FrameBufferSize / 4)
		return false;
	fb->addr = mode->FrameBufferBase;
	fb->bytes = mode->FrameBufferSize;
	fb->width = info->HorizontalResolution;
	fb->height = info->VerticalResolution;
	fb->stride_px = info->PixelsPerScanLine;
	fb->bgr = info->PixelFormat == PixelBlueGreenRedReserved8BitPerColor;
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
