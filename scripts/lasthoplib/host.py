# SPDX-License-Identifier: BSD-2-Clause
"""Whether this machine has what lasthop uses: the lists are the hypervisor's own (hv/cpu/feature.h)."""
import json
import subprocess

from . import paths
from .console import Failure, count

OK, LESS, MISSING, UNKNOWN = "ok", "missing (optional)", "MISSING", "unknown"


def features():
    """[{part, where, name, state}]"""
    program = paths.checker()
    if not program.is_file():
        raise Failure(f"no {program}: {paths.remake()}", status=2)
    done = subprocess.run([program, "--host"], capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"{program}: status {done.returncode}: {done.stderr.strip()}", status=2)
    return [json.loads(line) for line in done.stdout.splitlines()]


def verdict(found):
    """one sentence"""
    missing = sum(f["state"] == MISSING for f in found)
    unknown = sum(f["state"] == UNKNOWN for f in found)
    if missing:
        return f"lasthop cannot run here: {count(missing, 'feature')} MISSING"
    if unknown:
        return (f"lasthop may run here: {count(unknown, 'feature')} unknown: ask as root, with the module "
                "msr loaded (modprobe msr), and intel_iommu=on for the IOMMU's")
    return "lasthop can run here"


def table(found):
    """lines"""
    rows = [("PART", "FEATURE", "STATE"),
            *((f["part"], f"{f['where']} {f['name']}".strip(), f["state"]) for f in found)]
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    return [f"{part:{widths[0]}}  {name:{widths[1]}}  {state}" for part, name, state in rows]


def check(args, write_json):
    found = features()
    good = not any(f["state"] == MISSING for f in found)
    write_json(args, {"schema": 1, "usable": good, "features": found})
    if args.json != "-":
        print("\n".join([*table(found), verdict(found)]))
    return 0 if good else 1
