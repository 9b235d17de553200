/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisor's own lists of what it wants, with Linux's files for the machine: CPUID is read on each
 * CPU, MSRs in /dev/cpu/N/msr (module msr, root), the remapping units' registers in /sys/class/iommu,
 * configuration space in /sys/bus/pci. What may not be read is unknown.
 */
#define _GNU_SOURCE
#include "scripts/check_host.h"

#include <fcntl.h>
#include <glob.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hv/core/host_pci.h"
#include "hv/cpu/cpu_features.h"
#include "hv/dev/pci_scan.h"
#include "hv/dev/vtd_features.h"

#define DMAR_TABLE "/sys/firmware/acpi/tables/DMAR"
#define DMAR_FLAGS 37 /* ACPI 6.5, 5.2.6, and VT-d, "DMA Remapping Reporting Structure" */
#define INTR_REMAP 1

enum { MOST_CPUS = CPU_SETSIZE };

void log_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* What pci_scan() says of what it does to devices is not so here. */
void log_printf(const char *fmt, ...)
{
	(void)fmt;
}

uint32_t host_pci_read(struct pci_address a, unsigned at, unsigned bytes)
{
	uint32_t value = 0;
	char path[80];
	ssize_t got;
	int file;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/0000:" PCI_ADDRESS_FORMAT "/config",
		 PCI_ADDRESS_ARGS(a));
	file = open(path, O_RDONLY | O_CLOEXEC);
	got = file < 0 ? -1 : pread(file, &value, bytes, at);
	if (file >= 0)
		close(file);
	return got == (ssize_t)bytes ? value : ~0u >> (32 - 8 * bytes);
}

/* Nothing of the machine is changed. */
void host_pci_write(struct pci_address a, unsigned at, unsigned bytes, uint32_t value)
{
	(void)a;
	(void)at;
	(void)bytes;
	(void)value;
}

static bool read_msr(void *context, uint32_t msr, uint64_t *value)
{
	const int *file = context;

	return *file >= 0 && pread(*file, value, sizeof(*value), msr) == sizeof(*value);
}

/* Of the CPU with this number; false: we cannot run there. */
static bool read_cpu(unsigned cpu, struct cpu_facts *facts)
{
	char path[40];
	cpu_set_t set;
	int msrs;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		return false;
	snprintf(path, sizeof(path), "/dev/cpu/%u/msr", cpu);
	msrs = open(path, O_RDONLY | O_CLOEXEC);
	cpu_facts_read(facts, read_msr, &msrs);
	if (msrs >= 0)
		close(msrs);
	return true;
}

/* Of the first CPU; *differing: how many others are not the same. Returns how many there are. */
static unsigned read_cpus(struct cpu_facts *first, unsigned *differing)
{
	struct cpu_facts facts;
	unsigned count = 0;
	cpu_set_t ours;

	*differing = 0;
	if (sched_getaffinity(0, sizeof(ours), &ours))
		return 0;
	for (unsigned cpu = 0; cpu < MOST_CPUS; cpu++) {
		if (!CPU_ISSET(cpu, &ours) || !read_cpu(cpu, count ? &facts : first))
			continue;
		*differing += count && memcmp(&facts, first, sizeof(facts));
		count++;
	}
	sched_setaffinity(0, sizeof(ours), &ours);
	return count;
}

static bool read_number(const char *path, uint64_t *value)
{
	FILE *file = fopen(path, "re");
	unsigned long long number;
	bool good = file && fscanf(file, "%llx", &number) == 1;

	if (file)
		fclose(file);
	if (good)
		*value = number;
	return good;
}

static void read_iommu(struct iommu_facts *facts)
{
	uint8_t flags = 0;
	glob_t found;
	int table;

	*facts = (struct iommu_facts){ .cap = ~0ull, .ecap = ~0ull, .known = true };
	table = open(DMAR_TABLE, O_RDONLY | O_CLOEXEC);
	facts->present = access(DMAR_TABLE, F_OK) == 0;
	facts->read = table >= 0 && pread(table, &flags, 1, DMAR_FLAGS) == 1;
	facts->interrupts = flags & INTR_REMAP;
	if (table >= 0)
		close(table);
	if (glob("/sys/class/iommu/dmar*/intel-iommu", 0, NULL, &found))
		found.gl_pathc = 0;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		uint64_t cap = 0, ecap = 0;
		char path[300];

		snprintf(path, sizeof(path), "%s/cap", found.gl_pathv[i]);
		facts->known = facts->known && read_number(path, &cap);
		snprintf(path, sizeof(path), "%s/ecap", found.gl_pathv[i]);
		facts->known = facts->known && read_number(path, &ecap);
		facts->cap &= cap;
		facts->ecap &= ecap;
		facts->units++;
	}
	facts->present |= facts->units > 0;
	facts->known = facts->known && facts->units > 0;
	if (found.gl_pathc)
		globfree(&found);
}

static void print(void *context, const char *part, const char *where, const char *name,
		  enum feature_state state)
{
	(void)context;
	printf("{\"part\":\"%s\",\"where\":\"%s\",\"name\":\"%s\",\"state\":\"%s\"}\n", part, where,
	       name, feature_state_name(state));
}

int check_host(void)
{
	struct cpu_facts cpu;
	struct iommu_facts iommu;
	unsigned differing, cpus = read_cpus(&cpu, &differing);

	if (cpus == 0) {
		fprintf(stderr, "lasthop-check: no CPU of this machine can be looked at\n");
		return 2;
	}
	read_iommu(&iommu);
	pci_scan();
	cpu_features(&cpu, cpus, differing, print, NULL);
	iommu_features(&iommu, print, NULL);
	nic_features(geteuid() == 0, print, NULL);
	return 0;
}
