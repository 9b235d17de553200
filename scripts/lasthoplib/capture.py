# SPDX-License-Identifier: BSD-2-Clause
"""`lasthop capture`: what passes a port of the running switch, as pcapng (docs/observing.md)."""
import os
import signal
import struct
import sys
import time
from dataclasses import dataclass

from . import channel, pcapng
from .console import Failure, count, plain

RECORD = struct.Struct("<IIIIIIQHBBI")            # struct capture_record, include/lasthop/capture.h
WORD = struct.Struct("<I")
LARGEST = 65554                                 # bytes of a frame: VS_MAX_FRAME, and more than that
IN, OUT = 0, 1
NO_PAIR = 0xFFFF
LOOK_SECONDS = 0.2


@dataclass
class Record:
    frame: bytes
    whole: int
    time_us: int
    direction: int
    verdict: int
    pair: int
    lost: int                   # records before it that are missing, since the one before


class Records:
    """Finds the records in a stream of bytes, of which the line may have lost some: what comes behind a gap is
    found by the capture's mark, and a record with a gap in it by its end."""

    def __init__(self, verdicts, mark):
        self.verdicts, self.mark = verdicts, mark       # how many verdicts there are
        self._rest, self._next = b"", 0                 # number of the record that is to come

    def _record(self):
        """(its length, the record) that the rest begins with; (0, None): it is none; None: not all has come"""
        if len(self._rest) < RECORD.size:
            return None
        length, mark, place, kept, whole, number, time_us, pair, direction, verdict, _ = \
            RECORD.unpack_from(self._rest)
        if mark != self.mark or not kept <= whole <= LARGEST or direction > OUT or \
                length != (RECORD.size + kept + 4 + 7) // 8 * 8 or verdict >= self.verdicts:
            return 0, None
        if len(self._rest) < length:
            return None
        if WORD.unpack_from(self._rest, length - 4)[0] != place:
            return 0, None
        frame = self._rest[RECORD.size:RECORD.size + kept]
        lost, self._next = (number - self._next) & 0xFFFFFFFF, number + 1
        return length, Record(frame, whole, time_us, direction, verdict, pair, lost)

    def feed(self, data):
        """the records that are complete"""
        self._rest += data
        records = []
        while found := self._record():
            length, record = found
            if record:
                records.append(record)
            else:
                again = self._rest.find(WORD.pack(self.mark), 5)
                length = again - 4 if again >= 0 else len(self._rest) - 7
            self._rest = self._rest[length:]
        return records


class Writer:
    """Records as pcapng into a binary stream"""

    def __init__(self, stream, begun, verdicts):
        """begun: what see.capture answered; verdicts: [[name, text]]"""
        self.stream, self.verdicts = stream, verdicts
        self.offset_ns = begun["wall_ns"] - begun["time_us"] * 1000
        self.packets = self.dropped = self.lost = 0
        self.last_ns = begun["wall_ns"]
        stream.write(pcapng.head(begun["port"], f"lasthop, switch {begun['switch']}",
                                 bytes.fromhex(begun["mac"].replace(":", "")), begun["snap"]))
        stream.flush()

    def write(self, records):
        for r in records:
            name, text = self.verdicts[r.verdict]
            dropped = name.startswith("drop")
            self.packets += 1
            self.dropped += dropped
            self.lost += r.lost
            self.last_ns = self.offset_ns + r.time_us * 1000
            self.stream.write(pcapng.packet(
                r.frame, r.whole, self.last_ns,
                pcapng.INBOUND if r.direction == IN else pcapng.OUTBOUND,
                None if r.pair == NO_PAIR else r.pair, r.lost, f"dropped: {text}" if dropped else ""))
        if records:
            self.stream.flush()

    def end(self, records):
        """records: how many there were in all, if that is known"""
        if records is not None:
            self.lost = max(self.lost, records - self.packets)
        self.stream.write(pcapng.statistics(self.last_ns, self.packets + self.lost, self.lost))
        self.stream.flush()


class Ending:
    """Signals to end, counted: a packet that has come is to be written all the same, and whole"""

    def __enter__(self):
        self.asked = 0
        self._before = [(number, signal.signal(number, self._come)) for number in (signal.SIGINT, signal.SIGTERM)]
        return self

    def _come(self, *_):
        self.asked += 1
        if self.asked > 2:                      # it waits for something
            raise KeyboardInterrupt

    def __exit__(self, *_):
        for number, handler in self._before:
            signal.signal(number, handler)


def pump(stream, writer, records, most=None, seconds=None, stop=lambda: False, clock=time.monotonic):
    """until the stream ends, so many packets are written, the time is over, or it is to stop; True: it has ended,
    or all that was wanted is there"""
    end = None if seconds is None else clock() + seconds
    while not stop() and (end is None or clock() < end):
        data = stream.read(LOOK_SECONDS)
        found = records.feed(data or b"")
        writer.write(found if most is None else found[:most - writer.packets])
        if data == b"" or (most is not None and writer.packets >= most):
            return True
    return False


def open_out(where):
    if where != "-":
        return open(where, "wb")
    if sys.stdout.isatty():
        raise Failure("capture: the terminal cannot show pcapng: name a file, or pipe it into "
                      "`tcpdump -r -` or `wireshark -k -i -`", status=2)
    return os.fdopen(os.dup(sys.stdout.fileno()), "wb")


def finish(machine, port, stream, writer, records, ending):
    """what the switch has written by now still comes; how many records there were, None: it had ended by itself"""
    asked = ending.asked
    try:
        total = machine.call("see.capture_end", port=port)["records"]
    except Failure:
        if not stream.ended and machine.broken != channel.ENDED:
            raise
        total = None
    print("capture: ends; what is under way still comes, Ctrl-C breaks that off", file=sys.stderr)
    pump(stream, writer, records, stop=lambda: ending.asked > asked)
    return total


def write(machine, port, where, given, most, seconds):
    """captures into the file; the writer at its end, and why it ended if by itself"""
    verdicts, total = machine.call("see.tables")["verdicts"], None
    # the file is opened last: it is left alone if there is nothing to write
    with machine.open("see.capture", port=port, **given) as stream, open_out(where) as out, Ending() as ending:
        writer = Writer(out, stream.result, verdicts)
        records = Records(len(verdicts), stream.result["mark"])
        if not pump(stream, writer, records, most, seconds, lambda: ending.asked):
            total = finish(machine, port, stream, writer, records, ending)
        writer.end(total)
    return writer, stream.why or machine.broken


def run(machine, port, where="-", snap=None, ring_kib=None, most=None, seconds=None):
    """captures; {port, packets, dropped, lost, why}"""
    given = {name: value for name, value in (("snap", snap), ("ring_kib", ring_kib)) if value is not None}
    try:
        writer, why = write(machine, port, where, given, most, seconds)
    except BrokenPipeError:
        raise
    except OSError as problem:
        raise Failure(f"capture: {'stdout' if where == '-' else where}: {problem.strerror}: name a file "
                      "that can be written, where there is room", status=2) from None
    return {"port": port, "packets": writer.packets, "dropped": writer.dropped, "lost": writer.lost, "why": why}


def render(made):
    return (f"{count(made['packets'], 'packet')}, {made['dropped']} of them dropped by the switch, "
            f"{made['lost']} lost by the capture" + (f": {plain(made['why'])}" if made["why"] else ""))
