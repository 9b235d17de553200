/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A firmware that never ends its boot services: the loader, which is compiled with its efi_main() as
 * loader_main(), finds an ExitBootServices() here that refuses every key.
 */
#include <efi.h>

EFI_STATUS loader_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);
EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

static EFI_STATUS EFIAPI refuse_exit(EFI_HANDLE image, UINTN key)
{
	(void)image;
	(void)key;
	return EFI_INVALID_PARAMETER;
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
	static EFI_BOOT_SERVICES services;
	EFI_BOOT_SERVICES *firmware = system->BootServices;
	EFI_STATUS status;

	services = *firmware;
	services.ExitBootServices = refuse_exit;
	system->BootServices = &services;
	status = loader_main(image, system);
	system->BootServices = firmware;
	return status;
}
