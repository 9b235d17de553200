# SPDX-License-Identifier: BSD-2-Clause
"""Sources of configs, written from a few words: for the boot tests and the benchmarks."""
from dataclasses import dataclass, field


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
    link_follows: bool = False                   # the uplinks
    more: list = field(default_factory=list)     # further lines of its node
    nodes: list = field(default_factory=list)    # further devices, behind its others

    def source(self, index):
        lines = [f"{self.name} {{", 'compatible = "lasthop,vm";', f"cpus = <{self.cpus}>;",
                 f"memory-mib = <{self.memory_mib}>;", f'kernel = "{self.kernel}";',
                 "no-fast-strings;"]
        if self.args:
            lines.append(f'bootargs = "{self.args}";')
        if self.affinity:
            lines.append(f"cpu-affinity = <{' '.join(map(str, self.affinity))}>;")
        lines += self.more                       # properties first: it may hold nodes
        for n, switch in enumerate(self.nets):
            mac = f"52 54 00 00 {index + 1:02x} {n + 1:02x}"
            lines.append(f'net{n} {{ compatible = "lasthop,net"; switch = <&{switch}>; '
                         f"local-mac-address = [{mac}]; max-frame-size = <{self.mtu}>; "
                         f"queue-pairs = <{self.queue_pairs}>;"
                         f"{' link-follows-uplink;' if self.link_follows else ''} }};")
        return "\n".join(lines + self.nodes + ["};"])


def policy_node(policy):
    """words are strings, numbers cells"""
    if not policy:
        return []
    return ["policy {", *(f"{name} = <{value}>;" if isinstance(value, int) else f'{name} = "{value}";'
                          for name, value in policy.items()), "};"]


def config(*vms, policy=None):
    """source text: these VMs and the switches that they name; policy: {name: value}"""
    switches = dict.fromkeys(switch for vm in vms for switch in vm.nets)
    return "\n".join(
        ["/dts-v1/;", "/ {", 'compatible = "lasthop,config-1";',
         *(f'{name}: {name} {{ compatible = "lasthop,switch"; }};' for name in switches),
         *policy_node(policy or {}),
         "vms {", *(vm.source(i) for i, vm in enumerate(vms)), "};", "};", ""])
