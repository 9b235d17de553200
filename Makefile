# SPDX-License-Identifier: BSD-2-Clause
# lasthop: `make help` lists what there is to call.
B       ?= build
ON      ?= auto
CPUS    ?= 4
CONFIG  ?= examples/$(or $(DEMO),bench).dts
CC      := gcc

WARN    := -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wundef -Wvla
INCLUDE := -Iinclude -I.
DEPS     = -MMD -MP -MF $(basename $@).d
# $(call compile,variable with the compiler,sources,libraries): a program of several sources at once,
# of which -MF would keep the dependencies of the last only
compile  = $($1) -MM -MP -MT $@ $2 > $@.d && $($1) $2 $3 -o $@
mkdir    = @mkdir -p $(@D)
# no folder of this machine in what is built: the same bits wherever it is built
SAME     := -ffile-prefix-map=$(CURDIR)=. -ffile-prefix-map=$(patsubst %/,%,$(B))/=build/
HARDEN   := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -Wl,-z,relro,-z,now

.PHONY: all guests host run test bench soak verify lint unit boot-test setup clean help
.DELETE_ON_ERROR:
.SECONDARY:

all: $(B)/BOOTX64.EFI guests host ## build the EFI file, the guests and the host tools

# --- the core: freestanding, upper half, no vector registers (they hold the guests' state). Compiled as a whole when
# it is linked: a packet's way leads through a dozen files (rr takes 100.9 us on Bochs, without that 109.1). The
# cores of tests/boot are linked from the same objects without it, which takes a tenth of the time. ---
CORE_CFLAGS := -std=c17 -O2 -flto -ffat-lto-objects -g -ffreestanding -mcmodel=kernel -mno-red-zone -mgeneral-regs-only \
	-fno-stack-protector -fno-pic -fno-pie -fno-omit-frame-pointer -fcf-protection=none \
	-fno-strict-aliasing $(WARN) -Ihv/core/libc $(INCLUDE) $(SAME)
CORE_DIRS   := hv/core hv/core/libc hv/cpu hv/cpu/vmx hv/cpu/svm hv/dev vswitch
CORE_SRC    := $(sort $(wildcard $(addsuffix /*.c,$(CORE_DIRS)) $(addsuffix /*.S,$(CORE_DIRS))))
CORE_OBJ    := $(addprefix $(B)/core/,$(addsuffix .o,$(CORE_SRC))) $(B)/core/dsdt.o \
	$(B)/core/font.o
CORE_LD     := ld -nostdlib -static -z max-page-size=4096 -z noexecstack -T hv/core/core.lds
CORE_WHOLE   = $(CC) $(CORE_CFLAGS) -flto=auto -nostdlib -static -no-pie \
	-Wl,-T,hv/core/core.lds,-z,max-page-size=4096,-z,noexecstack,--build-id=none,--fatal-warnings
LIBFDT       = $(shell $(CC) -print-file-name=libfdt.a)

$(B)/core.elf: $(CORE_OBJ) hv/core/core.lds
	$(CORE_WHOLE) -o $@ $(CORE_OBJ) $(LIBFDT)

$(B)/core/%.c.o: %.c
	$(mkdir)
	$(CC) $(CORE_CFLAGS) $(DEPS) -c $< -o $@

$(B)/core/%.S.o: %.S
	$(mkdir)
	$(CC) $(CORE_CFLAGS) $(DEPS) -c $< -o $@

# the guest's DSDT, compiled from the addresses of hv/core/guest_map.h
$(B)/dsdt.aml: hv/dev/dsdt.asl hv/core/guest_map.h
	$(mkdir)
	$(CC) -E -P -x c -I. $< | sed 's/\([0-9A-Fa-f]\)ull/\1/g' > $(B)/dsdt.asl
	iasl -we -p $(B)/dsdt $(B)/dsdt.asl > $(B)/dsdt.log || { cat $(B)/dsdt.log; exit 1; }

$(B)/dsdt.c: $(B)/dsdt.aml
	{ echo '#include "hv/dev/acpi_tables.h"'; echo 'const unsigned char dsdt_aml[] = {'; \
	  od -An -v -tu1 $< | sed 's/ *\([0-9][0-9]*\)/\1,/g'; \
	  echo '};'; echo 'const size_t dsdt_aml_bytes = sizeof(dsdt_aml);'; } > $@

$(B)/core/dsdt.o: $(B)/dsdt.c hv/dev/acpi_tables.h
	$(mkdir)
	$(CC) $(CORE_CFLAGS) -c $< -o $@

# the screen's font (fonts-spleen, BSD-2-Clause)
FONT := /usr/share/consolefonts/spleen-8x16.psfu.gz
$(B)/font.c: $(FONT) scripts/gen_font.py scripts/lasthoplib/psf.py
	$(mkdir)
	scripts/gen_font.py $< > $@

$(B)/core/font.o: $(B)/font.c hv/core/font.h
	$(mkdir)
	$(CC) $(CORE_CFLAGS) -c $< -o $@

# --- the loader: position-independent, the core inside ---
EFI_CFLAGS := -std=c17 -O2 -g -ffreestanding -fpic -fshort-wchar -mno-red-zone -mgeneral-regs-only \
	-maccumulate-outgoing-args -fno-stack-protector -fno-tree-loop-distribute-patterns \
	-fvisibility=hidden -DGNU_EFI_USE_MS_ABI $(WARN) $(INCLUDE) -Ihv/core/libc \
	-isystem /usr/include/efi -isystem /usr/include/efi/x86_64 $(SAME)
CONFIG_SRC := $(sort $(wildcard hv/core/config*.c))
EFI_SRC    := $(sort $(wildcard hv/boot/*.c)) $(CONFIG_SRC) hv/core/print.c hv/core/log_area.c hv/core/libc/string.c \
	hv/core/libc/stdlib.c hv/cpu/detect.c hv/cpu/vmx/detect.c hv/cpu/svm/detect.c hv/boot/jump.S
EFI_OBJ    := $(addprefix $(B)/efi/,$(addsuffix .o,$(EFI_SRC)))
EFI_COPY   := .text .sdata .data .dynamic .dynsym .rel .rela .rel.* .rela.* .reloc

$(B)/efi/%.c.o: %.c
	$(mkdir)
	$(CC) $(EFI_CFLAGS) $(DEPS) -c $< -o $@

$(B)/efi/%.S.o: %.S
	$(mkdir)
	$(CC) $(EFI_CFLAGS) $(DEPS) -c $< -o $@

# $(call efi_link,core ELF,objects): the loader, or these objects, with that core inside
define efi_link
	$(CC) -c -DCORE_ELF='"$1"' hv/boot/core_blob.S -o $@.blob.o
	ld -nostdlib -znocombreloc -shared -Bsymbolic --no-undefined --fatal-warnings \
		-T /usr/lib/elf_x86_64_efi.lds /usr/lib/crt0-efi-x86_64.o $(or $2,$(EFI_OBJ)) $@.blob.o \
		$(LIBFDT) /usr/lib/libgnuefi.a -o $@.so
	objcopy $(EFI_COPY:%=-j '%') --target=efi-app-x86_64 $@.so $@
endef

$(B)/BOOTX64.EFI: $(EFI_OBJ) $(B)/core.elf hv/boot/core_blob.S
	$(call efi_link,$(B)/core.elf)

include guest/guest.mk tests/tests.mk scripts/install.mk

# --- the host tools ---
HOST_CFLAGS := -std=c17 -O2 -g $(WARN) $(INCLUDE)
HOST_CC     := $(CC) $(HOST_CFLAGS) $(HARDEN) $(SAME)

host: $(B)/host/lasthop-check $(B)/host/lasthop-trace

CHECK_SRC := scripts/check.c scripts/check_host.c $(CONFIG_SRC) hv/cpu/cpu_features.c \
	hv/cpu/vmx/detect.c hv/cpu/svm/detect.c hv/dev/vtd_features.c hv/dev/nic_features.c hv/dev/pci_scan.c
$(B)/host/lasthop-check: $(CHECK_SRC)
	$(mkdir)
	$(call compile,HOST_CC,$(CHECK_SRC),-lfdt)

# the switch itself, between the simulated guests of its tests
TRACE_SRC := scripts/trace.c $(CONFIG_SRC) $(VSWITCH) $(SWITCH_HOST)
$(B)/host/lasthop-trace: $(TRACE_SRC) $(SWITCH_DEPS)
	$(mkdir)
	$(call compile,HOST_CC,$(TRACE_SRC),-lfdt)

# --- what there is to call ---
setup: ## install what is missing; make the Bochs test bed
	@scripts/setup

run: export CONFIG := $(CONFIG)
run: export JSON := $(JSON)
run: setup ## boot CONFIG=FILE or DEMO=NAME on ON=auto|kvm|tcg|bochs with CPUS=N and show the results
	@scripts/build all $$(grep -aoE 'vmlinuz(-amd64|-tools)?|vmlinux' -- "$$CONFIG" 2> /dev/null | sort -u | sed \
		's/vmlinuz-amd64/linux-driver/; s/vmlinuz-tools/linux-tools/; s/vmlinuz/linux-guest/; s/vmlinux/linux-elf/')
	@B=$(B) scripts/lasthop run --on $(ON) --cpus $(CPUS) $(if $(JSON),--json "$$JSON") -- "$$CONFIG"

test: setup ## all tests, 25 minutes at most
	@scripts/build all tests-built linux-guest linux-driver
	@scripts/stages

soak: setup ## what takes longer, resumable: ONLY=linux|dataplane|driver|fuzz|build for one part, FRESH=1, KEEP=1, SEED=N
	@scripts/setup --no-bochs --deb
	@scripts/build all tests-built linux-guest linux-driver linux-tools linux-elf
	@B=$(B) scripts/soak $(if $(FRESH),--fresh) $(if $(KEEP),--keep) $(if $(SEED),--seed $(SEED)) $(ONLY)

# those that take no hours, shortest first; their documents and plots go to $(B)/bench
BENCHES := rfc2544 latency scaling ablation
bench: setup ## measure: the data plane alone, then BENCHES between VMs, on Bochs or ON=tcg
	@scripts/setup --no-bochs --bench
	@scripts/build all $(B)/bench/native $(B)/bench/circulate
	@$(B)/bench/native
	@B=$(B) scripts/lasthop bench native --json $(B)/bench/native.json --svg $(B)/bench
	@for name in $(if $(filter tcg kvm,$(ON)),$(filter-out scaling,$(BENCHES)),$(BENCHES)); do \
		printf '\n%s\n' "bench $$name"; \
		B=$(B) scripts/lasthop bench $$name $(if $(filter-out auto,$(ON)),--on $(ON)) \
			--json $(B)/bench/$$name.json --svg $(B)/bench || exit; done
	@echo 'There are others: scripts/lasthop bench --help lists them.'

verify: setup ## check the protocol models with spin
	@scripts/verify

lint: ## format, clang-tidy, cppcheck, headers, include table
	@scripts/setup --no-bochs --lint
	@scripts/lint.py --format --tidy

clean: ## remove what was built; the test bed stays
	rm -rf $(B)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile scripts/install.mk | expand -t 12

-include $(shell test -d $(B) && find $(B) -name '*.d')
