/* SPDX-License-Identifier: BSD-2-Clause */
/* The NICs that the bundled driver domain drives (drivers/), by vendor and device. */
#pragma once

/* name, vendor, device */
#define BUNDLED_NICS(X)                                                                            \
	X(e1000, 0x8086, 0x100e)                                                                   \
	X(e1000e, 0x8086, 0x10d3)                                                                  \
	X(virtio_net, 0x1af4, 0x1041)

#define NIC_IDS(name, vendor, device) NIC_VENDOR_##name = (vendor), NIC_DEVICE_##name = (device),
enum nic_ids { BUNDLED_NICS(NIC_IDS) };
#undef NIC_IDS
