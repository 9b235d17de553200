# SPDX-License-Identifier: BSD-2-Clause
"""Sources of configs for the boot tests, written from a few words."""
from dataclasses import dataclass, field, replace

SHORT = "tests=stream:64,stream:1514,rr:64 packets=2000 transactions=50"


@dataclass
class Vm:
    """one VM; nets: the switch of each of its devices"""
    name: str
    kernel: str
    args: str = ""
    nets: tuple = ()
    memory_mib: int = 16
    affinity: tuple = ()
    cpus: int = 1
    queue_pairs: int = 1
    mtu: int = 9000
    more: list = field(default_factory=list)     # further lines of its node

    def source(self, index):
        lines = [f"{self.name} {{", 'compatible = "lasthop,vm";', f"cpus = <{self.cpus}>;",
                 f"memory-mib = <{self.memory_mib}>;", f'kernel = "{self.kernel}";',
                 "no-fast-strings;", *self.more]
        if self.args:
            lines.append(f'bootargs = "{self.args}";')
        if self.affinity:
            lines.append(f"cpu-affinity = <{' '.join(map(str, self.affinity))}>;")
        for n, switch in enumerate(self.nets):
            mac = f"52 54 00 00 {index + 1:02x} {n + 1:02x}"
            lines.append(f'net{n} {{ compatible = "lasthop,net"; switch = <&{switch}>; '
                         f"local-mac-address = [{mac}]; max-frame-size = <{self.mtu}>; "
                         f"queue-pairs = <{self.queue_pairs}>; }};")
        return "\n".join(lines + ["};"])


def config(*vms):
    """source text: these VMs and the switches that they name"""
    switches = dict.fromkeys(switch for vm in vms for switch in vm.nets)
    return "\n".join(
        ["/dts-v1/;", "/ {", 'compatible = "lasthop,config-1";',
         *(f'{name}: {name} {{ compatible = "lasthop,switch"; }};' for name in switches),
         "vms {", *(vm.source(i) for i, vm in enumerate(vms)), "};", "};", ""])


def pair(number=1, tests=SHORT, nets=("lan",), more="", address=None, affinity=()):
    """two VMs, sinkN and sourceN, that measure what is between them"""
    sink, source = (f"10.0.{number if address is None else address}.{host}" for host in (2, 1))
    more = " " + more if more else ""
    return [Vm(f"sink{number}", "bench.elf", f"role=sink ip={sink}{more}", nets,
               affinity=affinity),
            Vm(f"source{number}", "bench.elf",
               f"role=source ip={source} peer={sink} {tests}{more}", nets, affinity=affinity)]


def pairs(count, **more):
    return [vm for n in range(count) for vm in pair(n + 1, **more)]


def injected(vms):
    """the same VMs, whose interrupts are injected at VM entries on any machine"""
    return [replace(vm, more=[*vm.more, 'apicv = "off";']) for vm in vms]


def ends(vms, **others):
    """{VM: end}: "ok" but for the others"""
    return {vm.name: others.get(vm.name, "ok") for vm in vms}
