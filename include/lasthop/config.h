/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names and limits of the config binding "lasthop,config-1" (docs/config.md).
 */
#pragma once

#define CONFIG_COMPATIBLE	      "lasthop,config-1"
#define CONFIG_SWITCH_COMPATIBLE      "lasthop,switch"
#define CONFIG_VM_COMPATIBLE	      "lasthop,vm"
#define CONFIG_NET_COMPATIBLE	      "lasthop,net"
#define CONFIG_PASSTHROUGH_COMPATIBLE "lasthop,passthrough"

#define CONFIG_MAX_DTB_BYTES   (1u << 20)
#define CONFIG_MAX_DEPTH       8	      /* of nodes in nodes, the root not counted */
#define CONFIG_MAX_IMAGE_BYTES (512ull << 20) /* a kernel or an initrd */
#define CONFIG_MAX_SWITCHES    16
#define CONFIG_MAX_PORTS       64 /* a switch */
#define CONFIG_MAX_VMS	       64
#define CONFIG_MAX_VCPUS       32 /* a VM */
#define CONFIG_MAX_NETS                                                                            \
	30 /* a VM, passthrough nodes too: slots 1 to 31 of its bus, less one for virtio-rng,
	     and one for virtio-console where there is one */
#define CONFIG_MAX_PASSTHROUGHS 8 /* a VM */
#define CONFIG_MAX_UPLINKS	(CONFIG_MAX_SWITCHES * CONFIG_MAX_PORTS)
#define CONFIG_MAX_QUEUE_PAIRS	8
#define CONFIG_MAX_NAME		31
#define CONFIG_MAX_FILE		63   /* length of an image's name */
#define CONFIG_MAX_BOOTARGS	2047 /* as COMMAND_LINE_SIZE of Linux, less the NUL */
#define CONFIG_MIN_MEMORY_MIB	4
#define CONFIG_MAX_MEMORY_MIB	(1u << 20)
#define CONFIG_MAX_CPUS		256 /* cpu-affinity names CPUs below this */
#define CONFIG_MAX_GSI		1023
#define CONFIG_MIN_MTU		68 /* max-frame-size is the MTU, as Linux reads it */
#define CONFIG_DEFAULT_MTU	1500
#define CONFIG_MAX_MTU		9000
