# SPDX-License-Identifier: BSD-2-Clause
"""Benchmarks with the bundled guest (guest/bench): configs made for them, and boots in which somebody at
the serial line changes policies and starts VMs between two measurements."""
import queue

from . import boot, dts, guest_results, paths, ports, results, running
from .console import Failure, count
from .serialline import PROMPT
from .vmconfig import Vm, config

COUNT_LOOPS = 20000             # of the counting loop, 0.4 ms on Bochs
LIMIT = {"bochs": 3600, "tcg": 1800, "kvm": 600}    # seconds of the host for one boot


def add_bed(parser, choices=tuple(LIMIT)):
    """Bochs, where time is virtual, unless another is asked for"""
    parser.add_argument("--on", choices=choices, default="bochs", help="test bed (bochs)")


def pair(number, args="", sources=1, cpus=(), **how):
    """sinkN and sourceN, each on its CPU of these; args: boot arguments of both; tests: of the
    source; the rest is of its node"""
    sink, source = (f"10.0.{number}.{host}" for host in (2, 1))
    tests = how.pop("tests")
    own = [(cpu,) for cpu in cpus] or [(), ()]
    return [Vm(f"sink{number}", "bench.elf", f"role=sink ip={sink} sources={sources} {args}", ("lan",),
               affinity=own[0]),
            Vm(f"source{number}", "bench.elf", f"role=source ip={source} peer={sink} tests={tests} "
               f"count={COUNT_LOOPS} {args}", ("lan",), affinity=own[1], **how)]


def configured(name, vms, policy, images=("bench.elf",)):
    """a config that is written below the build folder, and free of errors"""
    path = paths.work() / "bench" / f"{name}.dts"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(config(*vms, policy=policy))
    for image in images:
        if not (path.parent / image).is_symlink():
            (path.parent / image).symlink_to(paths.guests() / image)
    made = dts.Config(path)
    errors = made.check()
    if errors:
        raise dts.refused(path, errors)
    return made


class Session:
    """One boot: its events as they come, for whoever sits at the serial line."""

    def __init__(self, watcher):
        self.watcher, self.failed = watcher, ""
        self._events = queue.Queue()

    def event(self, event):
        self.watcher.event(event)
        self._events.put(event)

    def next(self, seconds):
        try:
            return self._events.get(timeout=seconds)
        except queue.Empty:
            raise Failure(f"nothing was told within {seconds} s") from None

    def until_end(self, vm, seconds):
        """the events until this VM has ended"""
        found = []
        while not found or found[-1]["event"] != "vm-end" or found[-1].get("vm") != vm:
            found.append(self.next(seconds))
        if found[-1].get("end") != "ok":
            raise Failure(f"VM {vm}: {found[-1].get('end')}")
        return found


def told(line, command, wanted):
    """the shell does as it is told"""
    if wanted not in line.command(command):
        raise Failure(f"the shell refuses: {command}")


def talker(session, steps, stop, found):
    """for each step, (name, {policy: value}, VM): sets, starts the VM, and waits for its end, whose
    events go to found[name]; at last stops the VMs that would run for ever"""
    def talk(line):
        try:
            line.wait(r"\] vm \S+: started")     # before, nobody would read what is typed
            line.type("\r")
            line.wait(f"^{PROMPT}", 60)
            for name, policy, vm in steps:
                session.watcher.say(name)
                for key, value in policy.items():
                    told(line, f"set {key} {value}", f"{key} is {value}")
                told(line, f"vm start {vm}", "done")
                found[name] = session.until_end(vm, LIMIT["tcg"])
            for vm in stop:
                told(line, f"vm stop {vm}", "done")
        except Failure as failure:
            session.failed = str(failure)
            return False
        return True
    return talk


def boot_steps(made, bed, machine, watcher, steps=None, stop=()):
    """boots; {step: its events}, or with no steps {"": all events}; the complaints"""
    watcher.say(f"starting {bed.emulator()} ({bed.name}), {count(machine.cpus, 'CPU')}"
                + (f", {machine.exit_cost} instructions a VM exit" if bed.name == "bochs" else ""))
    session, found = Session(watcher), {}
    limit = LIMIT[bed.name]
    outcome = boot.boot(bed, machine, made.blob, made.images, limit, on_event=session.event,
                        on_wait=watcher.wait, talk=steps and talker(session, steps, stop, found))
    events = outcome.stream.events
    said = [session.failed] if session.failed else []
    if outcome.ended != "end":
        running.explain(outcome, limit)
        return found, said + [outcome.why() or "the run did not come to its end"]
    ends = {e.get("vm"): e.get("end") for e in events if e["event"] == "vm-end"}
    said += [f"VM {vm}: {end}" for vm, end in ends.items()
             if end != ("stopped" if vm in stop else "ok")]
    said += ports.unbalanced(ports.entries(events)) + uneven(events, bed)
    outcome.discard()
    return (found if steps else {"": events}), said


def counting(events):
    """[ticks] of the counting loops, as the guests told them"""
    told = [guest_results.parse(e.get("text", "")) for e in events if e["event"] == "guest-result"]
    return [t["ticks"] for t in told if t.get("test") == "count" and isinstance(t.get("ticks"), int)]


def uneven(events, bed):
    """the counting loop took the same ticks always, where time is virtual; one step of the clock more if it began at
    the end of one"""
    ticks = counting(events)
    if bed.clock != "virtual":
        return []
    if not ticks:
        return ["no guest ran the counting loop"]
    if max(ticks) - min(ticks) <= bed.TICK:
        return []
    return [f"the counting loop took {min(ticks)} to {max(ticks)} ticks: the clock is not even"]


def entries(events, bed):
    """the result document's entries of these events (results.py)"""
    told = results.groups(e for e in events if e["event"] == "result")
    made = [results.ENTRY[test](size, found) for (test, size), found in told.items()]
    if bed.clock == "virtual":
        made = [results.add_ticks(entry, told[entry["name"], entry["frame_bytes"]])
                for entry in made]
    return made


def mistakes(rows):
    """complaints about entries: frames that got lost uncounted, or were not what was sent"""
    return [f"{name}: {r['name']} {r['frame_bytes']} bytes: {r['errors']} frames lost, corrupt or out "
            "of order" for name, found in rows for r in found if r["errors"]]


def head(bench, bed, machine):
    """what a document begins with"""
    return {"schema": results.SCHEMA, "bench": bench, "commit": results.commit(),
            "testbed": bed.name, "emulator": bed.emulator(), "cpus": machine.cpus, "clock": bed.clock}
