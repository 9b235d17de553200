#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Does `lasthop why` name the reason for which a VM hangs, and find none where nothing is wrong?"""
import copy
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from lasthoplib import why    # noqa: E402


def exit_of(kind, detail="0", ago=1000):
    return {"kind": kind, "cause": "other", "detail": detail, "ago_us": ago}


def vcpu(index=0, state="running", look=1_500_000, rip="100040", **more):
    told = {"index": index, "state": state, "cpu": 1, "wakeups": 3, "run_us": 5, "look_us": look, "rip": rip,
            "rsp": "0", "rflags": "202", "cr0": "0", "cr3": "0", "cr4": "0", "efer": "500", "cs": "10",
            "cs_base": "0", "code": "90" * 15, "before": "", "cpl": 0, "bits64": True, "interrupts_on": True,
            "halted": False, "sipi_awaited": False, "can_take": True, "exits_total": 100,
            "exits": [exit_of("interrupt")] * 4}
    return {**told, **more}


def queue(kind, **more):
    told = {"queue": kind, "pair": 0, "state": "running", "packed": False, "size": 256,
            "available": kind == "receive", "avail": 256, "next": 7, "used": 7, "kick_wanted": kind == "transmit",
            "kick_at": 7, "interrupt_wanted": True, "interrupt_owed": False, "lazy": False, "polled": False,
            "held": False}
    return {**told, **more}


def port(receive=None, transmit=None, **more):
    told = {"port": "v/net0", "switch": "lan", "link": True, "uplinks_away": False, "driver": True,
            "tx_packets": 1, "rx_packets": 1, "kicks": 1, "rx_drop_no_buffer": 0, "rx_drop_link_down": 0, "queue_stopped": 0,
            "queues": [queue("receive", **(receive or {})), queue("transmit", **(transmit or {}))]}
    return {**told, **more}


def answers(*vcpus, ports=(), state="running", past=(), looks=4, ends=None):
    """as from why.look(): vcpus may be functions of the look's number"""
    made = []
    for n in range(looks + 1):
        now = 1_000_000 * (n + 1)
        made.append({"vm": "v", "kernel": "k", "driver_domain": False, "state": state, "now_us": now,
                     "ends": len(past) if ends is None else ends, "past": list(past), "up_us": now,
                     "vcpus": [v(n) if callable(v) else {**copy.deepcopy(v), "look_us": now - 500_000,
                                                         "exits_total": 100 + n} for v in vcpus],
                     "ports": copy.deepcopy(list(ports))})
    return made


def reasons(*args, **more):
    told = answers(*args, **more)
    found = why.diagnose(told)
    lines = why.render(told, found)
    for line in lines:
        if not line.startswith(("likely", "also")):
            assert len(line) <= 80, line
    return found["reasons"]


HALTED = {"state": "blocked", "halted": True}


class Why(unittest.TestCase):
    def first(self, expected, *args, **more):
        found = reasons(*args, **more)
        self.assertTrue(found, "no reason")
        self.assertIn(expected, found[0])
        return found

    def test_nothing_is_wrong(self):
        self.assertEqual(reasons(lambda n: vcpu(rip=f"{0x100000 + 4096 * n:x}", look=10 ** 6 * (n + 1) - 5)), [])
        self.assertEqual(reasons(vcpu(**HALTED, timer_us=4000), ports=[port()]), [])

    def test_loops(self):
        self.first("spins in a PAUSE loop at 0x100040 (wait+0x10)",
                   vcpu(before="f390", symbol="wait", symbol_offset=16))
        self.first("spins in a PAUSE loop", vcpu(exits=[exit_of("pause")] * 4))
        self.first("spins in place at 0x100040 with interrupts off, while interrupt 48 waits",
                   vcpu(code="ebfe90", interrupts_on=False, irq=48))
        self.first("spins in a loop", vcpu())
        # who leaves the guest for work of its own, or moves on, does not spin
        self.assertEqual(reasons(vcpu(exits=[exit_of("io", "3f8")] * 4)), [])
        self.assertEqual(reasons(lambda n: vcpu(rip=f"{0x100000 + 200 * n:x}", look=10 ** 6 * (n + 1) - 5,
                                                exits_total=n)), [])

    def test_halted(self):
        self.first("halted with interrupts off", vcpu(**HALTED, interrupts_on=False))
        found = self.first("halted with interrupts off", vcpu(**HALTED, interrupts_on=False),
                           vcpu(1, **{**HALTED, "sipi_awaited": True}))
        self.assertIn("vCPU 1: never started", found[1])
        self.first("sleep without a timer", vcpu(**HALTED))
        self.first("interrupt 65 waits, but it was not woken", vcpu(**HALTED, irq=65))

    def test_no_answer(self):
        self.first("does not come out of the guest", lambda n: vcpu(look=1))
        self.first("busy with others", lambda n: vcpu(look=1, state="runnable"))
        self.first("stopped", {**vcpu(), "state": "off"})

    def test_by_the_user(self):
        self.first("paused by the user", vcpu(state="blocked"), state="paused")
        self.first("vm start", state="off")

    def test_to_be_made_again(self):
        crash = {"end": "crash", "reason": "triple fault", "ago_us": 90_000, "lived_us": 20_000}
        self.first("it cannot be made again", state="waiting", past=[crash])

    def test_lives(self):
        triple = {"end": "crash", "reason": "triple fault", "ago_us": 90_000, "lived_us": 20_000}
        self.first("it ended 0.1 s ago (crash: triple fault)", state="off", past=[triple])
        self.first("ends again and again, 9 times by now", vcpu(), past=[triple] * 4, ends=9)
        self.first("ends again and again", state="off", past=[triple] * 3, ends=3)
        found = reasons(vcpu(**HALTED, timer_us=1), past=[{**triple, "ago_us": 10 ** 9}])
        self.assertEqual(found, [])

    def test_two_lives(self):
        """looks of the life before do not count: it had made other exits, and stood at the same place"""
        made = answers(lambda n: vcpu(look=10 ** 6 * (n + 1) - 5, exits_total=1000 if n < 4 else 3,
                                      exits=[exit_of("io", "3f8")] * 3))
        for told in made[:-1]:
            told["ends"] = 4
        made[-1]["ends"] = 5
        self.assertEqual(why.diagnose(made)["reasons"], [])

    def test_long_names(self):
        long = "a-name-of-thirty-one-characters"
        end = {"end": "crash", "reason": "triple fault " * 9, "ago_us": 10 ** 9, "lived_us": 20_000}
        made = answers(vcpu(symbol="s" * 300, symbol_offset=2 ** 40, rip="f" * 16, irq=255, exits_total=10 ** 9),
                       past=[end], ports=[port(port=f"{long}/eth0", switch=long)])
        made[-1]["vm"], made[-1]["kernel"] = long, "k" * 63
        for line in why.render(made, why.diagnose(made)):
            self.assertTrue(len(line) <= 80 or line.startswith(("likely", "also")), line)

    def test_queues(self):
        for receive, transmit, expected in (
                ({"state": "broken"}, {}, "broke a rule"),
                ({}, {"state": "broken"}, "transmit queue 0: broke a rule"),
                ({"state": "stopped"}, {}, "is stopped, though a driver runs"),
                ({"available": False}, {}, "receive queue 0: is empty"),
                ({}, {"available": True, "kick_wanted": False}, "asked not to kick, and nobody looks"),
                ({}, {"available": True}, "the driver has not kicked"),
                ({}, {"available": True, "held": True}, "wait for their receiver")):
            self.first(expected, vcpu(**HALTED, timer_us=1), ports=[port(receive, transmit)])
        for transmit in ({"polled": True, "kick_wanted": False}, {"lazy": True, "kick_wanted": False}):
            self.assertEqual(reasons(vcpu(**HALTED, timer_us=1),
                                     ports=[port({}, {"available": True, **transmit})]), [])
        self.first("no driver", vcpu(**HALTED, timer_us=1), ports=[port(driver=False)])
        self.first("link is down", vcpu(**HALTED, timer_us=1), ports=[port(link=False)])
        self.first("follows the uplinks of switch lan", vcpu(**HALTED, timer_us=1), ports=[port(uplinks_away=True)])
        found = reasons(vcpu(**HALTED), ports=[port({"available": False}, {"state": "broken"})])
        self.assertIn("broke a rule", found[0])     # of several, the cause first

    def test_moving_queue(self):
        made = answers(vcpu(**HALTED, timer_us=1), ports=[port({}, {"available": True})])
        made[-1]["ports"][0]["queues"][1]["next"] = 8
        self.assertEqual(why.diagnose(made)["reasons"], [])


class Machine:
    """whose clock goes on by so many us a call, and whose vCPU answers when it is told to"""

    def __init__(self, answers_at, step):
        self.calls, self.answers_at, self.step = 0, answers_at, step

    def call(self, method, vm):
        assert (method, vm) == ("see.why", "v")
        self.calls += 1
        told = answers(vcpu())[0]
        told["now_us"] = self.calls * self.step
        told["vcpus"][0]["look_us"] = told["now_us"] - self.step // 2 if self.answers_at(self.calls) else 1
        return told


class Look(unittest.TestCase):
    def setUp(self):
        why.LOOK_SECONDS = 0.001

    def test_waits_for_answers(self):
        machine = Machine(lambda n: n % 3 == 0, 1000)
        told = why.look(machine, "v")
        self.assertEqual(len(told), why.LOOKS + 1)
        self.assertEqual(machine.calls, 3 * why.LOOKS)

    def test_gives_up(self):
        for step, most in ((100_000, 40), (2_000_000, 4)):      # by the machine's clock
            machine = Machine(lambda n: False, step)
            told = why.look(machine, "v")
            self.assertLess(machine.calls, most)
            self.assertEqual(len(told), 2)
            self.assertIn("does not come out", why.diagnose(told)["reasons"][0])


if __name__ == "__main__":
    unittest.main()
