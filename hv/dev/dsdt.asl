/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's DSDT: host bridge with its windows, the ECAM range (Linux refuses ECAM that no
 * PNP0C02 covers), the clock, the serial port, S5. Goes through the C preprocessor first: the addresses are
 * those of hv/core/guest_map.h. Processors, one per vCPU, are in an SSDT (acpi_tables.c).
 */
#include "hv/core/guest_map.h"

/* iasl folds no arithmetic in resource descriptors */
#define IO_LAST   0xFFFF
#define IO_BYTES  0xF000
#define BAR_LAST  0xDFFFFFFF
#define BAR_BYTES 0x20000000
#if IO_LAST != GUEST_IO_END - 1 || IO_BYTES != GUEST_IO_END - GUEST_IO_WINDOW || \
	BAR_LAST != GUEST_BAR_END - 1 || BAR_BYTES != GUEST_BAR_END - GUEST_BAR_WINDOW
#error "the bridge's windows differ from hv/core/guest_map.h"
#endif

/* INTA of device n, in four hexadecimal digits */
#if GUEST_PIN_FIRST != 16 || GUEST_PINS != 8
#error "the bridge's _PRT differs from hv/core/guest_map.h"
#endif
#define PIN(n, gsi) Package () { 0x##n##FFFF, 0, 0, gsi }

DefinitionBlock ("", "DSDT", 2, "LSTHOP", "LASTHOP ", 1)
{
	Name (\_S5, Package () { GUEST_SLEEP_TYPE_S5, 0, 0, 0 })

	Scope (\_SB)
	{
		Device (PCI0)
		{
			Name (_HID, EisaId ("PNP0A08"))
			Name (_CID, EisaId ("PNP0A03"))
			Name (_SEG, 0)
			Name (_BBN, 0)
			Name (_UID, 0)
			Name (_CRS, ResourceTemplate ()
			{
				WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
					0, 0, 0, 0, 1)
				WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
					0, GUEST_IO_WINDOW, IO_LAST, 0, IO_BYTES)
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed,
					NonCacheable, ReadWrite,
					0, GUEST_BAR_WINDOW, BAR_LAST, 0, BAR_BYTES)
			})
			/* only devices that are passed through have pins */
			Name (_PRT, Package ()
			{
				PIN (0000, 16), PIN (0001, 17), PIN (0002, 18), PIN (0003, 19),
				PIN (0004, 20), PIN (0005, 21), PIN (0006, 22), PIN (0007, 23),
				PIN (0008, 16), PIN (0009, 17), PIN (000A, 18), PIN (000B, 19),
				PIN (000C, 20), PIN (000D, 21), PIN (000E, 22), PIN (000F, 23),
				PIN (0010, 16), PIN (0011, 17), PIN (0012, 18), PIN (0013, 19),
				PIN (0014, 20), PIN (0015, 21), PIN (0016, 22), PIN (0017, 23),
				PIN (0018, 16), PIN (0019, 17), PIN (001A, 18), PIN (001B, 19),
				PIN (001C, 20), PIN (001D, 21), PIN (001E, 22), PIN (001F, 23)
			})
		}

		Device (ECAM)
		{
			Name (_HID, EisaId ("PNP0C02"))
			Name (_UID, 0)
			Name (_CRS, ResourceTemplate ()
			{
				Memory32Fixed (ReadWrite, GUEST_ECAM_BASE, GUEST_ECAM_BYTES)
			})
		}

		Device (RTC0) /* no interrupt: it has no alarms */
		{
			Name (_HID, EisaId ("PNP0B00"))
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, GUEST_RTC_PORT, GUEST_RTC_PORT, 1, 2)
			})
		}

		Device (COM1)
		{
			Name (_HID, EisaId ("PNP0501"))
			Name (_UID, 0)
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, GUEST_UART_PORT, GUEST_UART_PORT, 1, 8)
				Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive)
				{
					GUEST_UART_IRQ
				}
			})
		}
	}
}
