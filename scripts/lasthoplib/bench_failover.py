# SPDX-License-Identifier: BSD-2-Clause
"""`bench failover`: how long the world is away when the driver domain dies (docs/driver-domain.md). Frames
come in by the wire all the time; the machine's own clock tells when the domain ended, when its successor
had the uplink up, and when the first frame came through it."""
import socket
import statistics
import threading
import time

from . import boot, guestbench, options, ports, running, table, testbed
from .console import Failure
from .faults import FAULTS, KERNEL, fault
from .nics import Nic
from .serialline import PROMPT
from .vmconfig import Vm

ABOUT = "From a driver domain's end to the uplink's next first frame, by the way it ends."
MODELS = {"e1000e": "<0x8086 0x10d3>", "virtio": "<0x1af4 0x1041>", "e1000": "<0x8086 0x100e>"}
GUEST = "pattern.elf"           # hardly does anything, and does not end
STEADY_SECONDS = 1.5            # a life is not a short one from a second on (hv/core/lifecycle.c)
EVERY_SECONDS = 0.001           # between two frames
FRAME = b"\xff" * 6 + bytes((2, 0, 0, 0, 0, 9)) + b"\x88\xb5" + bytes(46)    # IEEE 802: local experiments
STAGES = [("up", "up"), ("frame", "passes")]


def arguments(parser):
    parser.add_argument("--on", choices=("tcg", "kvm"), default="tcg", help="test bed (tcg)")
    options.add_cpus(parser)
    parser.add_argument("--times", type=options.positive, default=5, metavar="N", help="of each way (5)")
    parser.add_argument("--nic", choices=MODELS, action="append", help="may be repeated (all of them)")


class Wire(threading.Thread):
    """the other end of QEMU's network: a datagram a frame"""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self.peer = probe.getsockname()
        self.over = threading.Event()

    @property
    def net(self):
        return f"socket,udp=127.0.0.1:{self.socket.getsockname()[1]},localaddr=127.0.0.1:{self.peer[1]}"

    def run(self):
        while not self.over.wait(EVERY_SECONDS):
            try:
                self.socket.sendto(FRAME, self.peer)
            except OSError:                     # the machine is not there yet, or no more
                pass
        self.socket.close()


def wait_passes(session):
    while True:
        event = session.next(guestbench.LIMIT["tcg"])
        if event["event"] == "uplink" and event.get("link") == "passes":
            return


def begin_anew(line, session, netd):
    """of short lives that follow each other, every second one begins with the thorough reset of the NIC; so
    that each fault is the first one since"""
    guestbench.told(line, f"vm stop {netd}", "done")
    line.wait(rf"\] vm {netd}: ended: ")
    while "done" not in line.command(f"vm start {netd}"):       # it is being destroyed
        time.sleep(0.1)
    wait_passes(session)


def talker(session, times, vms):
    def talk(line):
        try:
            line.wait(r"\] vm \S+: started")
            line.type("\r")
            line.wait(f"^{PROMPT}", 60)
            wait_passes(session)
            for how in FAULTS:
                for n in range(times):
                    session.watcher.say(f"{how} {n + 1}/{times}")
                    begin_anew(line, session, vms[0])
                    time.sleep(STEADY_SECONDS)
                    fault(line, how, len(vms))
                    wait_passes(session)
            for vm in vms:
                guestbench.told(line, f"vm stop {vm}", "done")
        except Failure as failure:
            session.failed = str(failure)
            return False
        return True
    return talk


def lives(events):
    """[{"end": how it ended, "up": ms until then, "passes": …}] of the domain"""
    found = []
    for event in events:
        if event["event"] == "vm-reset":
            found.append({"end": event.get("end"), "at": event.get("at_ns", 0)})
        elif event["event"] == "uplink" and found and event.get("link") != "down":
            found[-1].setdefault(event["link"], round((event["at_ns"] - found[-1]["at"]) / 1e6, 3))
    return found


def rows(model, events):
    made = []
    for how, (_, end) in FAULTS.items():
        of_end = [life for life in lives(events) if life["end"] == end]
        row = {"nic": model, "how": how, "times": len(of_end)}
        for _, stage in STAGES:
            values = [life[stage] for life in of_end if stage in life]
            if values:
                row[stage + "_ms"] = {"min": min(values), "median": statistics.median(values),
                                      "max": max(values)}
        made.append(row)
    return made


def one_boot(args, bed, model, progress):
    """(rows, complaints)"""
    netd = Vm("netd", KERNEL, "offload=csum", more=[
        'role = "driver-domain";',
        f'nic0 {{ compatible = "lasthop,passthrough"; pci-id = {MODELS[model]}; }};',
        'up0 { compatible = "lasthop,net"; switch = <&lan>; uplink; };'])
    vms = [netd, Vm("guest", GUEST, nets=("lan",))]
    made = guestbench.configured(f"failover-{model}", vms, {}, images=(GUEST, KERNEL))
    wire, session = Wire(), guestbench.Session(running.Watcher(progress))
    machine = testbed.Machine(args.cpus, nics=[Nic(model, wire.net)])
    wire.start()
    outcome = boot.boot(bed, machine, made.blob, made.images, guestbench.LIMIT[bed.name],
                        on_event=session.event, on_wait=session.watcher.wait,
                        talk=talker(session, args.times, [vm.name for vm in vms]))
    wire.over.set()
    said = [f"{model}: {session.failed}"] if session.failed else []
    if outcome.ended != "end":
        running.explain(outcome, guestbench.LIMIT[bed.name])
        return [], said + [f"{model}: {outcome.why() or 'the run did not come to its end'}"]
    events = outcome.stream.events
    said += ports.unbalanced(ports.entries(events), ports.running(events))
    found = rows(model, events)
    said += [f"{model}: {row['how']}: no frame came in again" for row in found if "passes_ms" not in row]
    outcome.discard()
    return found, said


def run(args, progress):
    bed = testbed.pick(args.on)
    made = guestbench.head("failover", bed, testbed.Machine(args.cpus)) | {"rows": [], "complaints": []}
    args.begun = made
    for model in args.nic or MODELS:
        progress.say(f"starting {bed.emulator()} ({bed.name}) with {model}")
        found, said = one_boot(args, bed, model, progress)
        made["rows"] += found
        made["complaints"] += said
    return made


def cell(row, stage, what):
    return f"{row[stage + '_ms'][what]:.1f}" if stage + "_ms" in row else "-"


def render(made):
    head = ["NIC", "ended by", "times"] + [f"{name}: {what}" for name, _ in STAGES
                                           for what in ("min", "median", "max")]
    lines = [f"lasthop {table.commit(made)}, failover: {made['emulator']} ({made['testbed']}), "
             f"{made['cpus']} CPUs, {made['clock']} time",
             "ms from the domain's end to the uplink's coming up, and to the first frame through it; a hang ends when "
             "its watchdog is missed, a second after its last call"]
    return "\n".join(lines + table.columns([head] + [
        [row["nic"], row["how"], str(row["times"]),
         *(cell(row, stage, what) for _, stage in STAGES for what in ("min", "median", "max"))]
        for row in made["rows"]]))
