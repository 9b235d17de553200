# SPDX-License-Identifier: BSD-2-Clause
"""Lines of running machines: where `run` leaves them, and how one is opened."""
import os
import select
import socket
import stat
import tempfile
import termios
import time
from pathlib import Path

from . import frames
from .console import Failure, plain

SUFFIX = ".line"
NAME_BYTES = 32                 # of a line, in its path
PATH_BYTES = 107                # of a Unix socket's (unix(7))
FIFO_SECONDS = 0.05             # until a machine that was idle polls its line often
IDLE_SECONDS = 1.0


class SocketLine:
    """a Unix socket: of `lasthop run`, or of an emulator's second serial line"""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(os.fspath(path))
        except OSError as problem:
            self._socket.close()
            raise Failure(f"{path}: {problem.strerror or problem}: no machine is at its other end") from None

    def send(self, data):
        self._socket.sendall(data)

    def receive(self):
        return self._socket.recv(65536)

    def close(self):
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()


class TtyLine:
    """a serial port of this machine, 115200 8N1 without flow control"""

    def __init__(self, path):
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as problem:
            mend = ": join the group dialout" if isinstance(problem, PermissionError) else ""
            raise Failure(f"{path}: {problem.strerror}{mend}") from None
        self._wake, self._waker = os.pipe()
        self._sent = 0.0
        try:
            self._set_up()
        except termios.error as problem:
            self.close()
            raise Failure(f"{path}: {problem.args[-1]}: name a serial port") from None

    def _set_up(self):
        cc = termios.tcgetattr(self._fd)[6]
        cc[termios.VMIN], cc[termios.VTIME] = 0, 0
        termios.tcsetattr(self._fd, termios.TCSANOW, [
            0, 0, termios.CS8 | termios.CREAD | termios.CLOCAL, 0, termios.B115200, termios.B115200, cc])
        termios.tcflush(self._fd, termios.TCIFLUSH)

    def _write(self, data):
        while data:
            try:
                data = data[os.write(self._fd, data):]
            except BlockingIOError:
                select.select([], [self._fd], [])

    def send(self, data):
        if time.monotonic() - self._sent > IDLE_SECONDS:    # its FIFO has 16 bytes
            self._write(frames.DELIMITER)
            time.sleep(FIFO_SECONDS)
        self._write(data)
        self._sent = time.monotonic()

    def receive(self):
        while True:
            ready, _, _ = select.select([self._fd, self._wake], [], [])
            if self._wake in ready:
                return b""
            try:
                if data := os.read(self._fd, 65536):
                    return data
                raise OSError(0, "the port has gone")
            except BlockingIOError:
                pass

    def close(self):
        os.write(self._waker, b"x")
        os.close(self._fd)


def folder():
    """where `run` leaves its lines: of this user alone"""
    base = os.environ.get("XDG_RUNTIME_DIR")
    path = Path(base) / "lasthop" if base else Path(tempfile.gettempdir()) / f"lasthop-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        told = path.lstat()
    except OSError as problem:
        raise Failure(f"{path}: {problem.strerror}: XDG_RUNTIME_DIR names another folder") from None
    if not stat.S_ISDIR(told.st_mode) or told.st_uid != os.getuid() or told.st_mode & 0o077:
        raise Failure(f"{path}: is not a folder of yours alone: remove it, or set XDG_RUNTIME_DIR")
    return path


def path_for(name):
    """a free name for a line of this process"""
    own = f"{os.getpid()}{SUFFIX}"
    path = folder() / own
    room = PATH_BYTES - len(os.fsencode(path))
    if room < 0:
        raise Failure(f"{path}: {len(os.fsencode(path))} bytes are too long for a socket's name, {PATH_BYTES} at most: "
                      "XDG_RUNTIME_DIR names another folder")
    name = os.fsencode(plain(name))[:min(NAME_BYTES, max(0, room - 1))].decode(errors="ignore")
    path = path.with_name(f"{name}-{own}") if name else path
    path.unlink(missing_ok=True)                # of a process that had this number
    return path


def _answers(path):
    try:
        SocketLine(path).close()
        return True
    except Failure:
        return False


def running():
    """the lines of machines that run; what is left of others goes"""
    found = []
    for path in sorted(folder().glob("*" + SUFFIX)):
        if _answers(path):
            found.append(path)
        else:
            path.unlink(missing_ok=True)
    return found


def find():
    """the line of the one machine that runs"""
    found = running()
    if not found:
        raise Failure("no machine runs: start one with `lasthop run`, or name a line with --line PATH: a "
                      "Unix socket or a serial port")
    if len(found) > 1:
        raise Failure(f"{len(found)} machines run: name one of their lines with --line:"
                      + "".join(f"\n  --line {path}" for path in found))
    return found[0]


def open_line(path):
    """the line of that name"""
    try:
        mode = os.stat(path).st_mode
    except OSError as problem:
        raise Failure(f"--line {path}: {problem.strerror}: name a Unix socket or a serial port, such as "
                      "/dev/ttyUSB0") from None
    if stat.S_ISSOCK(mode):
        return SocketLine(path)
    if stat.S_ISCHR(mode):
        return TtyLine(path)
    raise Failure(f"--line {path}: is neither a Unix socket nor a serial port")
