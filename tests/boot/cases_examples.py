# SPDX-License-Identifier: BSD-2-Clause
"""The configs in examples/, as `make run DEMO=NAME` boots them; bench.dts is a case of cases.py."""
import hooks
from cases import BACKEND, Case
from cases_driver_linux import MEANT
from cases_linux import no_complaints, no_complaints_but, told
from lasthoplib import timeline
from lasthoplib.nics import Nic

PAIRS = [(f"sink{n}", f"source{n}") for n in range(1, 5)]
SIDES = [(f"{side}-sink", f"{side}-source") for side in ("left", "right")]


CRASHES = 3
# The driver of hvc0 is a module of the initrd.
LATE = r"|unable to open an initial console"


def example(on, name, checks=(), **more):
    return Case(f"{on}-example-{name}", on, f"examples/{name}.dts", backend=BACKEND[on],
                hooks=list(checks), **more)


def crashed(outcome):
    """the driver domain died, and came back; between VMs nothing was lost"""
    made = timeline.made_of(outcome.stream.events) or {"entries": [], "down_s": []}
    between = [e for e in made["entries"] if e["what"] == "frames"]
    resets = [e["reason"] for e in outcome.stream.of("vm-reset")]
    runs = [(e["begin_ns"], e["begin_ns"] + e["nanoseconds"]) for e in outcome.stream.of("result")]
    amidst = [e for e in outcome.stream.of("vm-reset") if any(a < e["at_ns"] < b for a, b in runs)]
    return [(len(resets) >= CRASHES, f"the driver domain died {len(resets)} times: {set(resets)}"),
            (len(made["down_s"]) >= CRASHES, f"the uplink came back after {made['down_s']} s"),
            (amidst, f"{len(amidst)} times in the midst of a stream between VMs"),
            (between and not sum(e["lost"] for e in between),
             f"{sum(e['sent'] for e in between)} frames between VMs, none lost")]


def uplinked(name, domain, checks, **more):
    return example("tcg", name, checks, nics=[Nic("e1000e")], limit=900,
                   must=[rf"\] uplink {domain}/net0: up$", r"^alice\| boot: met 10\.0\.2\.2$"], **more)


CASES_EXAMPLES = [
    example("tcg", "linux-smp", [no_complaints], limit=900,
            must=[r"^client\| cpus: one time on all", r"^client\| cpus: cpu1 package 0 core 1 "]),
    example("tcg", "linux-generic", [no_complaints_but(MEANT + LATE), told("client", ["ping", "tcp", "tcp-reverse"])],
            limit=1800, must=[r"^client\| cpus: cpu3 package 0 core 3 ", r"^client\| rng: 256 bytes, "]),
    example("tcg", "isolated", [hooks.measured(*SIDES)], must=[r"^both\| hello"],
            results={"stream": 1, "rr": 1}),
    example("tcg", "overcommit", [hooks.measured(*PAIRS)], limit=900,
            results={"stream": 1, "rr": 1}),
    uplinked("uplink", "netd", [no_complaints, told("alice", ["ping"])],
             ends={"netd": "running", "alice": "ok"}),
    uplinked("linux-driver-domain", "driver", [no_complaints_but(MEANT), told("alice", ["ping"])],
             ends={"driver": "running", "alice": "ok"}),
    uplinked("crash", "crasher", [no_complaints, crashed], results={"stream": 1},
             ends={"crasher": "running", "alice": "ok", "sink": "ok", "source": "ok"}),
]
SOAK_EXAMPLES = [example("tcg", "linux", [no_complaints], limit=900)]
