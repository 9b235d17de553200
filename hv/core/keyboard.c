/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The controller (IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device
 * Controller"): the keyboard's port on, its scan codes translated to set 1, the mouse's port and all
 * interrupts off. A machine without one has ports that read as all ones; each wait is bounded.
 */
#include "hv/core/keyboard.h"

#include "hv/core/log.h"
#include "hv/core/timer.h"
#include "hv/cpu/x86.h"

enum {
	PORT_DATA = 0x60,
	PORT_COMMAND = 0x64, /* and status */

	STATUS_OUTPUT = 0x01, /* a byte for us */
	STATUS_INPUT = 0x02,  /* our last one was not taken yet */
	STATUS_MOUSE = 0x20,  /* the byte for us is the mouse's */
	NO_PORT = 0xff,

	READ_CONFIG = 0x20,
	WRITE_CONFIG = 0x60,
	MOUSE_OFF = 0xa7,
	KEYBOARD_OFF = 0xad,
	KEYBOARD_ON = 0xae,

	CONFIG_INTERRUPTS = 0x03,
	CONFIG_KEYBOARD_OFF = 0x10,
	CONFIG_MOUSE_OFF = 0x20,
	CONFIG_TRANSLATE = 0x40,

	KEYBOARD_DEFAULTS = 0xf6,
	KEYBOARD_SCAN = 0xf4,
	ACKNOWLEDGED = 0xfa,

	STALE_BYTES = 64,
	WAIT_TURNS = 2000, /* of WAIT_US */
	WAIT_US = 10,
};

static bool present;
static struct keymap keymap;
static const char *typed = ""; /* what is left of the last key */

/* Waits until these bits of the status are as wanted. */
static bool await(uint8_t bits, uint8_t wanted)
{
	for (unsigned i = 0; i < WAIT_TURNS; i++) {
		if ((inb(PORT_COMMAND) & bits) == wanted)
			return true;
		delay_us(WAIT_US);
	}
	return false;
}

static bool put(uint16_t port, uint8_t value)
{
	if (!await(STATUS_INPUT, 0))
		return false;
	outb(port, value);
	return true;
}

static bool get(uint8_t *value)
{
	if (!await(STATUS_OUTPUT, STATUS_OUTPUT))
		return false;
	*value = inb(PORT_DATA);
	return true;
}

static void drop_stale(void)
{
	for (unsigned i = 0; i < STALE_BYTES && inb(PORT_COMMAND) & STATUS_OUTPUT; i++)
		(void)inb(PORT_DATA);
}

/* A command to the keyboard; what was typed before its answer is lost. */
static bool tell(uint8_t command)
{
	uint8_t answer = 0;

	if (!put(PORT_DATA, command))
		return false;
	for (unsigned i = 0; i < STALE_BYTES && answer != ACKNOWLEDGED; i++)
		if (!get(&answer))
			return false;
	return answer == ACKNOWLEDGED;
}

static bool controller_start(void)
{
	uint8_t config;

	if (inb(PORT_COMMAND) == NO_PORT || !put(PORT_COMMAND, KEYBOARD_OFF) ||
	    !put(PORT_COMMAND, MOUSE_OFF))
		return false;
	drop_stale();
	if (!put(PORT_COMMAND, READ_CONFIG) || !get(&config))
		return false;
	config &= (uint8_t) ~(CONFIG_INTERRUPTS | CONFIG_KEYBOARD_OFF);
	config |= CONFIG_MOUSE_OFF | CONFIG_TRANSLATE;
	return put(PORT_COMMAND, WRITE_CONFIG) && put(PORT_DATA, config) &&
	       put(PORT_COMMAND, KEYBOARD_ON);
}

bool keyboard_start(void)
{
	present = controller_start() && tell(KEYBOARD_DEFAULTS) && tell(KEYBOARD_SCAN);
	log_printf("keyboard: %s", present ? "at the PS/2 port, US layout"
					   : "none at the PS/2 port; USB is not supported");
	return present;
}

int keyboard_read(void)
{
	for (unsigned i = 0; i < STALE_BYTES && present && !*typed; i++) {
		uint8_t status = inb(PORT_COMMAND), byte;

		if (!(status & STATUS_OUTPUT))
			return -1;
		if (status == NO_PORT) {
			present = false;
			return -1;
		}
		byte = inb(PORT_DATA);
		if (!(status & STATUS_MOUSE))
			typed = keymap_take(&keymap, byte);
	}
	return *typed ? (unsigned char)*typed++ : -1;
}
