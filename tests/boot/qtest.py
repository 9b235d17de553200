# SPDX-License-Identifier: BSD-2-Clause
"""QEMU's test protocol beside a machine that runs: physical memory, configuration space, and its
device "edu", whose DMA engine does what it is told. So a device attacks, and no driver is needed."""
import os
import socket
import time

from lasthoplib.console import Failure

SOCKET = "qtest.sock"
ARGUMENTS = ["-qtest", f"unix:{SOCKET},server=on,wait=off", "-qtest-log", "none"]
PAGE = 4096
COMMAND, BAR0 = 0x04, 0x10
MEMORY_AND_BUS_MASTER = 6


class Qtest:
    def __init__(self, folder):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)
        directory = os.open(folder, os.O_RDONLY)        # its path may be too long for a socket's
        try:
            self._socket.connect(f"/proc/self/fd/{directory}/{SOCKET}")
        finally:
            os.close(directory)
        self._file = self._socket.makefile("r")

    def close(self):
        self._file.close()
        self._socket.close()

    def _ask(self, command):
        self._socket.sendall(f"{command}\n".encode())
        answer = self._file.readline().split()
        if answer[:1] != ["OK"]:
            raise Failure(f"qtest: {command}: {' '.join(answer)}")
        return answer[1:]

    def read(self, address, count=PAGE):
        return bytes.fromhex(self._ask(f"read {address:#x} {count:#x}")[0][2:])

    def readl(self, address):
        return int(self._ask(f"readl {address:#x}")[0], 16)

    def writel(self, address, value):
        self._ask(f"writel {address:#x} {value:#x}")

    def writeq(self, address, value):
        self._ask(f"writeq {address:#x} {value:#x}")


class Edu:
    """the device at 00:`slot`.0"""
    MASK = (1 << 40) - 1                                # of its addresses
    SOURCE, TARGET, COUNT, ORDER = 0x80, 0x88, 0x90, 0x98
    BUFFER, BYTES = 0x40000, PAGE // 2                  # a whole page it takes for too many
    RUN, TO_MEMORY = 1, 2
    SECONDS = 60

    @classmethod
    def arguments(cls, slot):
        return ["-device", f"edu,addr={slot:#x},dma_mask={cls.MASK:#x}"]

    def __init__(self, qtest, ecam, slot):
        config = ecam + (slot << 15)
        self._qtest, self._bar = qtest, qtest.readl(config + BAR0) & ~15
        qtest.writel(config + COMMAND, MEMORY_AND_BUS_MASTER)

    def _dma(self, source, target, order):
        for register, value in ((self.SOURCE, source), (self.TARGET, target),
                                (self.COUNT, self.BYTES), (self.ORDER, order | self.RUN)):
            self._qtest.writeq(self._bar + register, value)
        end = time.monotonic() + self.SECONDS
        while self._qtest.readl(self._bar + self.ORDER) & self.RUN:
            if time.monotonic() > end:
                raise Failure("the device does not end its DMA")
            time.sleep(0.05)

    def read(self, address):
        """a piece of memory into its buffer"""
        self._dma(address, self.BUFFER, 0)

    def write(self, address):
        """its buffer into memory"""
        self._dma(self.BUFFER, address, self.TO_MEMORY)
