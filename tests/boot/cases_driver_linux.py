# SPDX-License-Identifier: BSD-2-Clause
"""Linux as a driver domain: Debian's kernel drives the NIC, and bridges it to the uplink."""
import socket

from cases import BACKEND, Case
from cases_driver import IDS, client, server, talked
from cases_linux import QUICK, no_complaints_but
from configs import Vm, config
from lasthoplib.serialline import PROMPT
from world import REMOTE_PORT, nic

# The kernel says so wherever a processor has no machine checks.
MEANT = r"mce: Unable to init MCE device"
RESTARTS = 2


def bridge(*models, **more):
    """the driver domain with these NICs, and an uplink of two queue pairs for each; its kernel tells
    warnings"""
    nodes = [f'nic{n} {{ compatible = "lasthop,passthrough"; pci-id = {IDS[m]}; }};'
             for n, m in enumerate(models)]
    nodes += [f'up{n} {{ compatible = "lasthop,net"; switch = <&lan>; uplink; queue-pairs = <2>; }};'
              for n in range(len(models))]
    return Vm("driver", "vmlinuz-amd64", f"console=ttyS0 {QUICK} loglevel=5 panic=-1 lasthop.role=bridge",
              memory_mib=256, more=['role = "driver-domain";', 'initrd = "linux-amd64.cpio";', *nodes],
              **more)


def restarted(line, check):
    """a connection from the world to the server outlives the restarts of what is between them"""
    world = line.world
    check(world.wait_for("10.0.0.1"), "the server answers the world")
    line.type("\r")
    line.wait(f"^{PROMPT}")
    with socket.create_connection(("10.0.0.1", REMOTE_PORT), timeout=300) as end:
        end.sendall(b"echo as ")        # a handshake alone may get lost for good, if the restart comes at once
        for turn in range(RESTARTS):
            answer = line.command("vm restart driver")
            check(answer == "vm restart: driver: done\n", f"vm restart: {answer.strip()}")
            line.wait(r"\] uplink driver/up0: down$")
            line.wait(r"^driver\| bridge: ready$")
            check(world.wait_for("10.0.0.1"), f"the server answers the world after restart {turn + 1}")
        end.sendall(b"before; touch /tmp/done\n")
        check(end.recv(100) == b"as before\n", "the connection goes on")


def outside(name, model, driver, vms, talk, ends, **more):
    return Case(f"tcg-linux-driver-{name}", "tcg", config(*vms), cpus=4, backend=BACKEND["tcg"],
                nics=[nic(model)], world=1, talk=talk, ends={**ends, "driver": "running"},
                hooks=[no_complaints_but(MEANT)], must=[
                    r"\] uplink driver/up0: up$", r"^driver\| bridge: ready$",
                    rf"^driver\| bridge: eth\d, {driver}, \S+, to uplink eth\d, MTU 1500$",
                    *more.pop("must", ())], **more)


CASES_DRIVER_LINUX = [
    outside("e1000e", "e1000e", "e1000e",
            [server(), client(["ping", "ping6", "tcp", "tcp-reverse", "udp"]), bridge("e1000e", cpus=2)],
            talked, {"server": "ok", "client": "ok"}, must=[
                r"^client\| client: met ", r"^driver\| bridge: interrupt .* PCI-MSI .* eth\d-rx-0$"]),
    # INTx, by way of the guest's I/O APIC
    outside("e1000", "e1000", "e1000", [server(), client(["ping", "tcp"]), bridge("e1000")], talked,
            {"server": "ok", "client": "ok"}, must=[
                r"^client\| client: met ", r"^driver\| bridge: interrupt .* IO-APIC .* eth\d$"]),
    outside("restart", "virtio", "virtio_net", [server(), bridge("virtio")], restarted,
            {"server": "ok"}, must=[rf"\] uplink driver/up0: up again after \d+ ms$"]),
]
