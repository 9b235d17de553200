#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The peer: KVM + vhost-net + Linux bridge as the outer system of the very machine that lasthop
# is tested in. Two guests (Debian's cloud kernel, one vCPU each on a CPU of its own) run ping
# and iperf3 over the bridge; prints their results and KVM's exit counters.
#
#   kvm-peer.sh prepare        makes the disk images in $WORK, nothing else
#   kvm-peer.sh tcg            QEMU TCG, SVM with nested paging, wall time          (2 min)
#   kvm-peer.sh bochs          Bochs, VT-x with EPT, emulated time; BOCHS_ROOT=...  (7 min)
#
# CPUS=2 leaves none idle (default 4: one a guest, two for vhost threads and the rest).
# Needs root and, on Debian 12: mmdebstrap qemu-system-x86 cpio e2fsprogs busybox-static mtools
# fdisk grub-efi-amd64-bin grub-common binutils python3. Works in $WORK (4 GB; kept, so that the
# second call only runs). BOCHS_ROOT is the folder that Bochs is in, with its repaired copies
# bochs-exit0 and bochs-exit1000 (docs/testbed.md); EXIT_COST=0 or 1000 (default) picks one.
set -e
SELF=$(realpath "$0")
ON=${1:?prepare, tcg or bochs}; CPUS=${CPUS:-4}; EXIT_COST=${EXIT_COST:-1000}; WORK=$(realpath -m "${WORK:-${LASTHOP_CACHE:-.cache}/kvm-peer}"); export WORK; mkdir -p "$WORK"; cd "$WORK"; BOCHS=${BOCHS_ROOT}/usr/bin/bochs-exit$EXIT_COST
[ "$ON" != bochs ] || [ -x "$BOCHS" ] || { echo "no $BOCHS: set BOCHS_ROOT, and repair it"; exit 1; }

prepare() {
	local mirror V M l m tool
	for tool in busybox mmdebstrap mke2fs sfdisk mformat cpio objdump grub-mkstandalone; do	# not after ten minutes
		command -v $tool > /dev/null || { echo "$tool is missing: see the packages at the top of $SELF"; exit 1; }
	done
	rm -rf --one-file-system root l1 l2	# of an attempt that was cut
	mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' | sed -n 's/ bookworm$//p' | head -1)
	mmdebstrap --variant=apt --mode=root --aptopt='APT::Install-Recommends "false"' \
	  --include=qemu-system-x86,seabios,ipxe-qemu,iproute2,iperf3,kmod,udev,mount,linux-image-cloud-amd64,busybox-static,procps \
	  bookworm root "deb $mirror bookworm main"
	V=$(ls root/lib/modules); M=root/lib/modules/$V/kernel; cp "root/boot/vmlinuz-$V" vmlinuz

	# the inner guests: busybox, iperf3, virtio modules
	mkdir -p l2/{bin,proc,sys,dev,lib,tmp,etc}; cp /bin/busybox l2/bin/; cp root/usr/bin/iperf3 l2/bin/
	for l in sh mount ip ping sleep cat insmod tr grep cut tail taskset; do ln -sf busybox l2/bin/$l; done
	for l in $(chroot root ldd /usr/bin/iperf3 | grep -oE '/[^ ]+\.so[^ ]*'); do mkdir -p "l2$(dirname "$l")"; cp -L "root$l" "l2$l"; done
	for m in virtio/virtio virtio/virtio_ring virtio/virtio_pci_legacy_dev virtio/virtio_pci_modern_dev virtio/virtio_pci net/virtio_net; do cp "$M/drivers/$m.ko" l2/lib/; done
	cp "$M"/net/core/failover.ko "$M"/drivers/net/net_failover.ko l2/lib/
	cat > l2/init <<'E'
#!/bin/sh
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for m in virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci failover net_failover virtio_net; do insmod /lib/$m.ko; done
sleep 1; ip link set lo up
for w in $(cat /proc/cmdline); do case $w in role=*) ROLE=${w#role=};; secs=*) S=${w#secs=};; esac; done
case $ROLE in
server) ip addr add 10.9.0.1/24 dev eth0; ip link set eth0 up; iperf3 -s;;
client) ip addr add 10.9.0.2/24 dev eth0; ip link set eth0 up; sleep 3; echo L2-CLIENT-UP
 ping -c 20 -i 0.2 10.9.0.1 | grep round-trip
 echo TCP-BEGIN; iperf3 -c 10.9.0.1 -t $S | grep -E 'sender|receiver'; echo TCP-END
 sleep 1; echo UDP-BEGIN; iperf3 -c 10.9.0.1 -u -b 0 -l 18 -t $S | grep -E 'sender|receiver'; echo UDP-END
 iperf3 -c 10.9.0.1 -u -b 0 -l 1400 -t $S | grep -E 'sender|receiver'
 sleep 1; echo TRACE-BEGIN; iperf3 -c 10.9.0.1 -t 2 | grep -E 'receiver' | sed 's/^/traced /'; echo TRACE-END;;
loop) taskset 1 iperf3 -s -D; sleep 1; echo L2-CLIENT-UP         # the ceiling: both ends in one guest, a vCPU each
 taskset 2 iperf3 -c 127.0.0.1 -t $S | grep receiver
 taskset 2 iperf3 -c 127.0.0.1 -u -b 0 -l 18 -t $S | grep -E 'sender|receiver';;
esac; echo L2-DONE; sleep 100000
E
	chmod +x l2/init; mkdir root/l2; (cd l2 && find . | cpio -o -H newc 2>/dev/null | gzip -1) > root/l2/l2.gz; cp vmlinuz root/l2/

	# the outer system: an initrd of a few modules, then /bench.sh on the disk
	local mods="drivers/scsi/scsi_common drivers/scsi/scsi_mod drivers/ata/libata drivers/ata/ata_piix drivers/scsi/sd_mod drivers/virtio/virtio drivers/virtio/virtio_ring drivers/virtio/virtio_pci_legacy_dev drivers/virtio/virtio_pci_modern_dev drivers/virtio/virtio_pci drivers/block/virtio_blk"
	mkdir -p l1/{bin,lib,dev,proc,sys,root}; cp /bin/busybox l1/bin/; for l in sh mount insmod switch_root sleep; do ln -sf busybox l1/bin/$l; done
	for m in $mods; do cp "$M/$m.ko" l1/lib/; done
	{ echo '#!/bin/sh'; echo 'mount -t devtmpfs d /dev; mount -t proc p /proc; mount -t sysfs s /sys'
	  for m in $mods; do echo "insmod /lib/$(basename "$m").ko"; done
	  echo 'for i in 1 2 3 4 5 6 7 8 9; do for d in /dev/vda /dev/sda /dev/sdb; do [ -b $d ] && mount -t ext4 $d /root 2>/dev/null && exec switch_root /root /bench.sh; done; sleep 1; done'
	} > l1/init; chmod +x l1/init; (cd l1 && find . | cpio -o -H newc 2>/dev/null | gzip -9) > l1.gz
	cat > root/bench.sh <<'E'
#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev 2>/dev/null; mount -t tmpfs tmp /tmp; mount -t debugfs d /sys/kernel/debug; [ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd
S=10; CPU=host; ARGS=""
# In Bochs a rep string instruction moves everybody's clock (docs/testbed.md): hide what makes Linux use them
grep -q peer=bochs /proc/cmdline && S=5 && CPU=host,-erms,-fsrm && ARGS="clearcpuid=rep_good,erms,fsrm"
modprobe kvm_intel nested=0 2>/dev/null || modprobe kvm_amd nested=0; modprobe vhost_net; modprobe tun; modprobe bridge
ip link set lo up; iperf3 -s -D; sleep 1; iperf3 -c 127.0.0.1 -t 5 | grep receiver | sed 's/^/R outer loopback: /'
ip link add br0 type bridge; ip link set br0 up
for i in 0 1 2; do ip tuntap add tap$i mode tap vnet_hdr; ip link set tap$i master br0 up; done
run() { # log, role, CPUs to be on, vCPUs
 taskset -c $3 qemu-system-x86_64 -accel kvm -cpu $CPU -m 256 -smp $4 -display none -nodefaults -no-user-config \
 -kernel /l2/vmlinuz -initrd /l2/l2.gz -append "console=ttyS0 role=$2 secs=$S panic=-1 mitigations=off quiet $ARGS" \
 -netdev tap,id=n0,ifname=tap$1,script=no,downscript=no,vhost=on -device virtio-net-pci,netdev=n0,mac=52:54:00:00:00:0$1,romfile= -serial file:/tmp/l2-$1.log 2>/dev/null & }
now() { echo $(awk '/^cpu /{print $2+$3+$4+$7+$8}' /proc/stat) $(cat /sys/kernel/debug/kvm/exits) $(cat /sys/kernel/debug/kvm/halt_exits) $(cat /sys/kernel/debug/kvm/irq_exits); }
# without a process that looks again and again: that would be work of the CPUs which are measured
wait_for() { touch /tmp/l2-$1.log; grep -aqm1 $2 < <(exec tail -n +1 -f /tmp/l2-$1.log); }
E=/sys/kernel/debug/tracing/events/kvm
# Which exits are the guests' own timers: in a window of its own, since counting by reason costs KVM time. Timer writes
# are MSR 0x6e0 (1760); that a timer is over is an exit by the preemption timer (VMX: 52), else seen as its vector (236).
trace() { echo "${1}hist:keys=ecx if write==1" > $E/kvm_msr/trigger; echo "${1}hist:keys=vec" > $E/kvm_apic_accept_irq/trigger; echo "${1}hist:keys=exit_reason" > $E/kvm_exit/trigger; }
hits() { awk -v want="$2" '/^[{].*hitcount/ { gsub(/[{}:,]/, " "); if (want == "" || $2 == want) n += $NF } END { print n + 0 }' $E/$1/hist; }
lines() { tr -d '\r' < /tmp/l2-$1.log | grep -a -A60 L2-CLIENT-UP | grep -avE 'L2-|TCP-|UDP-|TRACE-|^traced' | sed "s/^/R $2: /"; }
mib() { tr -d '\r' < /tmp/l2-1.log | grep -a -A9 $1 | awk '/receiver/ { for (i = 2; i <= NF; i++) if ($i ~ /Bytes$/) { m = $(i - 1); if ($i == "GBytes") m *= 1024; if ($i == "KBytes") m /= 1024; print m; exit } }'; }
[ "$(nproc)" -gt 2 ] && A=1 || A=0
run 0 server $A 1; one=$!; run 1 client $((A + 1)) 1; two=$!
wait_for 1 TCP-BEGIN; a=$(now); wait_for 1 TCP-END; b=$(now)
wait_for 1 UDP-BEGIN; u=$(cat /sys/class/net/tap0/statistics/tx_packets); wait_for 1 UDP-END; v=$(cat /sys/class/net/tap0/statistics/tx_packets)
wait_for 1 TRACE-BEGIN; trace ""; wait_for 1 TRACE-END
if grep -q vmx /proc/cpuinfo; then over=$(hits kvm_exit 52); else over=$(hits kvm_apic_accept_irq 236); fi
t="$(hits kvm_msr 1760) $over $(hits kvm_exit)"; grep '^{.*hitcount' $E/kvm_exit/hist | sed 's/^/R exits by reason: /'; trace "!"
wait_for 1 L2-DONE; lines 1 "guest to guest"
mb=$(mib TCP-BEGIN); tmb=$(mib TRACE-BEGIN)
echo "R UDP window: $((v - u)) packets went into the receiver's ring"
echo "R traced window: $(echo $t $tmb | awk '{printf "timers set %.2f/MiB, over %.2f/MiB, all exits %.2f/MiB", $1/$4, $2/$4, $3/$4}')"
echo "R TCP window: $(echo $a $b $mb | awk '{printf "busy %.1f ms/MiB, exits %.2f/MiB (halt %.2f, interrupt %.2f)", ($5-$1)*10/$9, ($6-$2)/$9, ($7-$3)/$9, ($8-$4)/$9}')"
kill $one $two; sleep 1
run 2 loop $A,$((A + 1)) 2; wait_for 2 L2-DONE; lines 2 "one two-vCPU guest, loopback"
echo R BENCH-END; sleep 3; for c in S h u t d o w n; do printf $c | dd of=/dev/port bs=1 seek=35072 count=1 2>/dev/null; done; echo o > /proc/sysrq-trigger; sleep 10
E
	chmod +x root/bench.sh; mke2fs -q -t ext4 -d root disk.img 2100M

	# for Bochs: the same kernel behind GRUB on an EFI system partition
	printf 'linux /vmlinuz peer=bochs %s idle=halt tsc=reliable no_timer_check lpj=400000\ninitrd /l1.gz\nboot\n' "$APPEND" > grub.cfg
	printf 'search --file /vmlinuz --set=root\nconfigfile /grub.cfg\n' > first.cfg
	grub-mkstandalone -O x86_64-efi -o BOOTX64.EFI --modules="part_gpt fat linux search search_fs_file configfile" --locales= --themes= --fonts= boot/grub/grub.cfg=first.cfg
	truncate -s 64M esp.img; printf 'label: gpt\nstart=2048, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B\n' | sfdisk -q esp.img
	mformat -i esp.img@@1048576 -F -T $((64 * 2048 - 2048 - 34)) ::; mmd -i esp.img@@1048576 ::/EFI ::/EFI/BOOT
	mcopy -i esp.img@@1048576 BOOTX64.EFI ::/EFI/BOOT/; mcopy -i esp.img@@1048576 vmlinuz l1.gz grub.cfg ::/
	touch prepared
}

APPEND="console=ttyS0 quiet mitigations=off nokaslr panic=-1"
# a process of its own, since set -e has no effect in what || waits for; mmdebstrap's mounts end with it
if [ "$ON" = prepare-here ]; then prepare; exit 0; fi
exec 9> lock	# what is in the folder is this run's alone, as is what a run on Bochs puts into $BOCHS_ROOT
flock -n 9 || { echo "another run is at work in $WORK: wait for its end"; exit 1; }
[ -f prepared ] || unshare --mount "$SELF" prepare-here > prepare.log 2>&1 || { tail -3 prepare.log; exit 1; }
[ "$ON" != prepare ] || exit 0

if [ "$ON" = tcg ]; then
	rm -f serial.log
	timeout 420 qemu-system-x86_64 -M q35 -accel tcg,thread=multi -cpu EPYC,+npt -m 6144 -smp $CPUS -display none -serial file:serial.log \
	  -kernel vmlinuz -initrd l1.gz -append "$APPEND" -drive file=disk.img,format=raw,if=virtio,snapshot=on -net none -no-reboot 2> qemu.err || true
	OUT=serial.log
else
	# KVM insists on MONITOR/MWAIT; firmware parks CPUs in them, so this copy of Bochs does not flush all TLBs at each MONITOR
	D=$BOCHS_ROOT/kvm-peer; mkdir -p "$D"; cp disk.img esp.img "$D"; rm -f "$D"/*.lock "$D/serial.log"; OUT=$D/serial.log
	cat "$BOCHS_ROOT"/usr/share/OVMF/OVMF_{VARS,CODE}_4M.fd > "$D/OVMF.fd"
	python3 - "$BOCHS" "$D/bochs" <<'E'
import re, subprocess, sys
dis = subprocess.run(["objdump", "-d", sys.argv[1]], capture_output=True, text=True).stdout
body = dis.split("<_ZN8BX_CPU_C7MONITOREP15bxInstruction_c@@Base>:", 1)[1].split("\n\n", 1)[0]
at = int(re.search(r"^ *([0-9a-f]+):.*call .*bx_pc_system_c6invlpg", body, re.M)[1], 16)
image = bytearray(open(sys.argv[1], "rb").read())    # .text: address and file offset are the same
assert image[at] == 0xe8
image[at:at + 5] = bytes.fromhex("0f1f440000")
open(sys.argv[2], "wb").write(image)
E
	chmod +x "$D/bochs"; sed "s/CPUS/$CPUS/" > "$D/bochsrc" <<'E'
display_library: rfb, options="timeout=0"
config_interface: textconfig
romimage: file=/kvm-peer/OVMF.fd, address=0x0, options=none
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
fw_cfg: enabled=1
cpu: model=corei7_skylake_x, count=CPUS, ips=100000000, reset_on_triple_fault=0, ignore_bad_msrs=1, cpuid_freq=ips
memory: guest=2560, host=2560
pci: enabled=1, chipset=i440fx
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path=/kvm-peer/esp.img, mode=flat
ata0-slave: type=disk, path=/kvm-peer/disk.img, mode=flat
boot: disk
com1: enabled=1, mode=file, dev=/kvm-peer/serial.log
log: /kvm-peer/bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
warn: action=report
clock: sync=none, time0=1767225600
E
	timeout 7000 chroot "$BOCHS_ROOT" /kvm-peer/bochs -q -f /kvm-peer/bochsrc < /dev/null > bochs.out 2>&1 || true
fi
grep -aq 'R BENCH-END' "$OUT" || { echo "no result; the end of the outer system's console:"; tail -c 1500 "$OUT"; exit 1; }
tr -d '\000\r' < "$OUT" | grep -a '^R ' | sed 's/^R //; /BENCH-END/d'
