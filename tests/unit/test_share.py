#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Does who ends the last VM get his answer, though the machine ends with it?"""
import socket
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from lasthoplib import channel, share           # noqa: E402
from test_channel import Machine                # noqa: E402


class Ends(unittest.TestCase):
    def test_the_last_answer_arrives(self):
        asked, answers = threading.Event(), []

        def end_it(_machine, _frame):
            asked.set()
            time.sleep(0.5)
            return {"state": "off"}

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "line"
            line = share.Share(path)
            Machine(line.emulator, methods={"end": end_it})
            client = channel.connect(str(path))
            asking = threading.Thread(target=lambda: answers.append(client.call("end")))
            asking.start()
            asked.wait(30)
            line.settle(30)
            line.close()
            asking.join(30)
            client.line.close()
        self.assertEqual(answers, [{"state": "off"}])

    def test_last_words(self):
        """what a machine said before its end is still there, though it can be told nothing more"""
        ours, theirs = socket.socketpair()
        theirs.sendall(b"last")
        theirs.close()
        end = share.End(ours, 0)
        end.out += b"more"
        share.Share._flush(SimpleNamespace(_drop=lambda e: e.socket.close()), end)
        self.assertEqual((ours.recv(10), bytes(end.out)), (b"last", b""))
        ours.close()

    def test_a_machine_that_is_gone_is_not_waited_for(self):
        with tempfile.TemporaryDirectory() as folder:
            line = share.Share(Path(folder) / "line")
            begin = time.monotonic()
            line.settle(1000)
            line.close()
        self.assertLess(time.monotonic() - begin, 500)


if __name__ == "__main__":
    unittest.main()
