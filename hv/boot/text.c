/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loader's text: on the firmware's console, in the log that the core takes over, and on COM1.
 * Most firmware with a serial console copies its own console there; then writing to COM1 as well
 * would print each line twice. The variable ConOut (UEFI, "Globally Defined Variables") lists the
 * devices of the console: COM1 is written directly only if no UART is among them.
 */
#include "hv/boot/boot_impl.h"

#include <string.h>

#include "hv/core/fail.h"
#include "hv/core/log.h"
#include "hv/core/log_area.h"
#include "hv/core/text_ring.h"
#include "hv/cpu/x86.h"

enum { /* 16550, as on every PC */
       COM1 = 0x3f8,
       COM1_LINE_STATUS = COM1 + 5,
       LINE_STATUS_EMPTY = 1 << 5,
       DEBUG_PORT = 0xe9, /* reads as 0xe9 where there is one (hv/core/report.h) */
};

static struct log_area *log_area;
static struct text_ring ring; /* its text */
static bool serial;

/* Is a UART among the devices of this multi-instance device path? */
static bool path_has_uart(const uint8_t *path, size_t bytes)
{
	for (size_t at = 0; at + 4 <= bytes;) {
		size_t length = path[at + 2] | (size_t)path[at + 3] << 8;

		if (path[at] == MESSAGING_DEVICE_PATH && path[at + 1] == MSG_UART_DP)
			return true;
		if (length < 4)
			break;
		at += length;
	}
	return false;
}

static bool firmware_writes_serial(void)
{
	static EFI_GUID global = EFI_GLOBAL_VARIABLE;
	uint8_t path[2048];
	UINTN bytes = sizeof(path);
	EFI_STATUS status = boot.system->RuntimeServices->GetVariable((CHAR16 *)L"ConOut", &global,
								      NULL, &bytes, path);

	return !EFI_ERROR(status) && path_has_uart(path, bytes);
}

/* 115200 baud, 8 bits, no parity. False if no UART is there: its scratch register keeps a byte. */
static bool serial_init(void)
{
	outb(COM1 + 7, 0x5a);
	if (inb(COM1 + 7) != 0x5a)
		return false;
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 0x80);
	outb(COM1 + 0, 1);
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 3);
	outb(COM1 + 2, 7);
	outb(COM1 + 4, 3);
	return true;
}

bool text_init(void)
{
	serial = !firmware_writes_serial() && serial_init();
	log_area = log_area_find();
	boot.handover->log = (uintptr_t)log_area;
	if (!log_area)
		return refuse(EFI_OUT_OF_RESOURCES, "the firmware has no memory left");
	ring = (struct text_ring){ log_area->text, LOG_TEXT_BYTES, 0 };
	return true;
}

void text_alone(void)
{
	serial = serial || serial_init();
}

static void serial_char(char c)
{
	/* A line that nobody empties must not hold the boot: it is given up. */
	for (unsigned i = 0; i < 100000 && serial; i++)
		if (inb(COM1_LINE_STATUS) & LINE_STATUS_EMPTY) {
			outb(COM1, (uint8_t)c);
			return;
		}
	serial = false;
}

static void show_serial(const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			serial_char('\r');
		serial_char(*text);
	}
}

static void show_console(const char *text)
{
	CHAR16 wide[2] = { 0, 0 };

	for (; *text; text++) {
		if (*text == '\n') {
			boot.system->ConOut->OutputString(boot.system->ConOut, (CHAR16 *)L"\r\n");
		} else {
			wide[0] = (CHAR16)*text;
			boot.system->ConOut->OutputString(boot.system->ConOut, wide);
		}
	}
}

/* What we do ourselves first: the firmware may be in a bad way (text_alone). */
static void show(const char *text)
{
	if (serial)
		show_serial(text);
	show_console(text);
}

static void put(const char *text)
{
	size_t bytes = strlen(text);

	text_ring_put(&ring, text, bytes);
	if (log_area)
		log_area_put(log_area, ring.total, bytes, false);
	show(text);
}

void say_progress(const char *name, unsigned percent)
{
	char text[100];

	snprintf(text, sizeof(text), "\r%s: %u %%", name, percent);
	show(percent < 100 ? text : "\r");
}

void say(const char *fmt, ...)
{
	char text[400];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	put(text);
}

static void debug_text(const char *text)
{
	while (*text)
		outb(DEBUG_PORT, (uint8_t)*text++);
}

/* The event line of hv/core/report.h, with the reason as a JSON string. */
static void report_refused_event(const char *reason)
{
	if (inb(DEBUG_PORT) != DEBUG_PORT)
		return;
	debug_text("{\"lasthop\":1,\"event\":\"refused\",\"reason\":\"");
	for (; *reason; reason++) {
		if (*reason == '"' || *reason == '\\')
			outb(DEBUG_PORT, '\\');
		outb(DEBUG_PORT, *reason < ' ' ? ' ' : (uint8_t)*reason);
	}
	debug_text("\"}\n");
}

bool refuse(EFI_STATUS status, const char *fmt, ...)
{
	char reason[400];
	va_list args;

	va_start(args, fmt);
	vsnprintf(reason, sizeof(reason), fmt, args);
	va_end(args);
	put("lasthop cannot start: ");
	put(reason);
	put("\n");
	if (log_area) /* it is told, and nothing has died */
		log_area_put(log_area, ring.total, 0, true);
	report_refused_event(reason);
	boot.status = status;
	return false;
}

/* What code shared with the core calls (libfdt's stack check): back to the firmware. */
_Noreturn void panic(const char *fmt, ...)
{
	char reason[200];
	va_list args;

	va_start(args, fmt);
	vsnprintf(reason, sizeof(reason), fmt, args);
	va_end(args);
	refuse(EFI_ABORTED, "%s", reason);
	pages_free_all();
	boot.services->Exit(boot.image, EFI_ABORTED, 0, NULL);
	for (;;)
		__asm__ volatile("hlt");
}
