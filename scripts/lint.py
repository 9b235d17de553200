#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Checks of the source tree that no compiler does; prints PASS or FAIL a check.

  includes   which folder may include which (CONTRIBUTING.md, "Layout")
  headers    each header compiles alone and has #pragma once; SPDX lines
  length     no C, assembly or Python file over 500 lines
  format     clang-format, with --format
  tidy       clang-tidy (.clang-tidy) and cppcheck, with --tidy: some minutes, two files at a time

A tool that is missing or that crashes is an error, too.
"""
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FREESTANDING = {"stdint.h", "stddef.h", "stdbool.h", "stdarg.h", "stdatomic.h", "stdalign.h",
                "limits.h", "string.h", "stdnoreturn.h"}
SHARED = "include/"
# folder: prefixes that its files may include, its own folder aside; the longest match counts
MAY_INCLUDE = {
    "include": [],
    "vswitch": [SHARED],
    "hv/boot": [SHARED, "hv/core/handover.h", "hv/core/config.h", "hv/core/elf.h",
                "hv/cpu/detect.h", "hv/cpu/x86.h", "hv/core/log.h", "hv/core/fail.h",
                "hv/core/log_area.h", "hv/core/text_ring.h"],
    "hv/cpu": [SHARED],
    "hv/core": [SHARED, "hv/cpu/", "vswitch/"],
    "hv/cpu/vmx": [SHARED, "hv/cpu/", "hv/core/", "!hv/cpu/svm/"],
    "hv/cpu/svm": [SHARED, "hv/cpu/", "hv/core/", "!hv/cpu/vmx/"],
    "hv/dev": [SHARED, "hv/cpu/", "hv/core/", "vswitch/"],
    "guest": [SHARED],
    "guest/netd": [SHARED, "guest/lib/", "drivers/nic.h"],
    "guest/crash": [SHARED, "guest/lib/", "drivers/nic.h"],
    "drivers": [SHARED, "guest/lib/"],
}
LIBRARIES = {"hv/boot": {"efi.h", "efilib.h", "libfdt.h"}, "hv/core": {"jsmn.h", "libfdt.h", "stdlib.h"}}
EXTRA = {"hv/core/main.c": ["hv/dev/pc.h", "hv/dev/iommu.h", "hv/dev/check_only.h"], "hv/cpu/lapic.c": ["hv/core/timer.h"],
         "hv/cpu/cpu_features.c": ["hv/cpu/svm/features.h"],
         "hv/cpu/cpu_features.h": ["hv/cpu/vmx/caps.h"]}
SOURCE_DIRS = ["include", "vswitch", "hv", "guest", "drivers"]
C_DIRS = [*SOURCE_DIRS, "tests", "scripts"]
HOSTED = ("scripts/check.c", "scripts/check_host.c", "scripts/trace.c")
CPUS = len(os.sched_getaffinity(0))
TOOL_LIMIT = 600
HEARTBEAT = 15
CPPCHECK_SUPPRESSED = [         # and why
    ("missingInclude", "of libraries"),
    ("comparePointers", "linker symbols are addresses in one image"),
    ("nullPointerRedundantCheck", "takes panic() for a function that returns; clang-tidy does not"),
    ("zerodivcond", "the same"),
    ("arrayIndexOutOfBoundsCond:hv/core/emulate.c", "takes an enum for any number"),
]
COMPILE = ["gcc", "-std=c17", "-ffreestanding", "-fsyntax-only", "-Wall", "-Wextra", "-Werror",
           "-mgeneral-regs-only", "-Ihv/core/libc", "-Iinclude", "-I.", "-x", "c"]


def sources(*suffixes, below=SOURCE_DIRS):
    found = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", *below], cwd=ROOT,
                           check=True, capture_output=True, text=True).stdout.split()
    return sorted(f for f in found if f.endswith(suffixes) and (ROOT / f).exists())


def folder_of(path):
    """the longest folder of the table that the path is in"""
    fits = [d for d in MAY_INCLUDE if path.startswith(d + "/")]
    return max(fits, key=len)


def resolve(path, name):
    """an include's path in the tree, or None for a library header"""
    for base in (Path(path).parent, Path("include"), Path("."), Path("guest")):
        if (ROOT / base / name).is_file():
            return (base / name).as_posix()
    return None


def includes():
    """errors against the include table"""
    for path in sources(".c", ".h", ".S"):
        folder = folder_of(path)
        for line in (ROOT / path).read_text().splitlines():
            match = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
            if not match:
                continue
            name = match[2]
            target = resolve(path, name) if match[1] == '"' else None
            if target is None:
                if name not in FREESTANDING | LIBRARIES.get(folder, set()):
                    yield f"{path}: includes <{name}>"
            elif target in EXTRA.get(path, []) or folder_of_or_none(target) == folder:
                continue
            elif not any(target.startswith(p) for p in MAY_INCLUDE[folder] if p[0] != "!") or \
                    any(target.startswith(p[1:]) for p in MAY_INCLUDE[folder] if p[0] == "!"):
                yield f"{path}: may not include {target}"


def folder_of_or_none(path):
    return folder_of(path) if any(path.startswith(d + "/") for d in MAY_INCLUDE) else None


def headers():
    """headers that do not compile alone, files without an SPDX line"""
    for path in sources(".h"):
        text = (ROOT / path).read_text()
        if "#pragma once" not in text:
            yield f"{path}: no #pragma once"
        if path.startswith("hv/boot/") or path == "scripts/selftest.c":
            continue            # gnu-efi's include path: compiled by the build itself
        result = subprocess.run([*COMPILE, "-include", path, "/dev/null"], cwd=ROOT,
                                capture_output=True, text=True)
        if result.returncode:
            yield f"{path}: does not compile alone: {result.stderr.strip().splitlines()[0]}"
    for path in sources(".c", ".h", ".S", ".lds", ".asl", ".py",
                        below=[*SOURCE_DIRS, "tests", "scripts"]):
        if "SPDX-License-Identifier: BSD-2-Clause" not in (ROOT / path).read_text()[:200]:
            yield f"{path}: no SPDX line"


def length():
    for path in sources(".c", ".h", ".S", ".py", below=[*SOURCE_DIRS, "tests", "scripts"]):
        lines = (ROOT / path).read_text().count("\n")
        if lines > 500:
            yield f"{path}: {lines} lines, 500 at most"


def tool(*argv):
    """what a tool says; (lines, error): error if it is missing or has crashed"""
    try:
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, errors="replace",
                              timeout=TOOL_LIMIT)
    except FileNotFoundError:
        return [], f"no {argv[0]} here: call scripts/setup --no-bochs --lint"
    except subprocess.TimeoutExpired:
        return [], f"{argv[0]}: not done after {TOOL_LIMIT} s"
    lines = (done.stdout + done.stderr).splitlines()
    if done.returncode < 0 or done.returncode > 1 or any("Stack dump" in x for x in lines):
        return lines, f"{argv[0]}: status {done.returncode}: {' | '.join(lines[-3:])}"
    return lines, f"{argv[0]} failed, and said nothing" if done.returncode and not lines else None


def formatted():
    lines, error = tool("clang-format", "--dry-run", *sources(".c", ".h", below=C_DIRS))
    if error:
        yield error
    yield from sorted({line.split(":")[0] + ": clang-format would change it"
                       for line in lines if ": warning:" in line or ": error:" in line})


def flags_of(path):
    if path.startswith("hv/boot/") or path == "scripts/selftest.c":
        return ["-fshort-wchar", "-DGNU_EFI_USE_MS_ABI", "-isystem", "/usr/include/efi",
                "-isystem", "/usr/include/efi/x86_64"]
    return ["-Iguest"] if path.startswith("guest/") else []


def tidy_file(path):
    hosted = [] if path.startswith(HOSTED) else ["-ffreestanding", "-Ihv/core/libc"]
    lines, error = tool("clang-tidy", "--quiet", path, "--", "-std=c17", *hosted, "-Iinclude",
                        "-I.", *flags_of(path))
    found = [line.replace(f"{ROOT}/", "") for line in lines
             if re.search(r":\d+: (warning|error|fatal error): ", line)]
    if error and not found:
        found = [f"{path}: {error}"]
    return found


def cppcheck():
    suppressed = [f"--suppress={name}" for name, _ in CPPCHECK_SUPPRESSED]
    lines, error = tool(
        "cppcheck", "--quiet", f"-j{CPUS}", "--std=c11", "--enable=warning,portability",
        "--inline-suppr", "--library=scripts/cppcheck.cfg", *suppressed, "-Iinclude", "-I.",
        "-Iguest", "--error-exitcode=0", "--template={file}:{line}: {id}: {message}",
        *sources(".c", below=[*SOURCE_DIRS, "scripts"]))
    return lines + ([error] if error else [])


def tidy():
    start, files = time.monotonic(), sources(".c", below=[*SOURCE_DIRS, "scripts"])
    told = start
    with ThreadPoolExecutor(CPUS) as pool:
        work = [pool.submit(cppcheck)] + [pool.submit(tidy_file, f) for f in files]
        found = set()
        for done, result in enumerate(as_completed(work)):
            found.update(result.result())
            if time.monotonic() - told > HEARTBEAT:
                told = time.monotonic()
                print(f"[{told - start:6.1f} s] lint tidy: {done} of {len(files)} files", flush=True)
    yield from sorted(found)


def main():
    start, passed, failed = time.monotonic(), 0, 0
    checks = [includes, headers, length]
    if "--format" in sys.argv:
        checks.append(formatted)
    if "--tidy" in sys.argv:
        checks.append(tidy)
    for check in checks:
        errors = list(check())
        for error in errors:
            print(f"  {error}")
        print(f"{'FAIL' if errors else 'PASS'} lint {check.__name__}", flush=True)
        passed, failed = passed + (not errors), failed + bool(errors)
    print(f"STAGE lint: {passed} passed, {failed} failed in {time.monotonic() - start:.0f} s")
    return failed != 0


sys.exit(main())
