# SPDX-License-Identifier: BSD-2-Clause
"""Configs of the boot tests, written from a few words."""
from dataclasses import replace

from lasthoplib.vmconfig import Vm, config    # noqa: F401: for the cases

SHORT = "tests=stream:64,stream:1514,rr:64 packets=2000 transactions=50"


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
