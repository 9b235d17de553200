/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a driver domain tells an uplink, which leads to the switch, from a NIC: an uplink is a
 * virtio-net device with this PCI subsystem device ID. Uplinks and NICs belong together by their
 * order on the bus.
 */
#pragma once

#define UPLINK_PCI_SUBSYSTEM 0x4c48u /* "LH" */
