/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The config file, parsed: a device tree blob checked against the binding in
 * include/lasthop/config.h. The same file config.c runs in the loader (what is wrong in the file),
 * in the core (what does not fit the machine) and on the host (`lasthop check`). It needs libfdt,
 * <string.h> (in the core: hv/core/libc/), and nothing else: no allocation, no printing of its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lasthop/config.h"
#include "lasthop/policy.h"

struct config_net {
	char name[CONFIG_MAX_NAME + 1]; /* node name: the port is "vm/name" */
	unsigned switch_index;		/* in config.switches */
	uint8_t mac[6];	      /* from local-mac-address, else derived from VM and node name */
	unsigned queue_pairs; /* 1.. */
	unsigned mtu;
	bool uplink;		  /* leads to the world: of a driver domain */
	bool link_follows_uplink; /* its guest's link is down while no uplink of the switch is up */
};

/* A PCI function of the machine for a VM. */
struct config_passthrough {
	char name[CONFIG_MAX_NAME + 1];
	bool by_address; /* bus and devfn (device << 3 | function) count, else vendor and device */
	uint8_t bus, devfn;	 /* segment 0 */
	uint16_t vendor, device; /* the first such function that no other node has */
	int interrupt_gsi;	 /* of its INTx pin; negative: what firmware has written there */
};

/* Whether the processor virtualises a VM's local APICs. */
enum config_apicv {
	CONFIG_APICV_AUTO, /* if it can */
	CONFIG_APICV_ON,   /* or the VM is refused */
	CONFIG_APICV_OFF,
};

struct config_vm {
	char name[CONFIG_MAX_NAME + 1];
	unsigned cpus;				 /* vCPUs */
	uint64_t affinity[CONFIG_MAX_CPUS / 64]; /* bit = physical CPU; all ones if not given */
	bool affinity_given;
	uint64_t memory_mib;
	char kernel[CONFIG_MAX_FILE + 1];
	char initrd[CONFIG_MAX_FILE + 1]; /* "" if there is none */
	char bootargs[CONFIG_MAX_BOOTARGS + 1];
	enum config_apicv apicv;
	bool virtio_console;   /* console = "virtio": beside the UART */
	bool no_fast_strings;  /* hide ERMS, FSRM and fast strings from the guest */
	bool disabled;	       /* status = "disabled": configured, not started */
	bool driver_domain;    /* role = "driver-domain" */
	bool allow_unsafe_dma; /* passthrough without an IOMMU */
	unsigned net_count;
	struct config_net nets[CONFIG_MAX_NETS];
	unsigned passthrough_count;
	struct config_passthrough passthroughs[CONFIG_MAX_PASSTHROUGHS];
};

struct config_switch {
	char name[CONFIG_MAX_NAME + 1];
	unsigned ports; /* net devices on it, those of disabled VMs included */
};

struct config {
	unsigned switch_count;
	struct config_switch switches[CONFIG_MAX_SWITCHES];
	unsigned vm_count;
	struct config_vm vms[CONFIG_MAX_VMS];
	uint32_t policy[POLICY_COUNT];
};

/*
 * One error. node is the path ("/vms/alice"), property "" where the node itself is meant; text
 * says what is wrong and what would be right, without the place.
 */
struct config_error {
	char node[96];
	char property[40];
	char text[224]; /* the longest names of files and VMs leave room for the mend */
};

/* Called once for each error, in the order of the file. */
typedef void config_error_fn(void *context, const struct config_error *error);

/*
 * Parses and checks dtb[0..bytes). Reports every error through report(context, …) and returns
 * their number; 0 means *config is complete. The blob may hold anything: it is checked
 * (fdt_check_full) before it is walked. *config is about 300 KiB: not for a stack.
 */
unsigned config_parse(const void *dtb, size_t bytes, struct config *config, config_error_fn *report,
		      void *context);

/* What config_check_machine() compares with. */
struct config_machine {
	unsigned cpus;	   /* physical CPUs */
	uint64_t free_mib; /* memory for guests; UINT64_MAX: not known (host) */
	const char
		*apicv_lacks; /* what it lacks to virtualise APICs; NULL: nothing, or not known */
};

/* Checks *config against a machine; reports and counts like config_parse(). */
unsigned config_check_machine(const struct config *config, const struct config_machine *machine,
			      config_error_fn *report, void *context);

/*
 * Checks one image named by a VM's kernel or initrd property: size within bounds; a kernel must
 * be an ELF64 x86-64 executable with a PVH entry note, or a Linux bzImage with a 64-bit entry, and
 * fit into the VM's memory.
 * property is "kernel" or "initrd". data = NULL: the file is missing (bytes = 0), or one of those
 * below. Reports and counts like config_parse().
 */
#define CONFIG_IMAGE_FOLDER	((size_t)-1)
#define CONFIG_IMAGE_UNREADABLE ((size_t)-2)
unsigned config_check_image(const struct config_vm *vm, const char *property, const void *data,
			    size_t bytes, config_error_fn *report, void *context);

/* Checks whether a VM's initrd has room beside its kernel, both being fit for themselves. Reports and
 * counts alike. */
unsigned config_check_fit(const struct config_vm *vm, const void *kernel, size_t kernel_bytes,
			  size_t initrd_bytes, config_error_fn *report, void *context);

/* What a property may hold. docs/config.md lists them all and is compared with these rows. */
enum config_kind {
	CONFIG_STRING, /* min and max count characters */
	CONFIG_CELL,   /* one 32-bit number, min to max */
	CONFIG_CELLS,  /* min to max of them */
	CONFIG_BYTES,  /* min of them, as in [52 54 00 00 00 01] */
	CONFIG_FLAG,   /* no value: there or not */
	CONFIG_LINK,   /* <&LABEL> of another node */
};

/* What a change of a property, or of a node, asks of a machine that runs (hv/core/config_diff.h);
 * those behind ask more. */
enum config_effect {
	CONFIG_NEVER,	/* it cannot be another: the version of the format */
	CONFIG_LIVE,	/* nothing stops */
	CONFIG_POWER,	/* its VM starts or stops */
	CONFIG_RESTART, /* its VM is made anew */
	CONFIG_BOOT,	/* lasthop itself must start anew: refused while it runs */
};
const char *config_effect_name(enum config_effect effect); /* "never", "live", … */

struct config_property {
	const char *node; /* root, policy, switch, vm, net or passthrough */
	const char *name;
	enum config_kind kind;
	bool required;
	uint32_t min, max;
	enum config_effect effect;
	const char *example; /* as written in a .dts file, without the semicolon */
};

/* The known properties, in the order of docs/config.md; false from their number on. */
bool config_property_at(size_t index, struct config_property *property);
const char *config_kind_name(enum config_kind kind); /* "string", "cell", … */

/* One line for people: "FILE: NODE: PROPERTY: text", NUL-terminated. Returns its length. */
size_t config_error_format(const struct config_error *error, const char *file, char *out,
			   size_t room);
