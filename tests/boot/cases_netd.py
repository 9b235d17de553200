# SPDX-License-Identifier: BSD-2-Clause
"""Boot tests of netd, the driver domain's program, where no NIC is needed: it joins two switches,
one as its NIC and the other as its uplink. What passes it is measured and checked by guests."""
from cases import both
from configs import Vm, ends, pair
from lasthoplib.serialline import NEXT_CONSOLE

NETD = Vm("netd", "netd.elf", "uplink=00:02.0", ("near", "far"), memory_mib=32)


def until(*names):
    """waits for the VMs' ends, then for netd's statistics, and stops it"""
    def talk(line, check):
        line.wait_all(*(rf"\] vm {name}: ended: ok$" for name in names), seconds=600)
        line.type(NEXT_CONSOLE + "s")
        told = line.wait(r"^netd: virtio-net 00:01\.0; out: [1-9].*dropped 0 .*; in: [1-9].*dropped 0 ")
        check(told, "netd moved frames both ways and dropped none")
        line.type(NEXT_CONSOLE * (len(names) + 1))
        line.wait(r"^\[log and shell: ")
        line.command("vm stop netd")
    return talk


def joined(name, vms, **more):
    names = [vm.name for vm in vms]
    return both(name, [NETD, *vms], cpus=4, talk=until(*names), ends=ends(vms) | {"netd": "stopped"},
                must=[r"^netd\| netd: virtio-net 00:01\.0, .*, to uplink 00:02\.0, MTU 9000, MSI-X, "
                      r"sends checksums TSO4 TSO6, link up$", *more.pop("must", [])], **more)


sink, source = pair(tests="tests=rr:64,rr:1514,rr:9014 transactions=50", nets=("near",))
source.nets = ("far",)
TAKES = ("none", "csum", "tso")          # no NIC cuts UDP: those who take that whole would not get it
OFFLOAD = [Vm(takes, "offload.elf", f"role=receiver takes={takes}", ("near",)) for takes in TAKES] + [
    Vm("sender", "offload.elf", f"role=sender receivers={len(TAKES)} tx=chain", ("far",))]

CASES_NETD = [
    *joined("netd-rr", [sink, source], results={"rr": 3}),
    *joined("netd-offload", OFFLOAD, must_not=[r"\| FAIL "]),
]
