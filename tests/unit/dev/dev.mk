# SPDX-License-Identifier: BSD-2-Clause
# Unit tests of hv/dev: each program with the device files it tests; the core is faked (fakes.c).

# $(call dev_test,name,device files): $(B)/unit/dev_NAME_test. (dev_vlapic_test includes
# vlapic_timer.c itself, with the clock in its hands.)
define dev_test
DEV_PROGRAMS += $(B)/unit/dev_$1_test
$(B)/unit/dev_$1_test: tests/unit/dev/$1_test.c $(call san,tests/unit/dev/fakes.c $2)
	$$(mkdir)
	$$(UNIT_SAN) $$(UNIT_DEPS) $$< $(call san,tests/unit/dev/fakes.c $2) -lcmocka -o $$@
endef

# the host's side, which has tests of its own (tests.mk)
IOMMU       := $(addprefix hv/dev/,dmar.c iommu.c) $(wildcard hv/dev/vtd*.c)
DEV_VIRTIO  := $(addprefix hv/dev/,bus.c pcie.c msix.c virtio_pci.c virtio_common.c virtio_net.c net_switches.c \
	uplink.c reuse.c reuse_env.c virtio_net_ctrl.c device_queue.c switch_env.c) tests/unit/dev/fake_switch.c \
	tests/unit/dev/fake_msi.c vswitch/vq_split.c vswitch/vq_packed.c vswitch/policy.c \
	hv/core/nearest.c

$(eval $(call dev_test,bus,hv/dev/bus.c))
$(eval $(call dev_test,pcie,hv/dev/bus.c hv/dev/pcie.c hv/dev/msix.c \
	tests/unit/dev/fake_msi.c))
$(eval $(call dev_test,board,$(addprefix hv/dev/,bus.c ioapic.c uart.c rtc.c power.c \
	pci_ports.c pcie.c) hv/core/marker.c hv/core/cpu_time.c))
$(eval $(call dev_test,vlapic,hv/dev/bus.c hv/dev/vlapic.c hv/dev/vlapic_irq.c \
	hv/dev/vlapic_eoi.c))
$(eval $(call dev_test,vlapic_eoi,$(addprefix hv/dev/,bus.c vlapic.c vlapic_irq.c vlapic_eoi.c \
	vlapic_timer.c)))
$(eval $(call dev_test,vlapic_apicv,$(addprefix hv/dev/,bus.c vlapic.c vlapic_irq.c vlapic_eoi.c \
	vlapic_timer.c)))
$(eval $(call dev_test,virtio,$(DEV_VIRTIO)))
$(eval $(call dev_test,offload,hv/dev/switch_env.c tests/unit/dev/fake_switch.c vswitch/policy.c \
	hv/core/nearest.c))
$(eval $(call dev_test,net_ctrl,$(DEV_VIRTIO)))
$(eval $(call dev_test,uplink,$(DEV_VIRTIO) hv/dev/pc_change.c))
$(eval $(call dev_test,reuse,hv/dev/reuse.c vswitch/policy.c))
$(eval $(call dev_test,rng,$(DEV_VIRTIO) hv/dev/virtio_rng.c hv/cpu/entropy.c))
DEV_CONSOLE := $(DEV_VIRTIO) hv/dev/virtio_console.c hv/core/marker.c hv/core/cpu_time.c
$(eval $(call dev_test,console,$(DEV_CONSOLE)))
$(eval $(call dev_test,acpi,hv/dev/acpi_tables.c $(B)/dsdt.c))
$(eval $(call dev_test,pci_scan,hv/dev/pci_scan.c tests/unit/dev/fake_pci.c))
DEV_PASS    := $(wildcard hv/dev/passthrough*.c) $(addprefix hv/dev/,bus.c pcie.c msix.c ioapic.c \
	pci_scan.c pci_reset.c pci_virtio.c) $(addprefix tests/unit/dev/,fake_pci.c fake_host.c fake_msi.c)
$(eval $(call dev_test,passthrough,$(DEV_PASS)))
$(eval $(call dev_test,passthrough_reset,$(DEV_PASS)))
# includes pci_reset.c itself, with the clock in its hands
$(eval $(call dev_test,passthrough_late,$(filter-out hv/dev/pci_reset.c,$(DEV_PASS))))
$(eval $(call dev_test,passthrough_irq,$(DEV_PASS)))
$(eval $(call dev_test,passthrough_check,$(DEV_PASS)))
$(eval $(call dev_test,passthrough_lacks,$(DEV_PASS)))
$(eval $(call dev_test,pc,$(filter-out $(IOMMU) hv/dev/check_only.c hv/dev/nic_features.c,$(wildcard hv/dev/*.c)) tests/unit/dev/fake_pci.c tests/unit/dev/fake_host.c hv/cpu/entropy.c hv/core/marker.c hv/core/cpu_time.c $(B)/dsdt.c tests/unit/dev/fake_switch.c \
	vswitch/vq_split.c vswitch/vq_packed.c vswitch/policy.c hv/core/nearest.c))
