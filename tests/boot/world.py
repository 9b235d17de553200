# SPDX-License-Identifier: BSD-2-Clause
"""What is outside of the machine in a boot test: a Linux host on the other end of the NIC's wire.

A case with `world` runs in a network namespace of its own (run.py); there the wire is a TAP device with
an address, a server of iperf3, one that answers the test guest's questions (guest/linux/tests: ask), and a
capture of all that passes.
"""
import contextlib
import json
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from lasthoplib.nics import Nic

WIRE, ADDRESS, ADDRESS6 = "wire{}", "10.0.0.254", "fd00::254"
REMOTE_PORT, IPERF_PORT = 5999, 5201            # guest/linux/init
TRIES = 10
LIMIT = 120                                     # seconds for anything to come: ends a hung run


def call(*words, **more):
    return subprocess.run([str(w) for w in words], capture_output=True, text=True, **more)


def enter(*command):
    """how to run a command in a network namespace of its own"""
    return ["unshare", "--net", *([] if call("id", "-u").stdout.strip() == "0" else
                                  ["--map-root-user"]), *command]


def nic(model, number=0, offload=False):
    """offload: frames to be segmented, or without a checksum, pass the wire as they are"""
    return Nic(model, f"tap,ifname={WIRE.format(number)},script=no,downscript=no,"
               f"vnet_hdr={'on' if offload else 'off'}")


class Answerer(socketserver.BaseRequestHandler):
    """the test guest asks its peer to run shell lines; nobody does here, but it gets an answer"""

    def handle(self):
        self.request.settimeout(LIMIT)
        with contextlib.suppress(OSError):
            self.request.recv(4096)
            self.request.sendall(b"\n")


class World:
    """wires: how many; the first has the addresses, further ones are joined to it by a bridge"""

    def __init__(self, wires=1, mtu=1500):
        self.folder = tempfile.TemporaryDirectory()
        self.capture_file = Path(self.folder.name, "wire.pcapng")
        self._ip("link", "set", "lo", "up")
        for n in range(wires):
            self._ip("tuntap", "add", "dev", WIRE.format(n), "mode", "tap")
            self._ip("link", "set", WIRE.format(n), "up", "mtu", mtu)
            call("ethtool", "-K", WIRE.format(n), "tx", "off", check=True)   # whole checksums on the wire
        self._ip("addr", "add", ADDRESS + "/24", "dev", WIRE.format(0))
        self._ip("-6", "addr", "add", ADDRESS6 + "/64", "dev", WIRE.format(0), "nodad")
        self.processes = [
            subprocess.Popen(["iperf3", "-s"], stdout=subprocess.DEVNULL),
            subprocess.Popen(["tcpdump", "-i", WIRE.format(0), "-w", str(self.capture_file), "-U",
                              "-B", "65536", "-s", "9100"], stderr=subprocess.DEVNULL)]
        self.server = socketserver.ThreadingTCPServer(("", REMOTE_PORT), Answerer)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def _ip(*words):
        done = call("ip", *words)
        if done.returncode:
            raise OSError(f"ip {' '.join(map(str, words))}: {done.stderr.strip()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        for process in self.processes:
            process.kill()
            process.wait()
        self.folder.cleanup()

    @staticmethod
    def wait_for(address, seconds=LIMIT):
        """until it answers"""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if call("ping", "-c", 1, "-W", 1, address).returncode == 0:
                return True
        return False

    @staticmethod
    def ping(address, count=10, size=56):
        """how many of so many were answered"""
        said = call("ping", "-q", "-i", 0.1, "-c", count, "-s", size, address).stdout
        return int(said.split(" packets transmitted, ")[1].split(" received")[0])

    @staticmethod
    def iperf(address, *options, seconds=2):
        """bytes that came; the error, if there is one. A server that has just ended a test refuses the
        next one for a moment."""
        for _ in range(TRIES):
            said = call("iperf3", "-J", "-c", address, "-p", IPERF_PORT, "-t", seconds, *options)
            try:
                made = json.loads(said.stdout)
            except ValueError:
                return 0, said.stderr or said.stdout
            if not made.get("error"):
                break
            time.sleep(1)
        end = made.get("end", {})
        received = end.get("sum_received") or end.get("sum") or {}
        return received.get("bytes", 0), made.get("error", "")

    @staticmethod
    def tell(address, line):
        """has the guest run a line of shell"""
        with socket.create_connection((address, REMOTE_PORT), timeout=LIMIT) as end:
            end.sendall(line.encode() + b"\n")
            end.shutdown(socket.SHUT_WR)
            answer = b""
            while more := end.recv(4096):
                answer += more
        return answer.decode("utf-8", "replace")

    def captured(self, what):
        """the frames of the capture so far that a display filter matches, a line each"""
        done = call("tshark", "-r", self.capture_file, "-Y", what, "-o", "tcp.check_checksum:TRUE",
                    "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE")
        if done.returncode not in (0, 2):       # 2: the last frame is not complete yet
            raise OSError(f"tshark: {done.stderr.strip()}")
        return done.stdout.splitlines()
