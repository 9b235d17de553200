# SPDX-License-Identifier: BSD-2-Clause
"""A TAP device as QEMU's network: only it carries virtio's header, and so frames that are to be cut
into segments or lack a checksum. Needs a network namespace of its own (run.py sees to that)."""
import fcntl
import os
import socket
import struct
import subprocess

from machine import Arrivals

TUNSETIFF = 0x400454ca
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
SOL_PACKET, PACKET_VNET_HDR = 263, 15
ETH_P_ALL, PACKET_OUTGOING = 0x0003, 4
HEADER = struct.Struct("<BBHHHH")       # virtio 1.2, 5.1.6, as packet(7) has it: without num_buffers
NEEDS_CSUM, NONE, TCPV4, TCPV6 = 1, 0, 1, 4


class Tap(Arrivals):
    """QEMU has the device's file; a packet socket of ours sends into it and sees what comes out"""

    def __init__(self, name):
        self.file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
        fcntl.ioctl(self.file, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
        with open(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "w", encoding="ascii") as quiet:
            quiet.write("1")
        subprocess.run(["ip", "link", "set", name, "up", "mtu", "9000"], check=True)
        self.end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.end.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        self.end.bind((name, 0))
        super().__init__()

    def netdev(self, name):
        return f"tap,id={name},fd={self.file}"

    def _collect(self):
        try:
            while True:
                data, where = self.end.recvfrom(1 << 17)
                if where[2] != PACKET_OUTGOING:
                    self._add(data)
        except OSError:
            pass

    def send(self, frame, header=(0, NONE, 0, 0, 0, 0)):
        self.end.send(HEADER.pack(*header) + frame)
