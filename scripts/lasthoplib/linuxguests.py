# SPDX-License-Identifier: BSD-2-Clause
"""Linux guests for the benchmarks: configs of pairs of them (guest/linux), and what they tell as figures.

A figure is None where it was not told. Exits, CPU time: of the whole machine in the TCP test."""
from . import dts, paths, policies, vmconfig

# Of the data plane in all these comparisons. The emulated CPUs are some thirty times slower than real ones,
# so that packets of a stream come a third to half a millisecond apart: times that suit 30 us do not.
POLICY = {"poll-us": 10000, "lag-us": 3000, "batch-bytes": 262144}
QUIET = "console=ttyS0 mitigations=off quiet"
TESTS = ("ping", "tcp", "udp-small", "udp")


def policy(on):
    return POLICY | (policies.on_bochs() if on == "bochs" else {})


def guest(name, words, **more):
    return vmconfig.Vm(name, "vmlinuz", f"{QUIET} {words}", memory_mib=256, mtu=1500,
                       more=['initrd = "linux.cpio";'], **more)


def pair(number, tests, seconds):
    """a server and its client, on a network of their own numbers"""
    net = f"10.9.{number}"
    return [guest(f"server{number}", f"lasthop.role=server lasthop.ip={net}.1/24", nets=("lan",)),
            guest(f"client{number}", f"lasthop.role=client lasthop.ip={net}.2/24 lasthop.peer={net}.1 "
                  f"lasthop.tests={','.join(tests)} lasthop.seconds={seconds}", nets=("lan",))]


def loopback(seconds):
    """one guest of two vCPUs, with a client and a server in it"""
    return [guest("loop", f"lasthop.role=boot lasthop.tests=loopback lasthop.seconds={seconds}",
                  nets=("lan",), cpus=2)]


def configured(name, on, vms):
    """these VMs as a config that has been checked"""
    folder = paths.work() / "linux"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{on}.dts"
    path.write_text(vmconfig.config(*vms, policy=policy(on)))
    config = dts.Config(path)
    errors = config.check()
    if errors:
        raise dts.refused(path, errors)
    return config


def kpps(packets, seconds):
    return packets / seconds / 1e3 if packets is not None and seconds else None


def mbit(entry):
    return entry["gbit_s"] * 1e3 if entry else None


def of_udp(small):
    """what was sent, came into the receiver's ring, and was received, of a small-UDP entry"""
    if not small or "packets" not in small:
        return {}
    sent, seconds = small["packets"], small["seconds"]
    ring = min(small["ring"], sent) if "ring" in small else None    # some are of iperf3's control connection
    return {"udp-sent": kpps(sent, seconds), "udp-ring": kpps(ring, seconds),
            "udp-reached": 100 * ring / sent if ring is not None and sent else None,
            "udp-small": kpps(sent - small["lost"], seconds)}


def figures(results):
    """{key: figure} of the entries that one client told (guest_results.py)"""
    found = {r["test"]: r for r in results}
    tcp, ping = found.get("tcp", {}), found.get("ping", {})
    exits, timers = tcp.get("exits_per_mib"), tcp.get("timer_exits_per_mib", 0.0)
    return {"tcp": mbit(tcp), "exits": exits - timers if exits is not None else None, "timers": timers,
            "busy": tcp.get("busy_ms_per_mib"), "polls": tcp.get("poll_ms_per_mib"),
            "udp": mbit(found.get("udp")), "ping-min": ping.get("min_us"),
            "ping": ping.get("avg_us")} | of_udp(found.get("udp-small"))
