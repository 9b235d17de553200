# SPDX-License-Identifier: BSD-2-Clause
"""Builds the Bochs test bed: a folder with Debian testing's Bochs and its repaired copies.

The folder is named by the key of what made it (scripts/setup computes it) and by the package's
version. It is built aside, tested, and renamed into place: what has its name is complete.
`.cache/bochs` points to it. One process at a time builds; others wait and find it done.

usage: bochsroot.py KEY
"""
import fcntl
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from lasthoplib import image, paths, testbed    # noqa: E402
from lasthoplib.console import Failure, Progress, error    # noqa: E402

SUITE = "forky"                 # the first with Bochs 3.1: older ones cannot boot UEFI
ALWAYS = ["bochsbios", "vgabios", "ovmf-generic"]
WANTED = "name the .deb of Bochs 3.1+dfsg-1"    # what BOCHS_DEB is for
EXIT_COSTS = (0, 1000)
VITAL = [f"usr/bin/bochs-exit{cost}" for cost in EXIT_COSTS] + ["OVMF.fd"]
SELFTEST_SECONDS = 600          # it takes about ten; a busy machine may need longer


def call(*argv, what):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True)
    if done.returncode:
        said = [s for s in (done.stderr + done.stdout).splitlines() if s.strip()]
        told = next((s for s in said if s.startswith("E:")), said[-1] if said else "failed")
        raise Failure(f"{what}: {told}")
    return done.stdout


def mirror():
    """the Debian mirror that this machine's own apt uses"""
    listed = call("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(ORIGIN)",
                  what="apt-get indextargets")
    own = re.search(r"^VERSION_CODENAME=(\S+)", Path("/etc/os-release").read_text(), re.M)
    for line in listed.splitlines():
        uri, codename, *_ = line.split()
        if own and codename == own[1]:
            return uri
    raise Failure("no Debian mirror in this machine's apt sources: add one, apt-get update")


def extract(root, packages):
    """unpacks packages of the suite, with all they depend on, into a fresh root"""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    mode = "root" if os.geteuid() == 0 else "unshare"
    # by way of a tar file: unpacked by the user, everything is the user's own
    with tempfile.NamedTemporaryFile(suffix=".tar", dir=root.parent) as tar:
        call("mmdebstrap", "--variant=extract", f"--mode={mode}",
             "--aptopt=Acquire::Check-Valid-Until \"false\"",    # a mirror's Release can be old
             "--aptopt=APT::Install-Recommends \"false\"",
             f"--include={','.join(packages)}", SUITE, tar.name, f"deb {mirror()} {SUITE} main",
             what="Bochs from Debian " + SUITE)
        call("tar", "-xf", tar.name, "-C", root, "--no-same-owner", "--exclude=./dev/*",
             what="unpacking Bochs")
    for name in ("bin", "sbin", "lib", "lib64"):
        if not (root / name).exists():
            (root / name).symlink_to(f"usr/{name}")


def dpkg_deb(deb, *argv):
    try:
        return call("dpkg-deb", *argv, what=f"BOCHS_DEB={deb}")
    except Failure as refused:
        raise Failure(f"{refused}: {WANTED}") from None


def dependencies(deb):
    """names of the packages that Bochs's .deb depends on, the first of alternatives"""
    name = dpkg_deb(deb, "-f", deb, "Package").strip()
    if name != "bochs":
        raise Failure(f"BOCHS_DEB={deb}: it is the package {name}: {WANTED}")
    listed = dpkg_deb(deb, "-f", deb, "Depends")
    names = [re.match(r"\s*([a-z0-9.+-]+)", part) for part in listed.split(",")]
    return [m[1] for m in names if m]


def repair(root):
    for cost in EXIT_COSTS:
        call(sys.executable, paths.SOURCE / "scripts/bochs-errata.py", "--exit-cost", cost,
             root / "usr/bin/bochs-bin", root / f"usr/bin/bochs-exit{cost}", what="repair of Bochs")


def version(root):
    with gzip.open(root / "usr/share/doc/bochs/changelog.Debian.gz", "rt") as log:
        found = re.match(r"bochs \((?:\d+:)?([A-Za-z0-9.+~-]+)\)", log.readline())
    if not found:
        raise Failure("the package of Bochs does not tell its version")
    return found[1]


def install(root, progress):
    """Bochs of the archive or, where that cannot be had or repaired, the package BOCHS_DEB names"""
    deb = os.environ.get("BOCHS_DEB")
    try:
        extract(root, ["bochs", *ALWAYS])
        repair(root)
        taken = f"Debian {SUITE}'s package"
    except Failure as refused:
        if not deb:
            raise Failure(f"{refused}; set BOCHS_DEB to a package of Bochs 3.1+dfsg-1") from None
        progress.say(f"{refused}; taking {deb}")
        extract(root, [*dependencies(deb), *ALWAYS])
        dpkg_deb(deb, "-x", deb, root)
        repair(root)
        taken = deb
    (root / "version").write_text(version(root) + "\n")
    ovmf = root / "usr/share/OVMF"
    (root / "OVMF.fd").write_bytes((ovmf / "OVMF_VARS_4M.fd").read_bytes()
                                   + (ovmf / "OVMF_CODE_4M.fd").read_bytes())
    progress.say(f"unpacked and repaired Bochs {version(root)}, {taken}")


def selftest_app(folder):
    """builds the UEFI application selftest.c with gnu-efi"""
    obj, elf, efi = folder / "selftest.o", folder / "selftest.elf", folder / "selftest.efi"
    call("gcc", "-I/usr/include/efi", "-I/usr/include/efi/x86_64", "-ffreestanding", "-fpic",
         "-fshort-wchar", "-mno-red-zone", "-fno-stack-protector", "-O2", "-c",
         paths.SOURCE / "scripts/selftest.c", "-o", obj, what="self-test of Bochs")
    call("ld", "-nostdlib", "-shared", "-Bsymbolic", "-T", "/usr/lib/elf_x86_64_efi.lds",
         "/usr/lib/crt0-efi-x86_64.o", obj, "-o", elf, "-L/usr/lib", "-lefi", "-lgnuefi",
         what="self-test of Bochs")
    sections = [f for s in (".text", ".sdata", ".data", ".dynamic", ".dynsym", ".rel", ".rela",
                            ".rel.*", ".rela.*", ".reloc") for f in ("-j", s)]
    call("objcopy", *sections, "--target=efi-app-x86_64", elf, efi, what="self-test of Bochs")
    return efi


def selftest(root, efi, cost):
    bed, machine = testbed.Bochs(root), testbed.Machine(cpus=2, exit_cost=cost)
    folder = bed.folder()
    image.build(folder / "disk.img", efi, None, {})
    process = bed.start(folder, machine)
    try:
        process.wait(SELFTEST_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if b"selftest ok" not in (folder / "e9.log").read_bytes():
        why = (bed.last_words(folder) or ["no answer from the UEFI application"])[-1]
        raise Failure(f"self-test of {bed.binary(machine).name}: {why}; see {folder}")
    shutil.rmtree(folder)


def tested(root, progress):
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor() as pool:
        efi = selftest_app(Path(scratch))
        for done in [pool.submit(selftest, root, efi, cost) for cost in EXIT_COSTS]:
            done.result()
    progress.say("self-test passed: Bochs boots UEFI, has VT-x, divides")


def sizes(root):
    """lines of size and name of the files that scripts/setup looks for; None if one is missing"""
    try:
        return "".join(f"{(root / name).stat().st_size} {name}\n" for name in VITAL)
    except OSError:
        return None


def whole(root):
    """is it as it was made?"""
    told = root / "sizes"
    return told.is_file() and told.read_text() == sizes(root)


def point_to(link, target):
    fresh = link.with_name(f"{link.name}.{os.getpid()}")
    fresh.symlink_to(target.name)
    fresh.replace(link)


def in_use(root):
    """does a process run in this root, or are files of a run there?"""
    if any(root.glob("run/*")):
        return True
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "root").readlink() == root:
                return True
        except OSError:
            pass                    # ended meanwhile, or another user's
    return False


def build(key):
    cache, progress = paths.cache(), Progress()
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "bochs.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            progress.say("another set-up is at work: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        ready = next(cache.glob(f"bochs-{key}-*"), None)
        if ready and not whole(ready):
            progress.say(f"{ready} is damaged: making it again")
            shutil.rmtree(ready)
            ready = None
        if not ready:
            progress.say(f"building the Bochs test bed in {cache} (once, about a minute)")
            aside = cache / "bochs.new"
            install(aside, progress)
            tested(aside, progress)
            (aside / "sizes").write_text(sizes(aside))
            ready = aside.rename(cache / f"bochs-{key}-{version(aside)}")
        point_to(paths.bochs_root(), ready)
        for old in cache.glob("bochs-*"):
            if old != ready and old.is_dir() and not in_use(old):
                shutil.rmtree(old, ignore_errors=True)


def main():
    try:
        build(sys.argv[1])
    except Failure as failure:
        error(str(failure))
        sys.exit(failure.status)
    except OSError as problem:
        error(f"{problem.filename or paths.cache()}: {problem.strerror or problem}: the cache must be a "
              "folder that you may write to; LASTHOP_CACHE names another one")
        sys.exit(2)


if __name__ == "__main__":
    main()
