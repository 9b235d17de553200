# SPDX-License-Identifier: BSD-2-Clause
"""What a part of `make soak` has done, as a document: docs/soak/PART.md."""
import platform
import re
import time
from pathlib import Path

from . import paths, testbed


def machine():
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", info, re.M)
    memory = re.search(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), re.M)
    return (f"{testbed.host_cpus()} CPUs ({model[1] if model else platform.machine()}), "
            f"{int(memory[1]) >> 20 if memory else '?'} GiB, Linux {platform.release()}; "
            f"{testbed.Qemu('tcg').emulator()}, {testbed.Bochs().emulator()}")


def spans(numbers):
    """1, 2, 3, 7 as 1-3, 7"""
    found = []
    for n in sorted(numbers):
        if found and found[-1][1] == n - 1:
            found[-1][1] = n
        else:
            found.append([n, n])
    return ", ".join(f"{a}-{b}" if a != b else f"{a}" for a, b in found)


def row(group, steps):
    done = [s.state for s in steps]
    again = [s.name for s in steps if s.state["tries"] > 1 and s.state["good"]]
    before = sorted({re.sub(r"^([0-9a-f]{12})[0-9a-f]*", r"\1", s["older"]) for s in done if "older" in s})
    remark = "; ".join([f"passed after failing: {', '.join(again)}"] * bool(again) + [f"at {c}" for c in before])
    failed = [s.name for s in steps if not s.state["good"]]
    if failed:
        remark = "; ".join(filter(None, [f"**failed: {', '.join(failed)}**", remark]))
    return (f"| {group} | {len(steps)} | {spans(s.seed for s in steps if s.seed)} | "
            f"{sum(s['passed'] for s in done)} | {sum(s['failed'] for s in done)} | "
            f"{sum(s['seconds'] for s in done):.0f} | {remark} |")


def render(name, about, commit, steps):
    groups = {}
    for step in steps:
        groups.setdefault(step.group, []).append(step)
    good = sum(bool(s.state["good"]) for s in steps)
    ended = max(s.state["ended"] for s in steps)
    return "\n".join([
        f"# Soak: {name}", "",
        f"`make soak ONLY={name}`: {about}.", "",
        f"- result: {good} of {len(steps)} steps passed",
        f"- commit: {commit}",
        f"- ended: {time.strftime('%Y-%m-%d %H:%M', time.gmtime(ended))} UTC",
        f"- machine: {machine()}", "",
        "Seconds are those of the steps, which ran side by side; a step passes if all of its checks "
        "do.", "",
        "| step | times | seeds | checks passed | failed | seconds | |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(row(group, members) for group, members in groups.items()), ""])


def write(name, about, commit, steps):
    file = paths.SOURCE / "docs" / "soak" / f"{name}.md"
    file.parent.mkdir(exist_ok=True)
    file.write_text(render(name, about, commit, steps))
    return file
