/* SPDX-License-Identifier: BSD-2-Clause */
/* What passthrough asks of the host, faked: vectors, the I/O APIC, an IOMMU, device memory; and what it
 * asks of the VM's nested tables. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/core/host_irq.h"
#include "hv/cpu/addr.h"
#include "hv/dev/iommu.h"

#define FAKE_GSIS	  32
#define FAKE_DEVICE_BYTES (1u << 20)
#define FAKE_DEVICE_BASE  0xfe000000ull /* device memory: this much of it */
#define FAKE_PAGES	  1024
#define FAKE_IOMMU	  0xfe0f0000ull /* its registers */

/* What happened, in order: "master-off", … (fake_did()). */
extern char fake_order[4096];
void fake_did(const char *what);

extern struct host_irq *fake_irq[256]; /* by vector */
extern unsigned fake_irq_left;	       /* until host_irq_alloc() fails */
extern uint64_t fake_redirection[FAKE_GSIS];
extern bool fake_pin_masked[FAKE_GSIS];
extern uint8_t fake_device[FAKE_DEVICE_BYTES];

/* Where a guest page of device memory leads: 0 if nowhere. */
uint64_t fake_nested(uint64_t gpa);

extern const struct iommu_ops fake_iommu_ops; /* for `iommu` */
extern int fake_attach_error;
extern uint64_t fake_iommu_mapped; /* bytes */
extern uint64_t fake_faults;	   /* of device 4 of any bus */
extern uint64_t fake_released;	   /* bytes that the screen is not to be in, since */
extern unsigned fake_remaps;	   /* handles in use */
extern int fake_cut_off;	   /* handle; negative: none */
extern bool fake_ioapic_unnamed;   /* firmware does not tell the IOMMU of it */
extern bool fake_kernel_is_linux;  /* that of every VM */
extern uint64_t fake_ram_at;	   /* a byte of RAM among device memory; 0: none */

void fake_host_reset(void);
