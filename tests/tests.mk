# SPDX-License-Identifier: BSD-2-Clause
# Unit tests on the host: $(B)/unit/FOLDER_NAME_test, run by tests/unit/run.py; fuzzers in $(B)/fuzz.
SAN       := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
UNIT_CC   := $(CC) -std=gnu17 -D_GNU_SOURCE -O1 -g $(WARN) $(INCLUDE)
UNIT_SAN  := $(UNIT_CC) $(SAN)
VMX       := hv/cpu/vmx
SVM       := hv/cpu/svm

# What tests share is compiled once each way. $(call san,sources): their objects with the sanitizers for memory,
# $(call tsan,…) for threads, $(call fuzzed,…) for libFuzzer.
san    = $(patsubst %.c,$(B)/san/%.o,$1)
tsan   = $(patsubst %.c,$(B)/tsan/%.o,$1)
fuzzed = $(patsubst %.c,$(B)/fuzzed/%.o,$1)
UNIT_DEPS = $(DEPS) -MT $@
FUZZ_CC   := clang -std=gnu17 -O1 -g $(INCLUDE) -fsanitize=fuzzer,address,undefined
archive    = rm -f $@ && ar rcsD $@ $^

$(B)/san/%.o: %.c
	$(mkdir)
	$(UNIT_SAN) $(UNIT_DEPS) -c $< -o $@

$(B)/tsan/%.o: %.c
	$(mkdir)
	$(UNIT_CC) -fsanitize=thread $(UNIT_DEPS) -c $< -o $@

$(B)/fuzzed/%.o: %.c
	$(mkdir)
	$(FUZZ_CC) $(UNIT_DEPS) -c $< -o $@

# name, and the files that it is linked with
unit_links = $(UNIT_$(subst /,_,$1))
UNIT_core_acpi         :=
UNIT_core_pmm          :=
UNIT_core_print        :=
UNIT_core_host_irq     :=
UNIT_core_report       := hv/core/exit_cause.c hv/core/json.c
UNIT_core_smp          :=
UNIT_core_string       :=
UNIT_core_clock        :=
UNIT_core_config       := $(CONFIG_SRC)
UNIT_core_config_image := $(CONFIG_SRC)
UNIT_core_config_diff  := $(CONFIG_SRC)
UNIT_core_lifecycle    :=
UNIT_core_vm_devices   :=
UNIT_core_vm_pause     :=
UNIT_core_apply        := hv/core/apply.c hv/core/apply_check.c hv/core/images.c hv/core/policy_put.c $(CONFIG_SRC) vswitch/policy.c
MGMT := $(addprefix hv/core/,mgmt.c mgmt_frame.c mgmt_rpc.c mgmt_stream.c json.c)
UNIT_core_console      := $(addprefix hv/core/,console.c console_guest.c console_input.c log.c log_area.c) $(MGMT)
UNIT_core_mgmt         := $(UNIT_core_console)
UNIT_core_mgmt_first   := $(UNIT_core_console)
UNIT_core_mgmt_stream  := $(UNIT_core_console)
UNIT_core_mgmt_gone    := $(UNIT_core_console) hv/core/mgmt_apply.c hv/core/mgmt_console.c
UNIT_core_serial_irq   :=
UNIT_core_shell        := $(addprefix hv/core/,shell.c shell_switch.c facts.c policy_put.c config_policy.c exit_cause.c) vswitch/policy.c
UNIT_core_terminal     := hv/core/terminal.c $(B)/font.c
UNIT_core_screen       := $(addprefix hv/core/,screen.c framebuffer.c terminal.c) $(B)/font.c
UNIT_core_log_area     := hv/core/log_area.c
UNIT_core_keymap       := hv/core/keymap.c
UNIT_core_mgmt_methods := $(addprefix hv/core/,mgmt_vm.c mgmt_switch.c mgmt_rpc.c json.c facts.c policy_put.c config_policy.c exit_cause.c) vswitch/policy.c
UNIT_core_emulate      := hv/core/decode.c hv/core/emulate.c hv/core/alu.c
UNIT_core_emulate_native := $(UNIT_core_emulate)
UNIT_core_nearest      := hv/core/nearest.c
UNIT_core_gva          := hv/core/gva.c
UNIT_core_cpu_time     := hv/core/cpu_time.c
UNIT_core_exit_cause   := hv/core/exit_cause.c
UNIT_core_sched        := hv/core/runq.c
UNIT_core_elf_symbols  := hv/core/elf_symbols.c $(CONFIG_SRC)
UNIT_core_see          := hv/cpu/entropy.c $(addprefix hv/core/,mgmt_see.c mgmt_why.c mgmt_trace.c mgmt_capture.c vcpu_look.c elf_symbols.c \
	vm_past.c json.c exit_cause.c config_policy.c) $(wildcard vswitch/*.c) tests/unit/vswitch/env.c tests/unit/vswitch/driver.c \
	$(filter-out hv/core/config_policy.c,$(CONFIG_SRC))
UNIT_cpu_entropy       := hv/cpu/entropy.c
UNIT_cpu_vmx_detect    := $(VMX)/detect.c
UNIT_cpu_features      := hv/cpu/cpu_features.c $(VMX)/detect.c $(SVM)/detect.c hv/dev/vtd_features.c
UNIT_cpu_vmx_check     := $(VMX)/check.c
UNIT_cpu_vmx_msr       := $(VMX)/msr.c
UNIT_cpu_vmx_ept       := $(VMX)/ept.c
UNIT_cpu_svm_check     := $(SVM)/check.c
UNIT_cpu_svm_exit      := $(addprefix $(SVM)/,exit.c inject.c vmcb.c check.c strict.c) hv/core/decode.c
UNIT_cpu_svm_moves     := $(UNIT_cpu_svm_exit)
UNIT_cpu_svm_npt       := $(SVM)/npt.c
UNIT_dev_dmar          := hv/dev/dmar.c
UNIT_dev_vtd_table     := hv/dev/vtd_table.c
UNIT_dev_vtd           := $(filter-out hv/dev/vtd_regs.c,$(wildcard hv/dev/vtd*.c)) hv/dev/dmar.c tests/unit/dev/vtd_sim.c
UNIT_dev_vtd_irq       := $(UNIT_dev_vtd)
UNIT_dev_vtd_region    := $(UNIT_dev_vtd)
UNIT_TESTS := core/acpi core/host_irq core/console core/terminal core/screen core/keymap core/log_area core/mgmt core/mgmt_first \
	core/mgmt_gone core/serial_irq core/mgmt_methods core/mgmt_stream core/shell core/clock core/pmm core/print core/report core/string \
	core/config core/config_image core/config_diff core/apply core/lifecycle core/vm_devices core/vm_pause core/emulate core/emulate_native core/gva core/nearest \
	core/cpu_time core/exit_cause core/sched core/smp cpu/entropy cpu/features cpu/vmx_detect cpu/vmx_check cpu/vmx_msr cpu/vmx_ept \
	cpu/svm_check cpu/svm_exit cpu/svm_moves cpu/svm_npt dev/dmar dev/vtd dev/vtd_irq dev/vtd_region dev/vtd_table
UNIT_TESTS += core/elf_symbols core/see

define unit_test
UNIT_PROGRAMS += $(B)/unit/$(subst /,_,$1)_test
$(B)/unit/$(subst /,_,$1)_test: tests/unit/$1_test.c $(call san,$(call unit_links,$1))
	$$(mkdir)
	$$(UNIT_SAN) $$(UNIT_DEPS) $$< $(call san,$(call unit_links,$1)) -lcmocka -lfdt -o $$@
endef
$(foreach t,$(UNIT_TESTS),$(eval $(call unit_test,$t)))

# the loader's last steps, with a firmware of ours
UNIT_PROGRAMS += $(B)/unit/boot_memory_test
$(B)/unit/boot_memory_test: UNIT_SAN += -DGNU_EFI_USE_MS_ABI \
	-isystem /usr/include/efi -isystem /usr/include/efi/x86_64
$(B)/unit/boot_memory_test: tests/unit/boot/memory_test.c hv/boot/memory.c
	$(mkdir)
	$(call compile,UNIT_SAN,tests/unit/boot/memory_test.c,-lcmocka)

UNIT_PROGRAMS += $(B)/unit/boot_last_boot_test
$(B)/unit/boot_last_boot_test: UNIT_SAN += -DGNU_EFI_USE_MS_ABI \
	-isystem /usr/include/efi -isystem /usr/include/efi/x86_64
$(B)/unit/boot_last_boot_test: tests/unit/boot/last_boot_test.c hv/boot/last_boot.c hv/core/log_area.c
	$(mkdir)
	$(call compile,UNIT_SAN,tests/unit/boot/last_boot_test.c hv/boot/last_boot.c hv/core/log_area.c,-lcmocka)

# the switch: all of vswitch/ with the tests' own surroundings; threads also under ThreadSanitizer
VSWITCH     := $(wildcard vswitch/*.c)
SWITCH_HOST := tests/unit/vswitch/env.c tests/unit/vswitch/driver.c
SWITCH_TESTS := $(filter-out env driver,$(basename $(notdir $(wildcard tests/unit/vswitch/*.c))))
SWITCH_DEPS := $(VSWITCH) $(SWITCH_HOST) $(wildcard vswitch/*.h tests/unit/vswitch/*.h include/lasthop/*.h)
UNIT_PROGRAMS += $(SWITCH_TESTS:%=$(B)/unit/vswitch_%_test) $(B)/unit/vswitch_threads_tsan_test \
	$(B)/unit/vswitch_capture_threads_tsan_test

# a test that includes files of the switch takes the others from the archive
$(B)/san/switch.a: $(call san,$(SWITCH_HOST) $(VSWITCH))
	$(archive)

$(B)/tsan/switch.a: $(call tsan,$(SWITCH_HOST) $(VSWITCH))
	$(archive)

$(B)/fuzzed/switch.a: $(call fuzzed,$(SWITCH_HOST) $(VSWITCH))
	$(archive)

$(B)/unit/vswitch_%_test: tests/unit/vswitch/%.c $(B)/san/switch.a
	$(mkdir)
	$(UNIT_SAN) $(UNIT_DEPS) $< $(B)/san/switch.a -lcmocka -lpthread -o $@

$(B)/unit/vswitch_%_tsan_test: tests/unit/vswitch/%.c $(B)/tsan/switch.a
	$(mkdir)
	$(UNIT_CC) -fsanitize=thread $(UNIT_DEPS) $< $(B)/tsan/switch.a -lcmocka -lpthread -o $@

$(B)/bench/native: tests/bench/native.c $(SWITCH_DEPS)
	$(mkdir)
	$(CC) $(HOST_CFLAGS) -flto=auto $< $(SWITCH_HOST) $(VSWITCH) -o $@

# two cores, with surroundings of its own
CIRCULATE := $(addprefix tests/bench/,circulate.c guest.c env.c)
$(B)/bench/circulate: $(CIRCULATE) $(wildcard tests/bench/*.h) $(SWITCH_DEPS)
	$(mkdir)
	$(UNIT_CC) -O2 -flto=auto $(CIRCULATE) $(VSWITCH) -lpthread -o $@

FUZZERS := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/*_fuzz.c))
$(B)/fuzz/%: tests/fuzz/%.c $(B)/fuzzed/switch.a
	$(mkdir)
	$(FUZZ_CC) $(UNIT_DEPS) $< $(B)/fuzzed/switch.a -o $@

include tests/unit/dev/dev.mk tests/unit/guest/guest.mk tests/unit/drivers/drivers.mk

# those with no switch in them: the control queue and a console's queues (devices with a faked core and switch),
# firmware's table DMAR, the management channel
$(B)/fuzz/net_ctrl_fuzz: $(call fuzzed,tests/unit/dev/fakes.c $(DEV_VIRTIO))
$(B)/fuzz/virtio_console_fuzz: $(call fuzzed,tests/unit/dev/fakes.c $(DEV_CONSOLE))
$(B)/fuzz/dmar_fuzz: $(call fuzzed,hv/dev/dmar.c)
$(B)/fuzz/mgmt_fuzz: $(call fuzzed,$(MGMT))
$(addprefix $(B)/fuzz/,net_ctrl_fuzz virtio_console_fuzz dmar_fuzz mgmt_fuzz): $(B)/fuzz/%: tests/fuzz/%.c
	$(mkdir)
	$(FUZZ_CC) $(UNIT_DEPS) $(filter %.c %.o,$^) -o $@

# cores that fault on purpose, for tests/boot: everything but main.c
FAULT_CORE := $(filter-out $(B)/core/hv/core/main.c.o,$(CORE_OBJ))
FAULTS     := 0 1 2 3 4 5 6 7 8 9 10 11 12 13

$(B)/test/fault.a: $(FAULT_CORE)
	$(mkdir)
	rm -f $@
	ar rcsD $@ $^

$(B)/test/fault-%.elf: tests/boot/core_fault/main.c $(B)/test/fault.a hv/core/core.lds
	$(CC) $(CORE_CFLAGS) -DFAULT=$* -c $< -o $@.o
	$(CORE_LD) -u core_entry -o $@ $@.o --start-group $(B)/test/fault.a $(LIBFDT) --end-group

$(B)/test/fault-%.EFI: $(B)/test/fault-%.elf $(EFI_OBJ) hv/boot/core_blob.S
	$(call efi_link,$<)

# a loader whose firmware does not let go
STUCK := $(filter-out $(B)/efi/hv/boot/efi.c.o,$(EFI_OBJ))

$(B)/test/stuck.EFI: hv/boot/efi.c tests/boot/boot_stuck/main.c $(STUCK) $(B)/core.elf
	$(mkdir)
	$(CC) $(EFI_CFLAGS) -Defi_main=loader_main -c hv/boot/efi.c -o $@.loader.o
	$(CC) $(EFI_CFLAGS) -c tests/boot/boot_stuck/main.c -o $@.main.o
	$(call efi_link,$(B)/core.elf,$@.loader.o $@.main.o $(STUCK))

# a core that uses APIC virtualisation
APICV := $(addprefix tests/boot/core_apicv/,main.c guest.S guest.h)

$(B)/test/apicv.elf: $(APICV) $(B)/test/fault.a hv/core/core.lds
	$(CC) $(CORE_CFLAGS) -c $(filter %main.c,$(APICV)) -o $@.o
	$(CC) $(CORE_CFLAGS) -c $(filter %.S,$(APICV)) -o $@.guest.o
	$(CORE_LD) -u core_entry -o $@ $@.o $@.guest.o --start-group $(B)/test/fault.a $(LIBFDT) --end-group

$(B)/test/apicv.EFI: $(B)/test/apicv.elf $(EFI_OBJ) hv/boot/core_blob.S
	$(call efi_link,$<)

# a core that plays a device behind the IOMMU
IOMMU_CORE := $(addprefix tests/boot/core_iommu/,main.c edu.c edu.h)

$(B)/test/iommu.elf: $(IOMMU_CORE) $(B)/test/fault.a hv/core/core.lds
	$(CC) $(CORE_CFLAGS) -c $(filter %main.c,$(IOMMU_CORE)) -o $@.o
	$(CC) $(CORE_CFLAGS) -c $(filter %edu.c,$(IOMMU_CORE)) -o $@.edu.o
	$(CORE_LD) -u core_entry -o $@ $@.o $@.edu.o --start-group $(B)/test/fault.a $(LIBFDT) --end-group

$(B)/test/iommu.EFI: $(B)/test/iommu.elf $(EFI_OBJ) hv/boot/core_blob.S
	$(call efi_link,$<)

tests-built: $(UNIT_PROGRAMS) $(DEV_PROGRAMS) $(GUEST_TEST_PROGRAMS) $(DRIVER_PROGRAMS) $(FUZZERS) \
	$(FAULTS:%=$(B)/test/fault-%.EFI) $(B)/test/apicv.EFI $(B)/test/iommu.EFI \
	$(B)/test/stuck.EFI
