# SPDX-License-Identifier: BSD-2-Clause
"""The test beds: machines for the hypervisor to run on (docs/testbed.md).

A test bed makes a folder for one run, and starts its emulator there on the folder's disk.img.
Serial output goes to serial.log (by serialline.py, if somebody sits there), what is written to
port 0xE9 to e9.log.
"""
import fcntl
import os
import re
import shutil
import struct
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from . import nics, paths
from .console import Failure

NO_ACCESS = "no access to"      # there is a better test bed, but not for this user
KEEP_SECONDS = 24 * 3600        # how long folders of failed runs are kept


@dataclass
class Machine:
    """what varies between runs"""
    cpus: int = 4
    memory_mib: int = 0                          # at least; the test bed has its own minimum
    exit_cost: int = 0                           # Bochs only: instructions a VM exit costs
    bochs: dict = field(default_factory=dict)    # other options of Bochs's cpu: line
    bochsrc: list = field(default_factory=list)  # further lines of its configuration
    qemu: list = field(default_factory=list)     # further arguments of QEMU
    nics: list = field(default_factory=list)     # of nics.Nic
    threads: str = "multi"                       # TCG only: multi, a host thread a CPU; or single
    iommu: str = "intremap=on"                   # TCG only: options of QEMU's intel-iommu
    serial_port: int = 0                         # here somebody waits for the serial line's call
    second_port: int = 0                         # here for the second one's, of Bochs; 0: the machine has none
    second_fd: int = -1                          # the socket that is QEMU's second line; -1: it has none


def run_folder(parent):
    """a fresh folder below parent; folders of old failed runs go"""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=parent))
    except OSError as problem:
        raise Failure(f"{parent}: {problem.strerror}: a run needs a folder there; LASTHOP_CACHE names "
                      "another cache" + ("" if paths.INSTALLED else ", which make setup fills"), status=2) from None
    for old in parent.iterdir():
        try:
            if time.time() - old.stat().st_mtime > KEEP_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
        except OSError:
            pass                                 # another run was faster
    return fresh


def spawn(argv, folder, stdout, inherits=()):
    """the emulator dies with us, however we end"""
    with open(folder / "emulator.log", "ab") as log, open(stdout, "ab") as out:
        return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *map(str, argv)],
                                stdin=subprocess.DEVNULL, stdout=out, stderr=log, cwd=folder, pass_fds=inherits)


def listens(pid):
    """does a process have a listening TCP socket?"""
    held = set()
    for fd in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            held.add(str(fd.readlink()))
        except OSError:
            pass                                 # closed meanwhile
    tcp = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(line[3] == "0A" and f"socket:[{line[9]}]" in held for line in tcp)


def host_mib():
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20


def check_memory(machine, where, most):
    if machine.memory_mib > most:
        raise Failure(f"the VMs need a machine of {machine.memory_mib} MiB, {where} has at most "
                      f"{most}: lower memory-mib")


class Bochs:
    """Bochs, repaired, in the root that scripts/setup made: VT-x in virtual time."""
    name, clock = "bochs", "virtual"
    TICK = 16                                   # by so many its clock moves on: what each CPU executes in turn
    tcp_only = True                             # of its serial lines: they call a port of the host
    CPU = {"model": "corei7_skylake_x", "ips": 100000000, "reset_on_triple_fault": 0,
           "ignore_bad_msrs": 1, "cpuid_freq": "ips", "exclude_features": '"mwait"'}
    CONFIG = """\
display_library: rfb, options="timeout=0"
config_interface: textconfig
romimage: file=/OVMF.fd, address=0x0, options=none
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
vga: extension=vbe, realtime=0
fw_cfg: enabled=1
cpu: count={cpus}, {cpu}
memory: guest={memory}, host={memory}
pci: enabled=1, chipset=i440fx
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path={folder}/disk.img, mode=flat
boot: disk
com1: enabled=1, {serial}
{second}log: {folder}/bochs.log
port_e9_hack: enabled=1
panic: action=fatal
warn: action=report
error: action=ignore
info: action=ignore
clock: sync=none, time0={time0}
"""
    TIME0 = 1767225600                          # seconds since 1970, when it starts
    STARTS = 10                                 # tries to get a port for its screen
    START_SECONDS = 60                          # it listens at once, if at all
    MOST_CPUS = 14                              # Bochs runs out of timers above it
    MOST_MIB = 8192

    def __init__(self, root=None):
        self.root = Path(root or paths.bochs_root()).resolve()

    def check(self, machine):
        if machine.exit_cost not in (0, 1000):
            raise Failure("--exit-cost is 0 or 1000")
        if machine.cpus > self.MOST_CPUS:
            raise Failure(f"Bochs runs at most {self.MOST_CPUS} CPUs: lower --cpus")
        check_memory(machine, "Bochs", self.MOST_MIB)
        if not self.binary(machine).is_file():
            raise Failure(f"no {self.binary(machine)}: {paths.setup()}")

    def binary(self, machine):
        return self.root / "usr/bin" / f"bochs-exit{machine.exit_cost}"

    def emulator(self):
        version = self.root / "version"
        told = re.match(r"[\d.]+", version.read_text()) if version.is_file() else None
        return "Bochs " + (told[0] if told else "?")

    def folder(self):
        return run_folder(self.root / "run")

    def start(self, folder, machine):
        inside = "/" + str(folder.relative_to(self.root))
        cpu = ", ".join(f"{k}={v}" for k, v in {**self.CPU, **machine.bochs}.items())
        serial = f"mode=file, dev={inside}/serial.log"
        if machine.serial_port:
            serial = f"mode=socket-client, dev=127.0.0.1:{machine.serial_port}"
        second = (f"com2: enabled=1, mode=socket-client, dev=127.0.0.1:{machine.second_port}\n"
                  if machine.second_port else "")
        (folder / "bochsrc").write_text(self.CONFIG.format(
            cpus=machine.cpus, cpu=cpu, serial=serial, second=second, memory=max(1024, machine.memory_mib), folder=inside,
            time0=self.TIME0) + "".join(line + "\n" for line in machine.bochsrc))
        command = ["/usr/bin/" + self.binary(machine).name, "-q", "-f", inside + "/bochsrc"]
        for _ in range(self.STARTS):
            process = spawn(chroot(self.root) + command, folder, folder / "e9.log")
            began = time.monotonic()
            while (process.poll() is None and not listens(process.pid)
                   and time.monotonic() - began < self.START_SECONDS):
                time.sleep(0.02)
            if process.poll() is None or not self.lost_port(folder):
                break
            for name in ("bochs.log", "e9.log", "serial.log"):
                (folder / name).unlink(missing_ok=True)
        return process

    def lost_port(self, folder):
        """Bochs's screen is a server: of two that start at once both can bind the same port, then
        one may listen and the other fails"""
        return any("could not bind any port" in line for line in self.last_words(folder))

    def watch(self, folder):
        """a function that tells the fatal lines of Bochs's log, none while all is well"""
        return BochsLog(folder / "bochs.log").fatal

    def last_words(self, folder):
        return self.watch(folder)()


class BochsLog:
    """Bochs's own log: what in it means that the run has failed."""
    # after a triple fault outside a guest Bochs only says so, and runs the other CPUs on
    FATAL = re.compile(r"^.*(?:>>PANIC<<|3rd \(\d+\) exception with no resolution).*$", re.M)
    BLOCK = 1 << 20

    def __init__(self, path):
        self.path, self.offset, self.rest, self.found = path, 0, "", []

    def fatal(self):
        """the lines so far that tell of a failure, read on from where we were"""
        while self.path.exists():
            with open(self.path, "rb") as log:
                log.seek(self.offset)
                data = log.read(self.BLOCK)
            self.offset += len(data)
            *lines, self.rest = (self.rest + data.decode("utf-8", "replace")).split("\n")
            self.found += self.FATAL.findall("\n".join(lines))
            if len(data) < self.BLOCK:
                break
        return self.found[:20]


def chroot(root):
    if os.geteuid() == 0:
        return ["chroot", root]
    return ["unshare", "--map-root-user", f"--root={root}"]


class Qemu:
    """QEMU: SVM under TCG, or what the host has under KVM; wall time."""
    clock = "wall"
    tcp_only = False
    CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
    VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"
    ACCEL = {"tcg": ["-M", "q35", "-accel", "tcg,thread={threads}", "-cpu", "EPYC",
                     "-device", "intel-iommu,{iommu}"],
             "kvm": ["-M", "q35", "-accel", "kvm", "-cpu", "host"]}

    MOST_CPUS = 255                             # of the machine q35 without x2APIC identifiers

    def __init__(self, accel):
        self.name = accel

    def check(self, machine):
        if machine.cpus > self.MOST_CPUS:
            raise Failure(f"QEMU runs at most {self.MOST_CPUS} CPUs here: lower --cpus")
        check_memory(machine, "this host", host_mib())
        if machine.exit_cost:
            raise Failure("--exit-cost needs --on bochs: only there time is counted")
        if not shutil.which("qemu-system-x86_64") or not Path(self.CODE).is_file():
            raise Failure(f"no qemu-system-x86_64 or no OVMF here: {paths.install('qemu-system-x86', 'ovmf')}")

    def emulator(self):
        told = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True)
        version = re.search(r"version (\S+)", told.stdout)
        return "QEMU " + (version[1] if version else "?")

    def folder(self):
        return run_folder(paths.cache() / "run")

    def start(self, folder, machine):
        shutil.copyfile(self.VARS, folder / "vars.fd")
        serial = (f"tcp:127.0.0.1:{machine.serial_port}" if machine.serial_port
                  else "file:serial.log")
        inherits = (machine.second_fd,) if machine.second_fd >= 0 else ()
        second = ["-chardev", f"socket,id=second,fd={machine.second_fd}", "-serial", "chardev:second"] if inherits else []
        return spawn([
            "qemu-system-x86_64", *(word.format(threads=machine.threads, iommu=machine.iommu)
                                    for word in self.ACCEL[self.name]),
            "-smp", machine.cpus, "-m", max(2048, machine.memory_mib),
            "-drive", f"if=pflash,format=raw,readonly=on,file={self.CODE}",
            "-drive", "if=pflash,format=raw,file=vars.fd",
            "-drive", "file=disk.img,format=raw,if=virtio", "-nic", "none",
            "-display", "none", "-monitor", "none", "-serial", serial, *second,
            "-device", "isa-debug-exit,iobase=0x501",
            "-device", "isa-debugcon,iobase=0xe9,chardev=e9",
            "-chardev", "file,id=e9,path=e9.log", "-no-reboot",
            "-d", "cpu_reset", "-D", "reset.log", *nics.qemu_arguments(machine.nics), *machine.qemu,
        ], folder, folder / "emulator.log", inherits)

    def watch(self, folder):
        """QEMU ends where Bochs would only write to its log; then it may have said why"""
        return lambda: []

    OF_NO_NEWS = re.compile("TCG doesn't|terminating on signal 15 ")   # the latter is by us

    def last_words(self, folder):
        return [line for line in tail(folder / "emulator.log", 50)
                if not self.OF_NO_NEWS.search(line)] + \
               [line for line in tail(folder / "reset.log", 200) if line == "Triple fault"]


def tail(path, lines):
    """the last lines of a log that may hold anything, or be absent"""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - (64 << 10)))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    text = re.sub(r"\x1b\[[0-9;?=]*[A-Za-z]", "", text).replace("\r", "").replace("\0", "")
    return [line for line in text.split("\n") if line.strip()][-lines:]


def kvm_lacks(device="/dev/kvm"):
    """why KVM lets no guest use VMX or SVM, with the mend; "" if it does. There are machines whose
    /dev/kvm does not."""
    get_supported_cpuid = 0xC008AE05
    room = 256
    buffer = bytearray(struct.pack("=II", room, 0) + bytes(40 * room))
    try:
        kvm = os.open(device, os.O_RDWR)
    except PermissionError:
        return f"{NO_ACCESS} {device}: join the group kvm"
    except OSError as problem:
        return (f"{device}: {problem.strerror}: switch virtualisation on in the firmware and load "
                "kvm_intel or kvm_amd")
    try:
        fcntl.ioctl(kvm, get_supported_cpuid, buffer)
    except OSError:
        return f"{device} does not answer as KVM does"
    finally:
        os.close(kvm)
    count, = struct.unpack_from("=I", buffer)
    ecx = {}
    for i in range(min(count, room)):
        leaf, _, _, _, _, value = struct.unpack_from("=6I", buffer, 8 + 40 * i)
        ecx.setdefault(leaf, value)
    if ecx.get(1, 0) & (1 << 5) or ecx.get(0x80000001, 0) & (1 << 2):
        return ""
    return "KVM offers no VMX or SVM to guests here: load kvm_intel or kvm_amd with nested=1"


def pick(name):
    """the test bed of that name; auto: the fastest that has hardware virtualisation"""
    lacks = kvm_lacks() if name in ("auto", "kvm") else ""
    if name == "kvm" and lacks:
        raise Failure(f"--on kvm: {lacks}, or use --on tcg")
    if name == "auto":
        name = "tcg" if lacks else "kvm"
    bed = Bochs() if name == "bochs" else Qemu(name)
    bed.note = lacks if lacks.startswith(NO_ACCESS) else ""
    return bed


def host_cpus():
    return len(os.sched_getaffinity(0))
