# SPDX-License-Identifier: BSD-2-Clause
"""Cases of the management channel: each verb of the command line against a machine with VMs that measure,
garbage on the line meanwhile, and the frames on the first line."""
import contextlib
import json
import queue
import random
import socket
import subprocess
import sys
import threading
from pathlib import Path

from cases import Case
from cases_shell import ECHO, long_pair
from configs import config
from lasthoplib import channel, frames, paths

LASTHOP = paths.SOURCE / "scripts" / "lasthop"
SECONDS, LIMIT = 120, 800       # a verb, at most; one that lasts as long as the machine


def verb(line, *words, keys=None):
    """(exit status, what it printed, its document) of one call of scripts/lasthop"""
    file = Path(line.second).with_suffix(f".{words[0]}")
    file.unlink(missing_ok=True)
    done = subprocess.run([sys.executable, str(LASTHOP), *words, "--line", line.second, "--json", str(file)],
                          input=keys, capture_output=True, text=True, timeout=LIMIT if words[0] in ("events", "apply") else SECONDS)
    told = [json.loads(text) for text in ([file.read_text()] if words[0] != "events" else
                                          file.read_text().splitlines())] if file.exists() else [{}]
    return done.returncode, done.stdout + done.stderr, told if words[0] == "events" else told[0]


def expect(line, check, *words, says="", status=0, keys=None, found=lambda told: True):
    """a verb that must end so, print that, in 80 columns but for lines of the log, and have such a
    document"""
    got, text, told = verb(line, *words, keys=keys)
    wide = [row for row in text.splitlines() if len(row) > 80] if words[:2] != ("vm", "dump") else []
    good = got == status and says in text and (status or found(told)) and not wide
    check(good, f"{' '.join(words)}: {got}, {text.strip()[-200:]!r}" if not good else
          f"lasthop {' '.join(words)}")
    return told


def state(told, name):
    return next((vm["state"] for vm in told["vms"] if vm["vm"] == name), None)


def verbs(line, check):
    """each verb once, on two VMs that measure and one that sleeps"""
    listening = threading.Thread(target=listen, args=(line, check))
    line.wait(r"^echo\| echo: ready$")
    listening.start()
    expect(line, check, "vm", "list", says="sink1",
           found=lambda t: t["schema"] == 1 and state(t, "sink1") == "running")
    expect(line, check, "port", says="sink1/net0", found=lambda t: len(t["ports"]) == 2)
    expect(line, check, "port", "sink1/net0", says="host_tso4",
           found=lambda t: t["ports"][0]["offloads"]["csum"]["offered"])
    expect(line, check, "port", "sink1/net0", "down", says="link is down")
    expect(line, check, "port", "sink1/net0", says="down", found=lambda t: t["ports"][0]["link"] == "down")
    expect(line, check, "port", "sink1/net0", "up", says="link is up")
    expect(line, check, "fdb", says="source1/net0", found=lambda t: t["switches"][0]["all"])
    expect(line, check, "stat", "source1/net0", says="tx_packets",
           found=lambda t: {c["name"]: c["value"] for c in t["counters"]}["tx_packets"] > 0)
    expect(line, check, "set", says="batching", found=lambda t: len(t["policies"]) > 5)
    expect(line, check, "set", "batching", "off", says="batching is off")
    expect(line, check, "set", "batching", says="(of off, on)", found=lambda t: t["value"] == "off")
    expect(line, check, "set", "batching", "on", found=lambda t: t["value"] == "on")
    expect(line, check, "vm", "pause", "echo", found=lambda t: t["state"] == "paused")
    expect(line, check, "vm", "resume", "echo", found=lambda t: t["state"] == "running")
    expect(line, check, "vm", "exits", "sink1", found=lambda t: sum(t["exits"].values()) > 100)
    expect(line, check, "vm", "dump", "echo", found=lambda t: "rip" in t["lines"][0])
    expect(line, check, "console", "echo", keys="hello\r", says="echo: hello")
    expect(line, check, "console", "echo", keys="", says="echo: hello",       # replayed
           found=lambda t: t["vm"] == "echo" and "echo: hello" in t["text"] and not t["lost"])
    expect(line, check, "call", "hello", found=lambda t: t["protocol"] == 1)
    for words, says in ((("vm", "stop", "nobody"), 'there is no VM "nobody": vm list shows them'),
                        (("vm", "start", "echo"), "echo: it runs already"),
                        (("stat", "a/b"), 'there is no port "a/b"'), (("console", "nobody"), "there is no VM"),
                        (("set", "batching", "maybe"), "batching takes off, on"),
                        (("call", "nothing"), "no method of that name")):
        expect(line, check, *words, status=1, says=says)
    expect(line, check, "vm", "restart", "echo", says="done")
    line.wait(r"^echo\| echo: ready$")
    for name in ("echo", "sink1", "source1"):
        expect(line, check, "vm", "stop", name, says="done")
    listening.join(LIMIT)


HEARD = ["boot", "vm-start", "vm-start", "vm-start", "link", "link", "vm-paused", "vm-resumed", "vm-reset",
         "vm-start", "vm-end"]


def listen(line, check):
    """all events from the boot on, by a client of its own beside the verbs"""
    try:
        got, text, told = verb(line, "events", "--replay", "--count", str(len(HEARD)))
    except (OSError, ValueError, subprocess.SubprocessError) as problem:
        check(False, f"events: {problem}")
        return
    kinds = [event.get("event") for event in told]
    check(got == 0 and kinds == HEARD, f"events: {got}, {text[-200:]!r}, {kinds}" if kinds != HEARD or got
          else f"lasthop events tells {len(HEARD)} of them")


class Wire:
    """The emulator's second line without anybody between: garbage, too, can be sent. For boot.boot()."""

    def __init__(self):
        self._ours, self.emulator = socket.socketpair()
        self.port = 0

    def send(self, data):
        self._ours.sendall(data)

    def receive(self):
        return self._ours.recv(65536)

    def close(self):
        for sock in (self._ours, self.emulator):
            with contextlib.suppress(OSError):      # it is closed already
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


class FirstLine:
    """the serial line as a line of the channel"""

    def __init__(self, line):
        self._line, self._come = line, queue.SimpleQueue()
        line.tap = self._come.put

    def send(self, data):
        self._line.send(data)

    def receive(self):
        return self._come.get()

    def close(self):
        self._line.tap = None
        self._come.put(b"")


def garbage(line, check):
    """random bytes, and right frames with wrong contents, between calls and while VMs measure"""
    rng = random.Random(11)
    machine = channel.Channel(line.wire, "the second line")
    for turn in range(30):
        line.wire.send(rng.randbytes(rng.randrange(300)) + frames.DELIMITER)
        line.wire.send(b"".join(frames.Frame(rng.randrange(2, 7), rng.randrange(3), rng.randrange(64),
                                             rng.randrange(9), rng.randbytes(20)).encode()
                                for _ in range(8)))
        told = machine.call("vm.list")
        if turn in (0, 29):
            check(state(told, "sink1") == "running", f"vm.list is answered in the garbage, turn {turn}")
    told = machine.call("status")["lines"][1]
    check(told["dropped"] >= 20, f"{told['dropped']} pieces of garbage were dropped")
    with machine.open("console.open", vm="echo") as stream:
        check(b"echo: ready" in (stream.read(SECONDS) or b""), "a stream opens after it")
        stream.send(b"typed\r")
        seen = b""
        while b"echo: typed" not in seen and (piece := stream.read(SECONDS)):
            seen += piece
        check(b"echo: typed" in seen, "and takes keys")
    return machine


def lines(line, check):
    """both lines: garbage on the second, frames on the first beside the shell"""
    line.wait(r"^echo\| echo: ready$")
    line.type("\r")
    line.wait(r"^lasthop> ")
    second = garbage(line, check)
    first = channel.Channel(FirstLine(line), "the first line")
    check(state(first.call("vm.list"), "echo") == "running", "the first line answers behind its escape")
    check("echo " in line.command("vm list"), "and so does its shell")
    with first.open("events.open") as stream:
        second.call("vm.pause", vm="echo")
        seen = b""
        while b"\n" not in seen and (piece := stream.read(SECONDS)):
            seen += piece
        check(json.loads(seen)["event"] == "vm-paused", f"events come over the first line: {seen!r}")
    check(first.call("status")["lines"][0]["frames"], "its state is told")
    first.close()
    check("paused" in line.command("vm list"), "the shell is as it was")
    check(not second.call("status")["lines"][0]["frames"], "frames have ended there")
    for name in ("echo", "sink1", "source1"):
        second.call("vm.stop", vm=name)
    second.close()


def mgmt_case(name, on, talk, **more):
    vms = [ECHO, *long_pair(500000)]
    return Case(f"{on}-mgmt-{name}", on, config(*vms), cpus=2, backend={"tcg": "svm", "bochs": "vmx"}[on],
                talk=talk, ends={vm.name: "stopped" for vm in vms}, **more)


CASES_MGMT = [
    mgmt_case("verbs", "tcg", verbs, second_line=True),
    mgmt_case("verbs", "bochs", verbs, second_line=True),
    mgmt_case("lines", "tcg", lines, second_line=Wire),
]
