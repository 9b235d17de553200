# SPDX-License-Identifier: BSD-2-Clause
"""The event lines that the hypervisor writes to port 0xE9 (hv/core/report.h), as they arrive."""
import json

MARK = b'{"lasthop":'
LONGEST = 1 << 16
LAST = ("end", "panic", "refused")      # nothing of use comes after one of these


class EventStream:
    """Takes the port's bytes in pieces of any size; other lines on the port are skipped."""

    def __init__(self):
        self.events = []
        self.garbled = []               # lines that began like an event and were none
        self._rest = b""

    def feed(self, data):
        """the events that became complete"""
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-LONGEST:]
        fresh = []
        for line in lines:
            at = line.find(MARK)
            if at < 0:
                continue
            try:
                event = json.loads(line[at:].decode("utf-8", "replace"))
                event["event"]
            except (ValueError, KeyError):
                self.garbled.append(line[at:].decode("utf-8", "replace"))
            else:
                fresh.append(event)
        self.events += fresh
        return fresh

    def of(self, kind):
        return [e for e in self.events if e["event"] == kind]
