# SPDX-License-Identifier: BSD-2-Clause
"""QEMU with netd as its kernel, and sockets to its serial line, its control port and its networks."""
import json
import os
import re
import select
import socket
import struct
import subprocess
import threading
import time

QEMU = "qemu-system-x86_64"
LIMIT = 60                     # seconds of the host for anything to come: ends a hung run
HEADER = 4                      # of a frame in QEMU's stream: its length


class Dead(Exception):
    """the machine did not do what the test waits for"""


class Arrivals:
    """what a thread has collected, in order"""

    def __init__(self):
        self.frames, self.arrived = [], threading.Condition()
        threading.Thread(target=self._collect, daemon=True).start()

    def _add(self, frame):
        with self.arrived:
            self.frames.append(frame)
            self.arrived.notify_all()

    def wait(self, count):
        """how many frames there are since the last take(): `count`, or fewer if no more come"""
        with self.arrived:
            seen = -1
            while len(self.frames) < count and seen != len(self.frames):
                seen = len(self.frames)
                self.arrived.wait_for(lambda: len(self.frames) > seen, LIMIT)
            return len(self.frames)

    def take(self):
        with self.arrived:
            frames, self.frames = self.frames, []
            return frames


class Wire(Arrivals):
    """one end of a stream network"""

    def __init__(self, end):
        self.end = end
        super().__init__()

    def _read(self, count):
        data = b""
        while len(data) < count:
            more = self.end.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def _collect(self):
        try:
            while True:
                self._add(self._read(struct.unpack(">I", self._read(HEADER))[0]))
        except (EOFError, OSError):
            pass

    def send(self, frame):
        self.end.sendall(struct.pack(">I", len(frame)) + frame)


class Machine:
    """nets: {name: a Tap, or None for a stream}; devices: arguments for QEMU"""

    def __init__(self, kernel, append, nets, devices, memory=64):
        self.wires, inside, self.text = {}, [], ""
        argv = [QEMU, "-accel", "tcg", "-machine", "q35", "-m", str(memory), "-nodefaults",
                "-display", "none", "-no-shutdown", "-kernel", str(kernel), "-append", append]

        def end():
            ours, theirs = socket.socketpair()
            inside.append(theirs)
            return ours, theirs.fileno()
        self.serial, fd = end()
        argv += ["-chardev", f"socket,id=serial,fd={fd}", "-serial", "chardev:serial"]
        self.control, fd = end()
        argv += ["-chardev", f"socket,id=qmp,fd={fd}", "-mon", "chardev=qmp,mode=control"]
        files = []
        for net, tap in nets.items():
            if tap:
                self.wires[net] = tap
                files.append(tap.file)
                argv += ["-netdev", tap.netdev(net)]
                continue
            ours, fd = end()
            self.wires[net] = Wire(ours)
            argv += ["-netdev", f"stream,id={net},server=off,addr.type=fd,addr.str={fd}"]
        files += [s.fileno() for s in inside]
        self.process = subprocess.Popen([*argv, *devices], pass_fds=files,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for theirs in inside:
            theirs.close()
        self.qmp_lines = self.control.makefile("r")
        self.qmp_lines.readline()
        self.qmp("qmp_capabilities")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        for end in (self.serial, self.control, *(w.end for w in self.wires.values())):
            end.close()

    def qmp(self, command, **arguments):
        self.control.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while True:
            line = self.qmp_lines.readline()
            if not line:
                raise Dead(f"QEMU has ended: {self.process.stderr.read().decode()}")
            answer = json.loads(line)
            if "error" in answer:
                raise Dead(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return

    def expect(self, pattern):
        """waits for a whole line of the console that matches, and forgets all up to it"""
        end = time.monotonic() + LIMIT
        while True:
            match = re.search(rf"^[^\n]*{pattern}[^\n]*\n", self.text, re.M)
            if match:
                self.text = self.text[match.end():]
                return match
            ready = select.select([self.serial], [], [], max(0, end - time.monotonic()))[0]
            more = os.read(self.serial.fileno(), 65536) if ready else b""
            if not more:
                raise Dead(f"no /{pattern}/ on the console, which ended with: {self.text[-1500:]}")
            self.text += more.decode(errors="replace").replace("\r", "")

    def key(self, key):
        self.serial.sendall(key)
