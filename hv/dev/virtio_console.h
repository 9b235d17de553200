/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtio console device (virtio 1.2, section 5.3), for a VM whose config asks for it: one port,
 * `hvc0` in Linux, beside the UART and with the same console behind it. Without multiport, size or
 * emergency write: it stands for a serial line, whose size nobody knows.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/dev/device_queue.h"

struct virtio_console {
	struct virtio_pci virtio;
	struct device_queue receive, transmit;
	uint32_t sent; /* under transmit's lock: bytes of its next buffer that were taken already */
	char typed;    /* under receive's lock: on its way into a buffer */
};

int virtio_console_init(struct virtio_console *console, struct vm *vm, struct pcie *pcie);
void virtio_console_finish(struct virtio_console *console);

/* Whether a driver runs that receives: what is typed is for it then, and for the UART else. Any CPU. */
bool virtio_console_listens(struct virtio_console *console);

/* A character comes in; false: there is no buffer for it now. Any CPU. */
bool virtio_console_receive(struct virtio_console *console, char c);
