# SPDX-License-Identifier: BSD-2-Clause
"""The verbs of scripts/lasthop."""
import argparse
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from . import (bench, completion, dts, host, image, lines, machine, options, paths, running, seeing, table,
               trace)
from .console import Failure, Progress, count, error, plain
from .share import Share

DEFAULT_TIMEOUT = {"bochs": 900, "tcg": 300, "kvm": 120}


def cannot_write(where, problem):
    return Failure(f"--json {where}: {problem.strerror}: name a file in a folder that is there and "
                   "can be written", status=2)


def check_json(where):
    """before the work: can the result be written there?"""
    if not where or where == "-":
        return
    path = Path(where)
    try:
        if path.is_file() or path.is_dir():
            open(path, "ab").close()
        elif not path.exists():
            tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as problem:
        raise cannot_write(where, problem) from None


def identity(path):
    """the same for all names of a file"""
    try:
        told = os.stat(path)
        return told.st_dev, told.st_ino
    except OSError:
        return os.path.realpath(path)


def keep_inputs(args, inputs):
    """no result may take the place of a file that it is made from, or of another result"""
    taken = {identity(path): path for path in inputs}
    for option, where in (("--out", getattr(args, "out", None)), ("--json", args.json)):
        if not where or where == "-" and option == "--json":
            continue
        file = identity(where)
        if file in taken:
            args.json_due = False               # nor may the error
            raise Failure(f"{option} {where}: {taken[file]} would be lost: name another file",
                          status=2)
        taken[file] = where


def write_json(args, made):
    text, where = json.dumps(made, indent=1) + "\n", args.json
    args.json_due = False
    if where == "-":
        sys.stdout.write(text)
    elif where:
        try:
            Path(where).write_text(text)
        except OSError as problem:
            raise cannot_write(where, problem) from None


def checked(args, cpus=0, with_images=True):
    """the config of the command line, or its errors shown and the end"""
    config = dts.Config(args.config)
    keep_inputs(args, [args.config, *config.parts, *config.images.values(), paths.efi_file()])
    errors = config.check(cpus, with_images)
    if errors:
        write_json(args, dts.as_json(config.file, errors))
        raise dts.refused(config.file, errors)
    return config


def check(args):
    if args.host == bool(args.config):
        raise Failure("check: name a config, or say --host", status=2)
    if args.host:
        keep_inputs(args, [])
        return host.check(args, write_json)
    config = checked(args)
    write_json(args, dts.as_json(config.file, []))
    if args.json != "-":
        print(f"{plain(config.file)}: {count(len(config.vms), 'VM')}, no errors")
    return 0


def trace_frames(args):
    keep_inputs(args, [args.frame[1:]] if args.frame.startswith("@") else [])
    frames = trace.read_frames(args.frame)
    if args.config is not None:
        if args.line:
            raise Failure("trace CONFIG PORT FRAME: --line is of a machine that runs: leave out one of them", status=2)
        told = trace.run(checked(args, with_images=False), args.port, frames)
    else:
        told = seeing.trace_frames(args, frames)
    write_json(args, {"schema": 1, "config": str(args.config or ""), "port": args.port, "frames": told})
    if args.json != "-":
        print("\n".join(map(plain, trace.render(told))))
    return 0


def make_check_image(args):
    keep_inputs(args, [paths.efi_file()])
    size = image.build_check(args.out, paths.efi_file())
    write_json(args, {"schema": 1, "image": args.out, "bytes": size, "files": []})
    if args.json != "-":
        print(plain(f"{args.out}: {size >> 20} MiB, bootable by UEFI; tells what the machine has, and starts "
                    "no VM"))
    return 0


def make_image(args):
    if args.out == "-":
        raise Failure("--out -: a disk image is written to a file: name one", status=2)
    image.check_out(args.out)
    if args.check:
        return make_check_image(args)
    config = checked(args)
    size = image.build(args.out, paths.efi_file(), config.blob, config.images)
    write_json(args, {"schema": 1, "image": args.out, "bytes": size,
                           "files": sorted(config.images)})
    if args.json != "-":
        print(plain(f"{args.out}: {size >> 20} MiB, bootable by UEFI; holds {config.file} and "
                    f"{', '.join(sorted(config.images)) or 'no images'}"))
    return 0


def shared_line(name, bed):
    """by which other verbs reach the machine; None, and a warning: by nothing"""
    try:
        return Share(lines.path_for(name), bed.tcp_only)
    except Failure as failure:
        print(plain(f"warning: {failure}; other verbs do not reach this machine"), file=sys.stderr)
        return None


def run(args):
    config = checked(args, args.cpus)
    if all(vm.disabled for vm in config.vms):
        raise Failure(f"{config.file}: every VM has status = \"disabled\": nothing would run")
    bed, model = running.bed_for(args, config.vms)
    progress = Progress(sys.stderr if args.json == "-" else sys.stdout)
    made, good = running.boot_config(config, bed, model, args.timeout or DEFAULT_TIMEOUT[bed.name],
                                     running.Watcher(progress),
                                     share=shared_line(Path(config.file).stem, bed))
    write_json(args, made)
    print("\n" + table.render(made) + "\n", file=progress.stream, flush=True)
    return 0 if good else 1


def run_bench(args):
    return bench.run(args, Progress(sys.stderr if args.json == "-" else sys.stdout), write_json)


def parser():
    top = options.Parser(prog="lasthop", description="The host side of lasthop.")
    top.add_argument("--version", action="version", version=f"lasthop {paths.version()}",
                     help="show the version and end")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name, function, about):
        added = verbs.add_parser(name, help=about, description=about)
        if function is not run_bench:           # each of them has it
            options.add_json(added)
        added.set_defaults(function=function)
        return added

    def optional_config(added):
        added.add_argument("config", nargs="?", metavar="CONFIG", default=paths.DEFAULT_CONFIG,
                           help="device tree, .dts or .dtb (examples/bench.dts)")

    at = verb("run", run, "Boot a config on a test bed and show what its VMs measured.")
    at.add_argument("--on", choices=("auto", "kvm", "tcg", "bochs"), default="auto",
                    help="test bed; auto: KVM where it nests, else QEMU TCG")
    options.add_cpus(at)
    options.add_exit_cost(at)
    at.add_argument("--timeout", type=options.positive, metavar="S",
                    help="seconds after which the run has failed (%s)"
                    % ", ".join(f"{k} {v}" for k, v in DEFAULT_TIMEOUT.items()))
    optional_config(at)
    bench.add_parsers(verb("bench", run_bench, "Measure, and compare: `bench NAME --help` tells more."))
    at = verb("image", make_image, "Write a bootable disk image, for an emulator or a USB stick.")
    at.add_argument("--out", required=True, metavar="FILE", type=options.file_name)
    at.add_argument("--check", action="store_true",
                    help="one that only tells whether the machine has what lasthop uses; without CONFIG")
    optional_config(at)
    at = verb("trace", trace_frames, "Tell what the switch would do with a frame, and why: a line a stage. "
              "With a config, on this machine: every VM counts as up, with its address learned. Without one, "
              "by the machine that runs, where nothing is sent or learned.")
    at.add_argument("--line", metavar="PATH", type=options.file_name,
                    help="of the machine, without a config: a Unix socket or a serial port")
    for argument in (at.add_argument("config", nargs="?", metavar="CONFIG", help="device tree, .dts or .dtb"),
                     at.add_argument("port", metavar="PORT", help="that sends the frame: VM/NODE")):
        argument.completer = completion.config_then_port
    at.add_argument("frame", metavar="FRAME", help="hex digits, or @FILE.pcap")
    at = verb("check", check, "Check a config: exit status 0, 1 (errors), 2 (cannot be read).")
    at.add_argument("config", metavar="CONFIG", nargs="?", help="device tree, .dts or .dtb")
    at.add_argument("--host", action="store_true", help="tell instead whether this machine, which runs "
                    "Linux, has what lasthop uses; as root, since Linux hides some of it from others")
    machine.add_parsers(verb, write_json, checked)
    return top


def failed(args, text, status):
    """says why in one sentence, to --json as well unless it has a result already; the status"""
    error(text)
    if args.json_due:
        file = str(getattr(args, "config", None) or "")
        try:
            write_json(args, dts.as_json(file, [dts.Error(file, 0, 0, "", "", text)]))
        except Failure as failure:
            error(str(failure))
    return status


def perform(args):
    """does what the command line says; the exit status"""
    try:
        keep_inputs(args, [args.config] if getattr(args, "config", None) else [])
        check_json(args.json)
        args.json_due = bool(args.json)
        return args.function(args)
    except Failure as failure:
        return failed(args, str(failure), failure.status)
    except BrokenPipeError:
        raise
    except OSError as problem:
        place = problem.filename or "cannot go on"
        return failed(args, f"{place}: {problem.strerror or problem}", 2)


def main():
    sys.stdin = sys.stdin or open(os.devnull)              # the caller has closed it: first, so that it gets 0
    sys.stdout = sys.stdout or open(os.devnull, "w")
    sys.stderr = sys.stderr or open(os.devnull, "w")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):      # a file may have any bytes in its name
            stream.reconfigure(errors="backslashreplace")
    top = parser()
    completion.offer(top)       # does not return if it is the shell that asks
    args = top.parse_args()
    args.json_due = False
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))    # so that the emulator is ended
    try:
        status = perform(args)
        sys.stdout.flush()
        sys.exit(status)
    except BrokenPipeError:
        sys.stderr.close()      # the reader has gone: nobody to tell
        sys.exit(141)
    except OSError as problem:
        error(f"standard output: {problem.strerror}")
        sys.stderr.close()
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
