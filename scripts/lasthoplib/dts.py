# SPDX-License-Identifier: BSD-2-Clause
"""Configs: compiled by dtc, checked by the hypervisor's own parser, errors shown as a compiler's.

A blob has no line numbers, but `dtc -T -T` annotates the source with the file, line and column of
each node and property; so an error of lasthop-check, which names node and property, finds its line.
"""
import difflib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from . import diagnostics, fdt, image, includes, paths, syntax
from .console import Failure, count
from .diagnostics import LARGEST, Error, read

DTC_LIMITS = {resource.RLIMIT_AS: 1 << 30, resource.RLIMIT_CPU: 60}    # it may include anything
EMPTY = "the file is empty: a config begins with /dts-v1/; and has one root node, / { ... };"
NO_CONFIG = ("this is no config: neither a device tree source, which begins with /dts-v1/;, nor a blob that dtc has "
             "made of one")
LINUX = ((r"(vmlinuz|linux\.cpio) is missing:", "linux-guest"),      # those of examples/
         (r"(vmlinuz-amd64|linux-amd64\.cpio) is missing:", "linux-driver"),
         (r"(vmlinuz-tools|linux-tools\.cpio) is missing:", "linux-tools"), (r"vmlinux is missing:", "linux-elf"))
TAKEN = re.compile(r"is the address of ([^/ ]+/[^/ ]+) already")
NO_SWITCH = re.compile(r"refers to (/\S*), which is no switch")
TOLD_AT_BOOT = re.compile(r"^(?:\[[\d. ]+\] )?lasthop\.dtb: (?P<node>/[^:\s]*): "
                          r"(?:(?P<property>[^:\s]+): )?(?P<text>.+)$", re.M)
TOLD = ("file", "line", "column", "node", "property", "text")      # of an error, to programs
ITSELF = "\0"           # stands for the config's own name, if that has more than one line
CUT = 31                # the checker may cut longer names off (CONFIG_MAX_NAME)
# What dtc writes; %s: the config's own name, which may look like anything.
SYNTAX = (r"(?:Error: |Lexical error: |Warning: )?(?P<file>%s|.+?):(?P<line>\d+)\.(?P<column>\d+)"
          r"(?:-[\d.]+)?:? (?P<text>.+)$")
DTC_TEXT = re.compile(r"(?:ERROR \(\w+\): |error: )?(?:(?P<node>/[^\s:]*):(?:(?P<property>[^\s:]+):)? )?"
                      r"(?P<text>.*)$")
PLACE = r"(?P<file>%s|.+?):(?P<line>\d+):(?P<column>\d+)-[\d:]+(?:, |$)"
LABELS = r"\s*(?:\w+: )*"
NODE = re.compile(LABELS + r"(?P<name>[^\s={;\"]+) \{(?: /\* (?P<note>.*) \*/)?$")
VALUE = r'(?:"(?:[^"\\]|\\.)*"|[^";])*'
PROPERTY = re.compile(LABELS + rf"(?P<name>[^\s={{}};]+)(?: = {VALUE})?; /\* (?P<note>.*) \*/$")


class Config:
    """A config file: its blob, unless it has syntax errors, and what is wrong in it."""

    def __init__(self, file):
        self.file = str(file)
        self.blob = None
        self.errors = []
        diagnostics.source_bytes.cache_clear()
        content = read(file)
        self.is_source = content[:4] != fdt.MAGIC_BYTES and (
            Path(file).suffix == ".dts" or b"/dts-v1/" in content)
        self.source = as_argument(self.file)    # what dtc reads
        if self.is_source and len(content) <= LARGEST and not Path(file).is_file():
            self._keep(content)
        if len(content) > LARGEST:
            self.errors.append(Error(self.file, 0, 0, "", "", "is too large for a config: at most "
                                     f"{LARGEST >> 20} MiB are read"))
        elif not content or self.is_source and not content.strip():
            self.errors.append(Error(self.file, 1, 1, "", "", EMPTY))
        elif self.is_source:
            self._compile(content)
        elif content[:4] != fdt.MAGIC_BYTES and Path(file).suffix != ".dtb":
            self.errors.append(Error(self.file, 0, 0, "", "", NO_CONFIG))
        else:
            self.blob = content
        self.parts = includes.files(self.source) if self.is_source else []
        self.vms = fdt.vms(self.blob or b"")
        self.images = image.find_images(self.vms, [
            Path(file).absolute().parent, paths.guests(), paths.linux_guests()])

    def _keep(self, content):
        """a source that comes from a pipe can be read once only"""
        self.kept = tempfile.NamedTemporaryFile(suffix=".dts")
        self.kept.write(content)
        self.kept.flush()
        self.source = self.kept.name

    def _compile(self, content):
        done = dtc(self.source, "dtb")
        if done.returncode == 0:
            self.blob = done.stdout
            return
        said = self._words(done.stderr).splitlines()
        syntax = re.compile(SYNTAX % re.escape(self.source))
        for found in filter(None, map(syntax.match, said)):
            told = DTC_TEXT.match(found["text"])
            place = self._place(found)
            width = 1
            if told["node"] and not told["property"]:
                place, width = diagnostics.word_at(
                    diagnostics.before_brace(place, told["node"].rsplit("/", 1)[1]))
                place, width = diagnostics.label_after(place, told["text"]) or (place, width)
            elif told["property"]:
                place, width = diagnostics.word_at(place)
            place, mend = hint(told["text"], content, place)
            self.errors.append(self._error(place, width, told["node"] or "", told["property"] or "",
                                           told["text"] + mend))
        broken = not self.errors and includes.broken(self.source)
        if broken:
            file, *place = broken
            self.errors.append(self._error((self._own(file), *place[:2]), 1, "", "", place[2]))
        if not self.errors:
            last = re.sub(r"^(FATAL )?ERROR: ", "", said[-1]) if said else "dtc failed"
            if "alloc() failed" in last or done.returncode < 0:
                last = "is too large: dtc wants more memory or time than a config needs"
            self.errors.append(Error(self.file, 0, 0, "", "", last))

    def _place(self, found):
        """(file, line, column) of a match, with the config's name as it was given"""
        file, line = self._own(found["file"]), int(found["line"])
        return file, line, diagnostics.character(file, line, int(found["column"]))

    def _words(self, output):
        """what dtc says line by line, though the config's name may have two"""
        text = os.fsdecode(output)
        return text.replace(self.source, ITSELF) if len(self.source.splitlines()) > 1 else text

    def _own(self, file):
        return self.file if file in (self.source, ITSELF) else file

    def _error(self, place, width, node, prop, text):
        """an error, with the way to its file if the config includes that"""
        return Error(*place, node, prop, text, width, includes.trail(self.source, place[0], self._own))

    def _places(self):
        """{(node path, property or ""): its place} of a source that dtc accepts"""
        place = re.compile(PLACE % re.escape(self.source))
        annotated = self._words(dtc(self.source, "dts", "-T", "-T").stdout)
        told = ((key, place.match(note)) for key, note in notes(annotated))
        return {key: self._place(found) for key, found in reversed(list(told)) if found}

    def check(self, cpus=0, with_images=True):
        """all errors, with their places; the parser runs only if dtc had none. cpus: of the machine
        that it is for, if that is known; with_images: of the files that it names, too"""
        if self.blob is None:
            return self.errors
        self.errors = self.located(run_checker(self.blob, self.images if with_images else None, cpus))
        return self.errors

    def errors_of_boot(self, log):
        """those that the hypervisor told when it compared the config with the machine"""
        return self.located(found.groupdict("") for found in TOLD_AT_BOOT.finditer(log)) if self.blob else []

    def located(self, told):
        """errors by node and property, as the checker and a running machine tell them, with their places"""
        places = self._places() if self.is_source else {}
        errors = []
        for found in told:
            node, prop, text = (found.get(key, "") for key in ("node", "property", "text"))
            spot = spot_of(places, node, prop, text) or ((self.file, 0, 0), 1)
            for missing, target in LINUX:
                if re.match(missing, text):
                    text += f", or call {paths.make_linux(target)}, which makes one"
            errors.append(self._error(*spot, node, prop, text))
            errors[-1].note = note_of(places, prop, text)
        return diagnostics.in_order(errors)


def hint(text, content, place):
    """(the place, the mend), where dtc says only what is wrong"""
    label = diagnostics.NO_LABEL.search(text)
    if label:
        near = difflib.get_close_matches(label[1], re.findall(r"(\w+):\s", content.decode("latin-1")), 1)
        return place, f": did you mean &{near[0]}?" if near else ": no node has that label, as in LABEL: NAME { };"
    if "Properties must precede subnodes" in text:
        return place, ": move it above the first node within"
    if "syntax error" not in text:
        return place, ""
    if content.startswith(b"\xef\xbb\xbf"):
        return place, ": the file begins with a byte order mark, save it without"
    if b"/dts-v1/" not in content:
        return place, ": a config begins with /dts-v1/;"
    place, mend = syntax.mend(place)
    return place, ": " + mend


def as_argument(file):
    """the name of a file that no program takes for an option"""
    return "./" + file if file.startswith("-") else file


def _bound_dtc():
    for limit, most in DTC_LIMITS.items():
        hard = resource.getrlimit(limit)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (most, most))


def dtc(file, form, *options):
    try:
        return subprocess.run(["dtc", "-q", "-I", "dts", "-O", form, *options, file],
                              capture_output=True, preexec_fn=_bound_dtc)
    except FileNotFoundError:
        raise Failure(f"no dtc here: {paths.install('device-tree-compiler')}", status=2) from None


def run_checker(blob, images, cpus=0):
    """the error objects of lasthop-check, which finds the images side by side in one folder; None: it
    is not to look for them"""
    program = paths.checker()
    if not program.is_file():
        raise Failure(f"no {program}: {paths.remake()}", status=2)
    with tempfile.TemporaryDirectory() as folder:
        for name, path in (images or {}).items():
            (Path(folder) / name).symlink_to(path.absolute())
        with tempfile.NamedTemporaryFile(suffix=".dtb") as file:
            file.write(blob)
            file.flush()
            machine = ["--cpus", str(cpus)] if cpus else []
            folders = [] if images is None else [folder]
            done = subprocess.run([program, *machine, file.name, *folders], capture_output=True)
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    if done.returncode not in (0, 1) or (done.returncode == 1) != bool(lines):
        said = done.stderr.decode("utf-8", "replace").strip()
        raise Failure(f"{program}: status {done.returncode}: {said}", status=2)
    return [json.loads(line) for line in lines]


def same_path(told, path):
    """is this path what the checker told, which may have cut names off?"""
    told, path = told.split("/"), path.split("/")
    return len(told) == len(path) and all(
        a == b or len(a) >= CUT and b.startswith(a) for a, b in zip(told, path))


def whole(told, names):
    """the one of these that the checker told; None: none, or two that look alike"""
    if max(map(len, told.split("/"))) < CUT:
        return told
    found = [name for name in names if same_path(told, name)]
    return found[0] if len(found) == 1 else None


def place_of(places, node, prop):
    """where a property is, or with "" a node's brace; None: not known"""
    node = whole(node, (path for path, name in places if not name))
    return places.get((node, whole(prop, (name for path, name in places if path == node))))


def node_place(places, node):
    """where a node is named; dtc tells where its brace is"""
    at = place_of(places, node, "")
    return diagnostics.before_brace(at, node.rsplit("/", 1)[1]) if at else None


def spot_of(places, node, prop, text):
    """(place, width) of what an error is about: a part of the property, else the node's name; None: not known"""
    at = place_of(places, node, prop) if prop else None
    if at:
        return diagnostics.spot_of_property(at, text)
    at = node_place(places, node)
    return diagnostics.word_at(at) if at else None


def note_of(places, prop, text):
    """what else an error names, and where that is; None: nothing"""
    taken, other = TAKEN.match(text), NO_SWITCH.match(text)
    if taken:
        node, text = f"/vms/{taken[1]}", "it has this address"
    elif other:
        node, prop, text = other[1], "", "this is what it refers to"
    else:
        return None
    spot = spot_of(places, node, prop, "")
    return Error(*spot[0], "", "", text, spot[1]) if spot else None


def notes(annotated):
    """((node path, property or ""), dtc's note of its place) of each line that has one"""
    path = []
    for line in annotated.split("\n"):
        opened = NODE.match(line)
        if opened:
            path.append(opened["name"].strip("/"))
        found = opened or PROPERTY.match(line)
        if found and found["note"]:
            yield ("/" + "/".join(path[1:]), "" if opened else found["name"]), found["note"]
        elif line.lstrip().startswith("}") and path:
            path.pop()


def as_json(file, errors):
    return {"schema": 1, "file": str(file), "errors": [{name: getattr(e, name) for name in TOLD} for e in errors]}


def refused(file, errors):
    """shows the errors; the end of the verb"""
    diagnostics.show_all(errors, sys.stderr)
    return Failure(f"{file}: {count(len(errors), 'error')}")
