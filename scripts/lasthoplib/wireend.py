# SPDX-License-Identifier: BSD-2-Clause
"""The end of a NIC's wire for `bench external`: a TAP device in a network namespace of its own, and on it a
station that speaks with guest/bench (wire.h there): its sink, and its source. The kernel answers ARP and sees
to the UDP checksums."""
import contextlib
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time

from . import paths
from .console import Failure

DEVICE, ADDRESS = "wire0", "10.0.0.254"
APART = "LASTHOP_APART"                         # set in the namespace
PORT_CONTROL, PORT_STREAM = 19528, 19529
MAGIC = 0x68736c31
HEADERS = 42                                    # Ethernet, IPv4, UDP
START, END, BYE, ACK = 1, 2, 3, 0x80
HEAD = struct.Struct("<IHHII")                  # struct control: magic, type, refused, session, train
TAIL_BYTES = 24                                 # its union
STAMP = struct.Struct("<IIQ")                   # struct wire_stamp: magic, session, sequence
STREAM = 1                                      # enum bench_test
PATTERN_BYTES = 1600
RETRY_SECONDS, PATIENCE_SECONDS = 0.2, 60
BUFFER_BYTES = 16 << 20
SO_RCVBUFFORCE = 33
WHOLE_QUEUE = 10000                             # frames that may wait for the machine


def enter():
    """goes on in a network namespace of its own: this program from the beginning"""
    if APART in os.environ:
        return
    os.environ[APART] = "1"
    root = [] if os.geteuid() == 0 else ["--map-root-user"]
    os.execvp("unshare", ["unshare", "--net", *root, sys.executable, *sys.argv])


def _ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"ip {' '.join(words)}: {done.stderr.strip()}: TAP devices need /dev/net/tun, and a network "
                      "namespace in which we are root")


def plug():
    """makes the device; QEMU's words for a network that ends there"""
    _ip("link", "set", "lo", "up")
    _ip("tuntap", "add", "dev", DEVICE, "mode", "tap", "vnet_hdr")
    _ip("link", "set", DEVICE, "up", "txqueuelen", str(WHOLE_QUEUE))
    _ip("addr", "add", ADDRESS + "/24", "dev", DEVICE)
    return f"tap,ifname={DEVICE},script=no,downscript=no,vnet_hdr=on"


@contextlib.contextmanager
def iperf_server():
    try:
        server = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "iperf3", "-s"], stdout=subprocess.DEVNULL)
    except FileNotFoundError:
        raise Failure(f"no iperf3 here: {paths.install('iperf3')}") from None
    try:
        yield
    finally:
        server.kill()
        server.wait()


def pattern():
    """guest/bench/wire.c: wire_init()"""
    x, made = 0x9e3779b97f4a7c15, bytearray()
    for _ in range(PATTERN_BYTES):
        x ^= x << 13 & (1 << 64) - 1
        x ^= x >> 7
        x ^= x << 17 & (1 << 64) - 1
        made.append(x >> 32 & 0xff)
    return bytes(made)


def _socket(address, port):
    end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        end.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
    except OSError:                             # root of another namespace: what the limit allows
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    end.bind((address, port))
    return end


class Station:
    """one thread sinks what comes, until close(); source() is called by another"""

    def __init__(self, address=ADDRESS):
        self.control, self.stream = _socket(address, PORT_CONTROL), _socket(address, PORT_STREAM)
        self.pattern, self._over = pattern(), threading.Event()
        self._session = self._packets = self._corrupt = 0       # of the sink
        self._answers = {}                      # to the source: {(session, type): (refused, tail)}
        self._answered = threading.Condition()
        self._thread = threading.Thread(target=self._sink, daemon=True)
        self._thread.start()

    @property
    def seen(self):
        """(frames, those of them that were damaged) of the stream that comes now"""
        return self._packets, self._corrupt

    def close(self):
        self._over.set()
        self._thread.join()
        self.control.close()
        self.stream.close()

    # --- the sink ---
    def _sink(self):
        while not self._over.is_set():
            ready, _, _ = select.select([self.stream, self.control], [], [], 0.2)
            if self.stream in ready:
                self._take_frames()
            if self.control in ready:
                self._take_control()

    def _take_frames(self):
        """all that are there"""
        while True:
            try:
                frame = self.stream.recv(2048, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            if len(frame) < STAMP.size:
                self._corrupt += 1
                continue
            magic, session, sequence = STAMP.unpack_from(frame)
            if session != self._session:
                continue                        # a late one of an earlier run
            good = (magic == MAGIC and len(frame) + HEADERS == self._bytes and sequence < self._count
                    and frame[STAMP.size:] == self.pattern[:len(frame) - STAMP.size])
            if not good or self._seen[sequence]:
                self._corrupt += 1
                continue
            self._seen[sequence] = 1
            self._packets += 1

    def _begin(self, session, tail):
        test, self._bytes, _, _, self._count = struct.unpack("<4IQ", tail)
        if test != STREAM or self._count > 1 << 24:
            return True
        self._session, self._packets, self._corrupt = session, 0, 0
        self._seen = bytearray(self._count)
        return False

    def _take_control(self):
        message, sender = self.control.recvfrom(2048)
        if len(message) < HEAD.size + TAIL_BYTES:
            return
        magic, kind, refused, session, train = HEAD.unpack_from(message)
        tail = message[HEAD.size:HEAD.size + TAIL_BYTES]
        if magic != MAGIC:
            return
        if kind & ACK:
            with self._answered:
                self._answers[session, kind & ~ACK] = refused, tail
                self._answered.notify()
            return
        if kind == START and session != self._session:
            refused = self._begin(session, tail)
        if kind == END and session == self._session:
            self._take_frames()                 # they came before this
            tail = struct.pack("<2Q8x", self._packets, self._corrupt)
        self.control.sendto(HEAD.pack(MAGIC, kind | ACK, refused, session, train) + tail, sender)

    # --- the source ---
    def _call(self, address, kind, session, tail):
        """sends a control message until it is answered; the answer's tail"""
        message = HEAD.pack(MAGIC, kind, 0, session, 1) + tail.ljust(TAIL_BYTES, b"\0")
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            self.control.sendto(message, (address, PORT_CONTROL))
            with self._answered:
                if self._answered.wait_for(lambda: (session, kind) in self._answers, RETRY_SECONDS):
                    refused, answer = self._answers.pop((session, kind))
                    if refused:
                        raise Failure(f"{address} refuses a stream")
                    return answer
        raise Failure(f"{address} does not answer for {PATIENCE_SECONDS} s")

    def source(self, address, frame_bytes, count, run, runs, per_second=0):
        """one run of a stream, at this rate (0: as fast as it goes): (frames that the sink saw a second)"""
        session = int.from_bytes(os.urandom(4), "little") | 1
        frame = bytearray(STAMP.pack(MAGIC, session, 0) + self.pattern)[:frame_bytes - HEADERS]
        self._call(address, START, session, struct.pack("<4IQ", STREAM, frame_bytes, run, runs, count))
        begin, target = time.monotonic(), (address, PORT_STREAM)
        for n in range(count):
            struct.pack_into("<Q", frame, 8, n)
            if per_second and not n % 16:
                while (time.monotonic() - begin) * per_second < n:
                    time.sleep(0.0002)
            self.stream.sendto(frame, target)
        seconds = time.monotonic() - begin
        answer = self._call(address, END, session, struct.pack("<3Q", count, 0, int(seconds * 1e9)))
        seen, corrupt = struct.unpack_from("<2Q", answer)
        if corrupt:
            raise Failure(f"{address} counts {corrupt} corrupt frames")
        return seen / seconds

    def bye(self, address):
        self._call(address, BYE, int.from_bytes(os.urandom(4), "little") | 1, b"")
