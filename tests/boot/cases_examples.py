# SPDX-License-Identifier: BSD-2-Clause
"""The configs in examples/, as `make run DEMO=NAME` boots them; bench.dts is a case of cases.py."""
import hooks
from cases import BACKEND, Case
from cases_linux import no_complaints

PAIRS = [(f"sink{n}", f"source{n}") for n in range(1, 5)]
SIDES = [(f"{side}-sink", f"{side}-source") for side in ("left", "right")]


def example(on, name, checks=(), **more):
    return Case(f"{on}-example-{name}", on, f"examples/{name}.dts", backend=BACKEND[on],
                hooks=list(checks), **more)


CASES_EXAMPLES = [
    example("tcg", "linux-smp", [no_complaints], limit=900,
            must=[r"^client\| cpus: one time on all", r"^client\| cpus: cpu1 package 0 core 1 "]),
    example("tcg", "isolated", [hooks.measured(*SIDES)], must=[r"^both\| hello"],
            results={"stream": 1, "rr": 1}),
    example("tcg", "overcommit", [hooks.measured(*PAIRS)], limit=900,
            results={"stream": 1, "rr": 1}),
]
SOAK_EXAMPLES = [example("tcg", "linux", [no_complaints], limit=900)]
