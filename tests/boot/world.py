# SPDX-License-Identifier: BSD-2-Clause
"""What is outside of the machine in a boot test: a Linux host on the other end of the NIC's wire.

A case with `world` runs in a network namespace of its own (run.py); there each wire is a TAP device with
an address (Bochs: one end of a pair of Ethernet devices; WIRE, ADDRESSES: a network of its own) and a capture of all that passes, and there are a server of
iperf3 and one that answers the test guest's questions (guest/linux/tests: ask).
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

PLUG = "plug{}"                                 # of Bochs, at the other end of the wire
WIRE, ADDRESSES, ADDRESS6 = "wire{}", "10.0.{}.254", "fd00::254"
ADDRESS = ADDRESSES.format(0)
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
    """wires: how many; the first has an IPv6 address as well. taps: else they end at another device (PLUG)"""

    def __init__(self, wires=1, mtu=1500, taps=True):
        self.folder = tempfile.TemporaryDirectory()
        self._ip("link", "set", "lo", "up")
        for name, value in ("arp_ignore", 1), ("arp_announce", 2):      # each wire answers for itself
            Path("/proc/sys/net/ipv4/conf/all", name).write_text(f"{value}\n")
        self.processes = [subprocess.Popen(["iperf3", "-s"], stdout=subprocess.DEVNULL)]
        for n in range(wires):
            if taps:
                self._ip("tuntap", "add", "dev", WIRE.format(n), "mode", "tap")
            else:
                self._ip("link", "add", WIRE.format(n), "type", "veth", "peer", "name", PLUG.format(n))
                self._ip("link", "set", PLUG.format(n), "up")
            self._ip("link", "set", WIRE.format(n), "up", "mtu", mtu)
            call("ethtool", "-K", WIRE.format(n), "tx", "off", check=True)   # whole checksums on the wire
            self._ip("addr", "add", ADDRESSES.format(n) + "/24", "dev", WIRE.format(n))
            self.processes.append(subprocess.Popen(
                ["tcpdump", "-i", WIRE.format(n), "-w", str(self._capture(n)), "-U", "-B", "65536",
                 "-s", "9100"], stderr=subprocess.DEVNULL))
        self._ip("-6", "addr", "add", ADDRESS6 + "/64", "dev", WIRE.format(0), "nodad")
        self.server = socketserver.ThreadingTCPServer(("", REMOTE_PORT), Answerer)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _capture(self, wire):
        return Path(self.folder.name, f"wire{wire}.pcapng")

    @staticmethod
    def mac(wire=0):
        """of the world's own end"""
        return json.loads(call("ip", "-j", "link", "show", WIRE.format(wire)).stdout)[0]["address"]

    @staticmethod
    def send(wire, frame):
        """a frame, as it is"""
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as end:
            end.bind((WIRE.format(wire), 0))
            end.send(frame)

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

    def heard(self, what, wire=0):
        """the frames of a wire's capture so far that a filter (pcap-filter(7)) matches, a line each"""
        done = call("tcpdump", "-nn", "-e", "-r", self._capture(wire), what)
        if done.returncode and "truncated dump file" not in done.stderr:  # the last is not complete yet
            raise OSError(f"tcpdump: {done.stderr.strip()}")
        return done.stdout.splitlines()

    def misshapen(self, sources, wire=0):
        """those with a wrong checksum, or too long, from these stations. A sum of 0xffff is as good as
        0, but tshark minds it; QEMU's e1000 writes it."""
        wrong = ("(tcp.checksum.status == 0 && tcp.checksum != 0xffff) || udp.checksum.status == 0 || ip.checksum.status == 0 || "
                 "frame.len > 1514")
        done = call("tshark", "-n", "-r", self._capture(wire), "-Y",
                    f"eth.src in {{{', '.join(sources)}}} && ({wrong})", "-o", "tcp.check_checksum:TRUE",
                    "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE",
                    "-o", "tcp.analyze_sequence_numbers:FALSE", "-o", "tcp.desegment_tcp_streams:FALSE")
        if done.returncode not in (0, 2):       # 2: the last frame is not complete yet
            raise OSError(f"tshark: {done.stderr.strip()}")
        return done.stdout.splitlines()
