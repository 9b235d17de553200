# SPDX-License-Identifier: BSD-2-Clause
"""The benchmarks: one module bench_NAME.py each, found by its name (docs/benchmark.md). Such a module has

    ABOUT               what it measures, in a line
    arguments(parser)   adds what its command line takes
    run(args, progress) measures; its result document. "complaints" in it, sentences, make it a failure, and then no
                        plots are drawn. args.begun, if it is set to the document, is written where run() is cut
    render(document)    the document as text: its tables
    plots(document)     optional: {name: SVG text} (plot.py)
"""
import importlib
import os
import pkgutil
from pathlib import Path

from . import options
from .console import Failure, error

PREFIX = "bench_"


def modules():
    """{name: module}, in alphabetical order"""
    names = sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return {name[len(PREFIX):]: importlib.import_module(f".{name}", __package__)
            for name in names if name.startswith(PREFIX)}


def add_parsers(parser):
    kinds = parser.add_subparsers(dest="what", required=True, metavar="NAME")
    for name, module in modules().items():
        about = module.ABOUT.replace("%", "%%")
        added = kinds.add_parser(name, help=about, description=about)
        options.add_json(added)
        added.add_argument("--svg", metavar="DIR", type=options.file_name, help="write the plots there")
        module.arguments(added)
        added.set_defaults(module=module)


def check_folder(where):
    """before the work: can plots be written there?"""
    try:
        Path(where).mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise Failure(f"--svg {where}: {problem.strerror}: name a folder", status=2) from None
    if not os.access(where, os.W_OK):
        raise Failure(f"--svg {where}: cannot be written: name another folder", status=2)


def write_plots(where, name, plots):
    made = []
    for plot, text in plots.items():
        path = Path(where) / f"{name}-{plot}.svg"
        path.write_text(text)
        made.append(str(path))
    return made


def run(args, progress, write_json):
    if args.svg:
        check_folder(args.svg)
    args.begun = {}
    try:
        document = args.module.run(args, progress)
    except (Failure, KeyboardInterrupt) as why:
        if args.begun:      # hours of work may be in it
            complaint = str(why) or "it was interrupted"
            write_json(args, args.begun | {"complaints": [*args.begun.get("complaints", []), complaint]})
        raise
    complaints = document.get("complaints", [])
    write_json(args, document)
    print("\n" + args.module.render(document) + "\n", file=progress.stream, flush=True)
    if args.svg and not complaints:
        plots = getattr(args.module, "plots", lambda _: {})(document)
        for path in write_plots(args.svg, args.what, plots):
            progress.say(f"written: {path}")
    for complaint in complaints:
        error(complaint)
    return 1 if complaints else 0
