/* SPDX-License-Identifier: BSD-2-Clause */
/* A machine's PCI functions, faked: configuration space with masks, and a journal of what is written. */
#pragma once

#include <stdint.h>

#include "hv/core/host_pci.h"

#define FAKE_FUNCTIONS 300

struct fake_function {
	struct pci_address address;
	uint8_t config[4096];
	uint8_t writable[4096]; /* bits that keep what is written */
	unsigned last_capability, capabilities_end;
};

extern char fake_journal[8192]; /* writes: "00:03.0 04.2=0400\n" */
extern unsigned fake_config_reads;
extern void (*fake_config_written)(struct fake_function *f, unsigned at, unsigned bytes);

void fake_pci_reset(void);
void fake_journal_clear(void);
/* An endpoint with bus mastering on, as firmware leaves it. */
struct fake_function *fake_pci_add(uint8_t bus, uint8_t device, uint8_t function, uint32_t id);
/* A bridge, with a PCIe capability of that port type; negative: a conventional one. */
struct fake_function *fake_pci_bridge(uint8_t bus, uint8_t device, uint8_t secondary, int type);
void fake_pci_set(struct fake_function *f, unsigned at, unsigned bytes, uint32_t value);
uint32_t fake_pci_get(const struct fake_function *f, unsigned at, unsigned bytes);
/* flags: the BAR's low bits (1: ports, 4: of 64 bits); bytes: a power of two. */
void fake_pci_bar(struct fake_function *f, unsigned bar, uint64_t base, uint64_t bytes,
		  unsigned flags);
/* In the order of the calls; where it is. */
unsigned fake_pci_capability(struct fake_function *f, uint8_t id, unsigned bytes);
/* A PCIe capability with that port type, and FLR. */
unsigned fake_pci_express(struct fake_function *f, unsigned type, unsigned flr);
/* Access control services with these capabilities. */
void fake_pci_acs(struct fake_function *f, uint16_t capabilities);
