# SPDX-License-Identifier: BSD-2-Clause
# Unit tests of hv/dev: each program with the device files it tests; the core is faked (fakes.c).
DEV_CFLAGS := -std=gnu17 -O1 -g $(WARN) $(INCLUDE) -fsanitize=address,undefined \
	-fno-sanitize-recover=all -fno-omit-frame-pointer

DEV_TESTS := bus pcie board vlapic virtio acpi pc
bus_parts    := hv/dev/bus.c
pcie_parts   := hv/dev/bus.c hv/dev/pcie.c hv/dev/msix.c
board_parts  := hv/dev/bus.c hv/dev/ioapic.c hv/dev/uart.c hv/dev/rtc.c hv/dev/power.c
vlapic_parts := hv/dev/bus.c hv/dev/vlapic.c hv/dev/vlapic_irq.c
virtio_parts := hv/dev/bus.c hv/dev/pcie.c hv/dev/msix.c hv/dev/virtio_pci.c \
	hv/dev/virtio_common.c hv/dev/virtio_net.c hv/dev/switch_env.c tests/unit/dev/fake_switch.c
acpi_parts   := hv/dev/acpi_tables.c $(B)/core/hv/dev/dsdt.c
pc_parts     := $(wildcard hv/dev/*.c) $(B)/core/hv/dev/dsdt.c tests/unit/dev/fake_switch.c

DEV_PROGRAMS := $(DEV_TESTS:%=$(B)/unit/dev_%_test)
.SECONDEXPANSION:
$(DEV_PROGRAMS): $(B)/unit/dev_%_test: tests/unit/dev/%_test.c tests/unit/dev/fakes.c $$($$*_parts) \
		$(wildcard hv/dev/*.h tests/unit/dev/*.h hv/core/*.h) hv/dev/vlapic_timer.c
	@mkdir -p $(@D)
	$(HOSTCC) $(DEV_CFLAGS) $(filter-out hv/dev/vlapic_timer.c,$(filter %.c,$^)) \
		$(if $(filter pc,$*),hv/dev/vlapic_timer.c) -lcmocka -o $@
