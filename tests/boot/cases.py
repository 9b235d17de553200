# SPDX-License-Identifier: BSD-2-Clause
"""The table of boot tests: one row a case, run by tests/boot/run.py.

A row says what is booted and what must be seen. Regular expressions are searched for in the
serial transcript, lines of it being separate (re.MULTILINE).
"""
from dataclasses import dataclass, field


@dataclass
class Case:
    name: str
    on: str                                  # test bed: bochs or tcg
    config: str | bytes                      # file below the source tree, source text, or a blob
    cpus: int = 4
    limit: int = 240                         # seconds of the host, generous: ends a hung run
    ended: str = "end"                       # how: end, panic, refused, died, timeout
    ends: dict | None = None                 # {VM: end}; None: "ok" for every VM of the config
    must: list = field(default_factory=list)
    must_not: list = field(default_factory=list)
    results: dict = field(default_factory=dict)    # {test: least number of entries}, all positive
    backend: str = ""                        # that the boot event must name
    same_as: str = ""                        # case whose result document must be the same
    exit_cost: int = 0                       # Bochs
    bochs: dict = field(default_factory=dict)      # options of its cpu: line
    qemu: list = field(default_factory=list)       # further arguments
    efi: str = ""                            # boot this file of the build output instead
    files: dict = field(default_factory=dict)      # {image name: bytes} beside the config's own
    unchecked: bool = False                  # boot although the host's checker finds errors
    xfail: str = ""                          # why the case is known to fail
    skip: str = ""                           # why it is not run


BENCH = "examples/bench.dts"
# what must not be seen in any run that is to end well
SYMPTOMS = [r"divide error", r"X64 Exception Type"]
MEASURED = {"stream": 4, "rr": 1}


def demo(on, backend, cpus, **more):
    """the demonstration that `make run` shows, on one machine"""
    return Case(f"{on}-bench-{cpus}cpu", on, BENCH, cpus=cpus, backend=backend, results=MEASURED,
                **more)


CASES = [
    *[demo("bochs", "vmx", n) for n in (1, 2, 4, 8)],
    *[demo("tcg", "svm", n) for n in (1, 2, 4, 8)],
    # virtual time is deterministic: the same image gives the same figures
    Case("bochs-bench-again", "bochs", BENCH, same_as="bochs-bench-4cpu"),
    # an MSR the modelled CPU lacks faults, as on a real one
    Case("bochs-bad-msrs", "bochs", BENCH, cpus=2, bochs={"ignore_bad_msrs": 0}),
    Case("bochs-exit-cost", "bochs", BENCH, cpus=2, exit_cost=1000, results=MEASURED),
]
