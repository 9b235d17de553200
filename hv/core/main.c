/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The core's start, in order, and the one file that names backends and devices. What goes wrong
 * before a VM starts is told in one sentence, and nothing is started.
 */
#include "hv/core/main.h"

#include "hv/core/acpi.h"
#include "hv/core/apply.h"
#include "hv/core/config.h"
#include "hv/core/console.h"
#include "hv/core/fpu.h"
#include "hv/core/host_ioapic.h"
#include "hv/core/host_irq.h"
#include "hv/core/images.h"
#include "hv/core/last_boot.h"
#include "hv/core/lifecycle.h"
#include "hv/core/log.h"
#include "hv/core/mgmt.h"
#include "hv/core/paging.h"
#include "hv/core/platform.h"
#include "hv/core/pmm.h"
#include "hv/core/report.h"
#include "hv/core/sched.h"
#include "hv/core/screen.h"
#include "hv/core/smp.h"
#include "hv/core/trap.h"
#include "hv/core/wall.h"
#include "hv/cpu/detect.h"
#include "hv/cpu/lapic.h"
#include "hv/dev/check_only.h"
#include "hv/dev/iommu.h"
#include "hv/dev/pc.h"

const struct hvm_ops *hvm;
const struct apic_ops *apic_ops;
const struct platform_ops *platform = &pc_platform;

static struct config config; /* for as long as the core runs: VMs point into it */
static _Atomic unsigned cpus_failed;

/* Says why nothing can start, and stops. */
static _Noreturn void refuse(const char *why)
{
	log_printf("cannot start: %s", why);
	log_set_orderly(true);
	console_flush(CONSOLE_ALL);
	report_refused(why);
	smp_stop_others();
	cpu_halt();
}

static void config_error(void *context, const struct config_error *error)
{
	char line[384];

	(void)context;
	config_error_format(error, "lasthop.dtb", line, sizeof(line));
	log_printf("%s", line);
}

static void choose_backend(void)
{
	struct detect_result found;

	if (!detect_cpu(&found))
		refuse(found.missing);
	hvm = found.backend == BACKEND_VMX ? &vmx_ops : &svm_ops;
}

/* Each other CPU's life from the end of its start-up on. */
static void cpu_main(void)
{
	fpu_init_cpu();
	if (hvm->cpu_enable() < 0)
		atomic_fetch_add(&cpus_failed, 1);
	atomic_store(&this_cpu()->start, CPU_READY);
	sched_loop();
}

static void start_cpus(const struct handover *h)
{
	uint64_t begin;

	fpu_init_cpu();
	if (hvm->cpu_enable() < 0)
		refuse("the boot CPU cannot switch virtualisation on");
	smp_start(h->trampoline, cpu_main);
	begin = rdtsc();
	for (unsigned i = 0; i < cpu_count; i++)
		while (atomic_load(&cpus[i]->start) < CPU_READY)
			cpu_await(begin, i, "it was to switch virtualisation on");
	if (atomic_load(&cpus_failed))
		refuse("a CPU cannot switch virtualisation on, or differs from the boot CPU");
}

static const char *apicv_lacks; /* NULL: nothing */

static void choose_apic(void)
{
	apic_ops = hvm->apic(&apicv_lacks);
	if (apic_ops)
		log_printf("lasthop: interrupts: posted to running guests (apicv)");
	else
		log_printf("lasthop: interrupts: injected at VM entries; apicv would need %s",
			   apicv_lacks);
}

static void check_config(const struct handover *h)
{
	struct config_machine machine = {
		.cpus = cpu_count,
		.free_mib = pmm_free_bytes() >> 20,
		.apicv_lacks = apicv_lacks,
	};

	if (config_parse(hpa_to_ptr((hpa_t){ h->dtb }), h->dtb_bytes, &config, config_error,
			 NULL) ||
	    config_check_machine(&config, &machine, config_error, NULL) ||
	    platform->host_devices_check(&config, config_error, NULL))
		refuse("the config has errors, see above");
	if (platform->switches_create(&config) < 0)
		refuse("no memory for the switches");
}

/* One that cannot be used stops nothing: VMs without a device of the machine's need none, and a device
 * is then as hard to come by as on a machine that has no IOMMU. */
static void start_iommu(void)
{
	if (iommu_start() < 0)
		log_printf("iommu: not used: a VM gets a device only with allow-unsafe-dma");
}

_Noreturn void core_main(const struct handover *h)
{
	trap_init(h);
	log_init(h);
	pmm_init(h);
	paging_init(h);
	screen_init(h);
	last_boot_show(h);
	smp_init_boot_cpu();
	trap_init_cpu();
	if (acpi_init(h->rsdp) < 0)
		refuse("the firmware's ACPI tables are missing or damaged");
	if (!lapic_probe(map_device(acpi.lapic_base, PAGE_SIZE)))
		refuse("the MADT puts the local APIC where no memory can be");
	lapic_init_cpu();
	timer_calibrate();
	timer_init_cpu();
	host_irq_init();
	if (h->check_only)
		check_only(h);
	start_iommu();
	wall_init();
	host_ioapic_init();
	platform->host_devices_find();
	choose_backend();
	start_cpus(h);
	choose_apic();
	report_boot(hvm->name, cpu_count, tsc_khz());
	images_init(h);
	check_config(h);
	if (console_init(&config) < 0)
		refuse("no memory for the consoles");
	log_printf("lasthop: %s, %u CPUs, TSC %llu kHz, %llu of %llu MiB free", hvm->name,
		   cpu_count, (unsigned long long)tsc_khz(),
		   (unsigned long long)(pmm_free_bytes() >> 20),
		   (unsigned long long)(pmm_total_bytes() >> 20));
	console_start();
	mgmt_start();
	apply_init(&config, apicv_lacks);
	if (lifecycle_start(&config) < 0)
		refuse("a VM cannot be made, see above");
	sched_loop();
}
