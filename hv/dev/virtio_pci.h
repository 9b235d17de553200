/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The modern PCI transport of a virtio device (virtio 1.2, section 4.1): negotiation, queue set-up,
 * notification and interrupts. The device behind it (virtio_net.c) starts and stops queues.
 *
 * BAR 0: common configuration, ISR, device configuration. BAR 2: notification, I/O ports, 4 bytes a
 * queue. BAR 4: MSI-X. Interrupt Pin is 0: without MSI-X a driver has to poll the ISR byte.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/core/lock.h"
#include "hv/dev/msix.h"
#include "hv/dev/pcie.h"

#define VIRTIO_MAX_QUEUES   17
#define VIRTIO_QUEUE_SIZE   1024 /* the largest there may be */
#define VIRTIO_NOTIFY_BYTES 4u	 /* of port space for each queue */

/* virtio 1.2, 2.1: device status */
#define VIRTIO_ACKNOWLEDGE 1u
#define VIRTIO_DRIVER	   2u
#define VIRTIO_DRIVER_OK   4u
#define VIRTIO_FEATURES_OK 8u
#define VIRTIO_NEEDS_RESET 64u
#define VIRTIO_FAILED	   128u

struct virtio_pci;

/* What the driver set up; constant while it is enabled. */
struct virtio_queue {
	uint16_t size;
	bool enabled;
	uint64_t desc, driver, device;
};

/* The device behind the transport. All but notify() under the transport's lock. */
struct virtio_device_ops {
	/* Starts an enabled queue; false (and logged): the driver gave nonsense. */
	bool (*queue_start)(struct virtio_pci *v, unsigned queue);
	/* Stops it if it runs; afterwards nobody touches its rings. */
	void (*queue_stop)(struct virtio_pci *v, unsigned queue);
	/* A kick. Any CPU, no lock; the queue number is below queue_count. */
	void (*notify)(struct virtio_pci *v, unsigned queue);
	/* The device configuration as bytes: [at, at + bytes), zeroes past its end. */
	/* NULL: the device has no config of its own */
	uint64_t (*config_read)(struct virtio_pci *v, unsigned at, unsigned bytes);
};

/* (c) constant [v] under lock (a) atomic */
struct virtio_pci {
	struct pci_function pci;
	struct msix msix;
	struct vm *vm;			     /* (c) */
	const struct virtio_device_ops *ops; /* (c) */
	unsigned queue_count;		     /* (c) */
	uint16_t queue_size;		     /* (c) the largest */
	uint64_t offered;		     /* (c) feature bits */
	struct bus_region registers, notify;
	unsigned pci_window; /* (c) capability: BAR access by configuration space */
	bool master;	     /* under the pcie lock: the Bus Master bit as it was seen last */

	struct spinlock lock;
	uint64_t accepted;				  /* [v] feature bits */
	uint32_t offered_select, accepted_select;	  /* [v] */
	uint16_t queue_select;				  /* [v] */
	struct virtio_queue queue[VIRTIO_MAX_QUEUES];	  /* [v] */
	_Atomic uint16_t queue_vector[VIRTIO_MAX_QUEUES]; /* (a) */
	_Atomic uint16_t config_vector;			  /* (a) */
	_Atomic uint8_t status;	    /* (a) set under the lock, but for NEEDS_RESET */
	_Atomic uint8_t isr;	    /* (a) bit 0 queue, bit 1 configuration */
	_Atomic uint8_t generation; /* (a) of the device configuration */
};

struct virtio_pci_setup {
	struct vm *vm;
	uint16_t type; /* virtio device ID */
	uint32_t class_code;
	uint16_t subsystem; /* PCI subsystem device ID; 0: as the device ID */
	unsigned queue_count;
	uint16_t queue_size; /* the largest it offers, a power of two */
	uint64_t features;
	const struct virtio_device_ops *ops;
};

/* Makes the function: header, capabilities, BARs; pcie_attach() comes next. */
void virtio_pci_init(struct virtio_pci *v, const struct virtio_pci_setup *setup);

/* Stops all queues, as a reset by the driver does. */
void virtio_pci_reset(struct virtio_pci *v);

/* Interrupts, from any CPU, whatever locks of the switch are held. */
void virtio_pci_queue_interrupt(struct virtio_pci *v, unsigned queue);
/* The device configuration has changed: the driver, if it runs, is to read it again. */
void virtio_pci_config_changed(struct virtio_pci *v);
/* The driver broke a rule: NEEDS_RESET and a configuration interrupt. */
void virtio_pci_broken(struct virtio_pci *v);

/* The vCPU that gets the queue's interrupt; vCPU 0 if that is not set up. */
struct vcpu *virtio_pci_queue_vcpu(struct virtio_pci *v, unsigned queue);
