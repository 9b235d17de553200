# SPDX-License-Identifier: BSD-2-Clause
"""`lasthop apply`: shows the difference between the config that a machine runs and a file, and does it."""
import contextlib
import sys
import time
import zlib
from pathlib import Path

from . import channel, dts
from .console import Failure, Progress, count, plain
from .table import columns

CRC_PIECE = 256 << 10           # of a file, compared at a time
POLL_SECONDS = 0.1
WIDTH = 80
DONE_SECONDS = 600              # a machine under emulation makes its VMs slowly
EFFECT = {"live": "live", "start/stop": "", "restart": "restarts the VM", "boot": "not while it runs"}


def differing(machine, images):
    """{name: content} of the files that the machine does not have as they are here"""
    there = {image["name"]: image["bytes"] for image in machine.call("image.list")["images"]}
    others = {}
    for name, path in sorted(images.items()):
        content = Path(path).read_bytes()
        if there.get(name) != len(content) or not same(machine, name, content):
            others[name] = content
    return others


def same(machine, name, content):
    return all(machine.call("image.crc", name=name, at=at, bytes=len(piece))["crc"] == zlib.crc32(piece)
               for at in range(0, len(content), CRC_PIECE)
               for piece in [content[at:at + CRC_PIECE]])


def effect(change):
    if change["effect"] != "start/stop":
        return EFFECT[change["effect"]]
    if change["what"] == "changed":
        return "stops the VM" if change["to"] == "disabled" else "starts the VM"
    return "starts" if change["what"] == "added" else "ends"


def value(change):
    if change["what"] == "changed":
        return f"{change['from'] or '(none)'} -> {change['to'] or '(none)'}"
    return change["to"] or change["from"]


SIGN = {"added": "+", "removed": "-", "changed": "~"}


def rows(changes):
    """the differences for people: values are cut to 80 columns"""
    cells = [(SIGN[c["what"]], c["node"] + (f" {c['property']}" if c["property"] else ""), effect(c))
             for c in changes]
    lines = [line[2:] for line in columns(cells, left=(0, 1, 2))] if cells else []
    wide = max(map(len, lines), default=0)
    room = max(WIDTH - wide - 2, 16)
    return [f"{line.ljust(wide)}  {text if len(text) <= room else text[:room - 2] + '..'}".rstrip()
            for line, text in zip(lines, map(value, changes))]


def errors_of(args, config, told):
    """shows the machine's errors, if there are some, and ends"""
    found = [item for item in told["items"] if item["what"] == "error"]
    if not told["errors"]:
        return
    errors = config.located(found)
    args.write_json(args, dts.as_json(config.file, errors))
    for e in errors:
        e.show(sys.stderr)
    raise Failure(f"{config.file}: {count(told['errors'], 'error')}: nothing was changed")


def agreed(args, changes):
    if args.yes:
        return True
    if not sys.stdin.isatty():
        raise Failure("apply: nobody is here to be asked: --yes does it, --dry-run only shows it", status=2)
    stops = any(c["effect"] in ("restart", "start/stop") for c in changes)
    print("VMs will stop or restart. " if stops else "", end="", file=sys.stderr)
    print("Do it? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def send_files(machine, session, others, progress):
    for name, content in others.items():
        progress.say(f"sending {name}, {max(1, len(content) >> 10)} KiB")
        machine.upload("apply.upload", content, session=session, name=name, bytes=len(content))


def ends_all(machine, config, changes):
    """will no guest run when it is done, so that the machine may end?"""
    runs = {vm["vm"] for vm in machine.call("vm.list")["vms"] if vm["state"] != "off"}
    changed = {c["node"].split("/")[2] for c in changes if c["node"].startswith("/vms/")}
    stopped = {c["node"].split("/")[2] for c in changes if c["effect"] == "start/stop" and c["to"] == "disabled"}
    return not any(vm.name not in stopped and (vm.name in runs or vm.name in changed and not vm.disabled)
                   for vm in config.vms if not vm.driver_domain)


def follow(machine, progress, ends):
    """until the machine has done it, or is as it was before; the last state. ends: its end is that of what was done"""
    end, last = time.monotonic() + DONE_SECONDS, None
    while time.monotonic() < end:
        try:
            state = machine.call("apply.state")
        except Failure:
            if not ends or machine.broken != channel.ENDED:
                raise
            return {"state": "done", "why": ""}
        if state["state"] in ("done", "failed"):
            return state
        if state != last:
            what = {"stops": "VMs end", "makes": "making VMs", "back": "going back"}
            progress.say(f"{what.get(state['state'], state['state'])}: {state['done']} of {state['of']}")
        last = state
        time.sleep(POLL_SECONDS)
    raise Failure(f"apply: the machine is not done after {DONE_SECONDS} s: lasthop call apply.state "
                  "tells more")


def shown(args, config, machine, session, out):
    """what differs, on `out`, and the files to be sent"""
    machine.upload("apply.config", config.blob, session=session, bytes=len(config.blob))
    others = differing(machine, config.images)
    for name in others:
        machine.call("apply.differs", session=session, name=name)
    told = machine.call("apply.check", session=session)
    changes = [item for item in told["items"] if item["what"] != "error"]
    for line in rows(changes):
        print(plain(line), file=out)
    if told["more"]:
        print(f"and {told['more']} more", file=out)
    errors_of(args, config, told)
    out.flush()
    return changes, others


def done(args, config, machine, session, made, others, progress):
    """does it: the status, told"""
    send_files(machine, session, others, progress)
    ends = ends_all(machine, config, made["changes"])
    errors_of(args, config, machine.call("apply.run", session=session))
    state = follow(machine, progress, ends)
    args.write_json(args, {**made, "state": state["state"], "why": state["why"]})
    if state["state"] == "failed":
        raise Failure(f"apply: {state['why']}")
    print(f"done: {count(len(made['changes']), 'change')}", file=progress.stream)


def apply(args, machine):
    config = args.checked(args)
    progress = Progress(sys.stderr if args.json == "-" else sys.stdout)
    held = machine.open("apply.begin")                  # with it goes what was sent and not run
    session = held.result["session"]
    try:
        changes, others = shown(args, config, machine, session, progress.stream)
        made = {"schema": 1, "file": config.file, "changes": changes, "files": sorted(others),
                "state": "shown" if changes else "same"}
        if not changes:
            print("no differences: nothing to do", file=progress.stream)
        if changes and not args.dry_run and agreed(args, changes):
            done(args, config, machine, session, made, others, progress)
        else:
            args.write_json(args, made)
    finally:
        with contextlib.suppress(Failure):              # there may be one already, which counts
            held.close()
    return 0


def add_options(at, checked):
    at.add_argument("config", metavar="FILE", help="device tree, .dts or .dtb")
    at.add_argument("--yes", action="store_true", help="without a question")
    at.add_argument("--dry-run", action="store_true", help="only show the differences")
    at.set_defaults(checked=checked)
