# The bundled guests: guest/bench, guest/abuse, guest/netd and the test guests of tests/boot/guests, each one
# ELF file in $(B)/guest, on the runtime of guest/lib.
GUEST_CFLAGS := -std=c17 -O2 -g -ffreestanding -mcmodel=small -mno-red-zone -mgeneral-regs-only \
	-fno-stack-protector -fno-pic -fno-asynchronous-unwind-tables \
	-fno-tree-loop-distribute-patterns $(WARN) $(INCLUDE)
GUEST_LD     := $(CC) -nostdlib -static -no-pie \
	-Wl,-T,guest/lib/guest.lds,-z,max-page-size=4096,--build-id=none,--fatal-warnings
guest_obj     = $(patsubst %,$(B)/guest/o/%.o,$(wildcard $1/*.c $1/*.S))
TEST_GUESTS  := $(basename $(notdir $(wildcard tests/boot/guests/*.c)))

guests: $(addprefix $(B)/guest/,$(addsuffix .elf,bench abuse netd netd-crash mortal attack $(TEST_GUESTS)))

$(B)/guest/o/%.o: %
	$(mkdir)
	$(CC) $(GUEST_CFLAGS) $(DEPS) -c $< -o $@

# an archive, so that a guest takes only what it uses; the note in start.S makes it a PVH kernel
GUEST_START := $(B)/guest/o/guest/lib/start.S.o
$(B)/guest/lib.a: $(filter-out $(GUEST_START),$(call guest_obj,guest/lib))
	@rm -f $@
	ar rcs $@ $^

$(B)/guest/bench.elf: $(GUEST_START) $(call guest_obj,guest/bench) $(B)/guest/lib.a guest/lib/guest.lds
	$(GUEST_LD) -o $@ $(filter %.o %.a,$^)

$(B)/guest/abuse.elf: $(GUEST_START) $(call guest_obj,guest/abuse) $(B)/guest/lib.a guest/lib/guest.lds
	$(GUEST_LD) -o $@ $(filter %.o %.a,$^)

# the driver domain
DRIVERS := $(foreach d,drivers $(wildcard drivers/*/),$(call guest_obj,$(d:/=)))
$(B)/guest/netd.elf: $(GUEST_START) $(call guest_obj,guest/netd) $(DRIVERS) $(B)/guest/lib.a guest/lib/guest.lds
	$(GUEST_LD) -o $@ $(filter %.o %.a,$^)

# the same, with a bug
$(B)/guest/netd-crash.elf: $(GUEST_START) $(call guest_obj,guest/netd) $(call guest_obj,guest/crash) $(DRIVERS) \
		$(B)/guest/lib.a guest/lib/guest.lds
	$(GUEST_LD) -Wl,--wrap=nic_probe -o $@ $(filter %.o %.a,$^)

# the same, and it dies when it is told to: for tests/boot
$(B)/guest/mortal.elf: $(GUEST_START) $(call guest_obj,tests/boot/mortal) $(call guest_obj,guest/netd) $(DRIVERS) \
		$(B)/guest/lib.a guest/lib/guest.lds
	$(GUEST_LD) -Wl,--wrap=uart_key -o $@ $(filter %.o %.a,$^)

# the driver domain that attacks: with what guest/abuse can do
ABUSE_ACTS := $(patsubst %,$(B)/guest/o/guest/abuse/%.o,attempt.S memory.c pci.c random.c recover.c vq.c)
$(B)/guest/attack.elf: $(GUEST_START) $(call guest_obj,tests/boot/attack) $(ABUSE_ACTS) $(B)/guest/lib.a guest/lib/guest.lds
	$(GUEST_LD) -o $@ $(filter %.o %.a,$^)

$(B)/guest/%.elf: $(B)/guest/o/tests/boot/guests/%.c.o $(GUEST_START) $(B)/guest/lib.a guest/lib/guest.lds
	$(GUEST_LD) -o $@ $(filter %.o %.a,$^)

# the Linux guest, and the one that drives NICs, from Debian's packages: only what needs them asks for them
.PHONY: linux-guest linux-driver linux-tools linux-elf
LINUX_PARTS := $(addprefix guest/linux/,build init tests remote iperf.awk)
linux-guest: $(B)/guest/linux/linux.cpio
$(B)/guest/linux/linux.cpio: $(LINUX_PARTS)
	guest/linux/build $(@D)
linux-driver: $(B)/guest/linux/linux-amd64.cpio
$(B)/guest/linux/linux-amd64.cpio: $(LINUX_PARTS)
	guest/linux/build $(@D) amd64
linux-tools: $(B)/guest/linux/linux-tools.cpio
$(B)/guest/linux/linux-tools.cpio: $(LINUX_PARTS)
	guest/linux/build $(@D) tools
# what is inside of a bzImage: an ELF file with a PVH entry
linux-elf: $(B)/guest/linux/vmlinux
$(B)/guest/linux/vmlinux: $(B)/guest/linux/linux.cpio guest/linux/unpack
	guest/linux/unpack $(@D)/vmlinuz $@
