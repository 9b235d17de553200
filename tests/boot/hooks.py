# SPDX-License-Identifier: BSD-2-Clause
"""What a case checks beyond its table row: functions of its outcome, each with a list of
(good, fact); good is SHOWN for what is only shown, and judged by nobody."""
import re
import subprocess
import tempfile
from pathlib import Path

SHOWN = "shown"


def memory_returned(outcome):
    """after the last VM as much is free as before the first, to the page; but a page of counters for each
    CPU that has had to do with an uplink, whose port remains"""
    told = re.search(r"all VMs have ended, \d+ MiB free, (-?\d+) KiB not returned$",
                     outcome.serial(), re.M)
    uplinks = len({e["port"] for e in outcome.stream.of("uplink")})
    kept = 4 * uplinks * sum(e["cpus"] for e in outcome.stream.of("boot"))
    return [(told and 0 <= int(told[1]) <= kept,
             f"{told[1] if told else 'unknown'} KiB of memory were not returned, {kept} may be")]


def measured(*pairs):
    """only these VMs (sink, source) have measured each other"""
    def hook(outcome):
        found = {tuple(sorted((e.get("vm", ""), e.get("peer", ""))))
                 for e in outcome.stream.of("result")}
        wanted = {tuple(sorted(pair)) for pair in pairs}
        return [(found == wanted, f"results of {len(found)} pairs of VMs, as wanted"
                 if found == wanted else f"results of {sorted(found)}, wanted {sorted(wanted)}")]
    return hook


def exits(vm, **bounds):
    """so many VM exits of these causes (hv/core/exit_cause.h) the VM made, at least and at most"""
    def hook(outcome):
        made = next((e["exits"] for e in outcome.stream.of("vm-end") if e["vm"] == vm), {})
        return [(least <= made.get(kind, 0) <= most,
                 f"{vm} made {made.get(kind, 0)} exits {kind}, {least} to {most} are right")
                for kind, (least, most) in bounds.items()]
    return hook


def _dumped(serial, vm):
    """{table's number and signature: bytes} that the guest acpi printed"""
    lines = [line.partition("| ")[2] for line in serial.split("\n") if line.startswith(vm + "| ")]
    found, name, size, text = {}, None, 0, ""
    for line in lines:
        begin = re.fullmatch(r"acpi: begin (\w{4}) (\d+)", line)
        if begin:
            name, size, text = f"{len(found)}-{begin[1]}", int(begin[2]), ""
        elif line == "acpi: end" and name:
            found[name], name = (bytes.fromhex(text), size), None
        elif name and re.fullmatch(r"[0-9a-f]+", line):
            text += line
    return found


def _iasl(*argv):
    done = subprocess.run(["iasl", *argv], capture_output=True, text=True, errors="replace")
    return done.returncode, done.stdout + done.stderr


def _accepted(folder, name, content):
    """iasl takes the table apart and compiles it again"""
    table = folder / f"{name}.aml"
    table.write_bytes(content)
    status, said = _iasl("-d", str(table))
    source = folder / f"{name}.dsl"
    if status or not source.is_file() or re.search(r"error|invalid|\*\*\*\*", said, re.I):
        return False, f"iasl cannot take {name} apart: {said.strip()[-300:]}"
    status, said = _iasl("-tc", "-p", str(folder / f"{name}-again"), str(source))
    errors = re.search(r"(\d+) Errors, (\d+) Warnings", said)
    good = status == 0 and errors and errors[1] == "0" and errors[2] == "0"
    return good, f"iasl accepts {name}" if good else f"iasl refuses {name}: {said.strip()[-400:]}"


def acpi_tables(vm, wanted=("FACP", "APIC", "MCFG", "DSDT")):
    """the tables that the guest acpi printed are ones that iasl accepts"""
    def hook(outcome):
        tables = _dumped(outcome.serial(), vm)
        missing = [w for w in wanted if not any(name.endswith(w) for name in tables)]
        facts = [(not missing, f"the guest printed {len(tables)} tables"
                  + (f", not {missing}" if missing else ""))]
        with tempfile.TemporaryDirectory() as folder:
            for name, (content, size) in tables.items():
                facts.append((len(content) == size, f"{name} is whole"))
                facts.append(_accepted(Path(folder), name, content))
        return facts
    return hook


def panic_told(outcome):
    """the event tells the reason that the core said it would die of"""
    serial = outcome.serial()
    wanted = re.search(r"\] expect: (.*)$", serial, re.M)
    told = [e.get("reason", "") for e in outcome.stream.of("panic")]
    return [(wanted and any(wanted[1] in reason for reason in told),
             f"panic: {told[0] if told else 'none'}"
             + (f", wanted {wanted[1]}" if wanted else ""))]
