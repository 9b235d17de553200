# SPDX-License-Identifier: BSD-2-Clause
"""One boot of a disk image on a test bed, followed through its events to its end."""
import os
import re
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from . import events, image, paths, serialline, testbed
from .share import Share

POLL_SECONDS = 0.05
# beside the event "end" (lifecycle.c)
LAST_WORDS = re.compile(rb"\] all (VMs have ended.*|guests have ended, driver domains run on)\n")
QUIET_SECONDS = {"end": 10}     # a serial log that did not grow for so long is complete; else 2
OWN_MIB, HOLE_MIB = 512, 3072   # of the hypervisor and the firmware; below the PCI hole, at most
LOOK_SECONDS = 60               # for who looks at a machine that has panicked, and resets it
DRAIN_SECONDS = 60              # but we wait no longer than this for it
ANSWER_SECONDS = 10             # the last answers, by the second line


@dataclass
class Outcome:
    ended: str                  # end, panic, refused: by its event; until: those VMs have ended;
                                # died: the machine; timeout
    stream: events.EventStream
    seconds: float              # of the host
    folder: Path                # of the run, until discard()
    words: list = field(default_factory=list)    # the emulator's own about its death

    @property
    def serial_log(self):
        return self.folder / "serial.log"

    def serial(self):
        """the serial transcript as text"""
        try:
            return self.serial_log.read_bytes().decode("utf-8", "replace").replace("\r", "")
        except OSError:
            return ""

    def why(self):
        """in words, unless all went well"""
        if self.ended in ("panic", "refused"):
            told = {"panic": "the hypervisor failed", "refused": "lasthop cannot start"}
            return f"{told[self.ended]}: {self.stream.of(self.ended)[-1].get('reason', '')}"
        return {"end": "", "until": "", "died": "the machine died",
                "timeout": "the time limit passed"}[self.ended]

    def discard(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def _drain(process, serial, ended):
    """lets the machine finish its last words: the line is slower than the port of the events"""
    deadline = time.monotonic() + DRAIN_SECONDS
    size, since = -1, time.monotonic()
    while process.poll() is None and time.monotonic() < deadline:
        now = serial.stat().st_size if serial.exists() else 0
        if now != size:
            size, since = now, time.monotonic()
            if ended == "end" and LAST_WORDS.search(serial.read_bytes()[-4096:]):
                return
        elif time.monotonic() - since > QUIET_SECONDS.get(ended, 2):
            return
        time.sleep(POLL_SECONDS)


def _stop(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def last_event(stream, until):
    """how the run ended, if an event has ended it"""
    for event in stream.events:
        if event["event"] in events.LAST:
            return event["event"]
    return "until" if until and until <= {e.get("vm") for e in stream.of("vm-end")} else None


def follow(process, folder, fatal, timeout, on_event, on_wait, until):
    """reads events until one ends the run; how it ended, and the stream"""
    stream = events.EventStream()
    started = time.monotonic()
    path = folder / "e9.log"
    while not path.exists() and process.poll() is None:
        if time.monotonic() - started > timeout:
            return "timeout", stream
        time.sleep(POLL_SECONDS)
    if not path.exists():
        return "died", stream
    with open(path, "rb") as port:
        while True:
            dead = process.poll() is not None       # asked first: what it wrote is complete
            for event in stream.feed(port.read()):
                on_event(event)
            ended = last_event(stream, until)
            if ended or dead or fatal():
                return ended or "died", stream
            if time.monotonic() - started > timeout:
                return "timeout", stream
            on_wait()
            time.sleep(POLL_SECONDS)


class Talker(threading.Thread):
    """whoever uses the machine's serial line during the run"""

    def __init__(self, talk, line):
        super().__init__(daemon=True)
        self.line, self.talk, self.failed = line, talk, False
        self.start()

    def run(self):
        good = False
        try:
            good = self.talk(self.line)
        finally:                                # an exception shows on the screen, and ends the run
            self.failed = not good

    def finish(self):
        """after the machine's death"""
        self.line.close()
        self.join()


def boot(bed, machine, dtb, images, timeout, efi=None, on_event=lambda e: None,
         on_wait=lambda: None, until=frozenset(), talk=None, share=None):
    """boots a config's blob with its images ({name: path}); until: VMs whose end ends the run;
    talk(SerialLine): in a thread of its own meanwhile, false if the run is to end as failed;
    share: the path for a Unix socket that leads to the second serial line (share.py), or who is at
    that line's end (port, emulator, close()); None: the machine has no second line;
    the caller discards the outcome"""
    bed.check(machine)
    folder = bed.folder()
    line, shared = None, None
    try:
        line = serialline.SerialLine(folder) if talk else None
        shared = Share(share, bed.tcp_only) if isinstance(share, (str, os.PathLike)) else share
        image.build(folder / "disk.img", efi or paths.efi_file(), dtb, images)
        start = time.monotonic()
        process = bed.start(folder, replace(machine, serial_port=line.port if line else 0,
                                            second_port=shared.port if shared else 0,
                                            second_fd=shared.emulator.fileno() if shared and shared.emulator else -1))
        if shared and shared.emulator:
            shared.emulator.close()             # it is the emulator's alone: its death is seen
    except BaseException:
        for opened in filter(None, (line, shared)):
            opened.close()
        shutil.rmtree(folder, ignore_errors=True)
        raise
    fatal = bed.watch(folder)
    talker = Talker(talk, line) if talk else None
    try:
        ended, stream = follow(process, folder,
                               lambda: fatal() or (talker and talker.failed), timeout, on_event,
                               on_wait, until)
        if ended != "timeout":
            _drain(process, folder / "serial.log", ended)
        if ended == "end" and isinstance(shared, Share):
            shared.settle(ANSWER_SECONDS)
        if talker and ended == "panic":
            talker.join(LOOK_SECONDS)
    except BaseException:
        _stop(process)
        if shared:
            shared.close()
        shutil.rmtree(folder, ignore_errors=True)
        raise
    status = process.poll()     # of its own accord; None: it runs
    _stop(process)
    if shared:
        shared.close()
    if talker:
        talker.finish()
    words = bed.last_words(folder) if ended in ("died", "timeout") else []
    if status is not None and ended == "died":
        words.append(f"{bed.emulator()}: "
                     + (f"exit status {status}" if status >= 0 else f"ended by signal {-status}"))
    return Outcome(ended, stream, time.monotonic() - start, folder, words)


def memory_for(vms):
    """MiB that a machine needs to hold these VMs, whose memory is contiguous: a large one may find
    no room below the PCI hole, or begin at the next GiB"""
    sizes = [vm.memory_mib for vm in vms if not vm.disabled]
    total = sum(sizes) + OWN_MIB
    large = sum(size >= 1024 for size in sizes)
    if large:
        return total + 1024 * large + HOLE_MIB
    return total + (max(sizes) if total > 2048 else 0)
