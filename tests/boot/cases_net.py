# SPDX-License-Identifier: BSD-2-Clause
"""Boot tests of virtio-net by guests that check each frame: what a sender leaves to the device
(offload.c), and which frames a device's filter lets pass (filter.c)."""
from cases import both
from configs import Vm

# what a receiver takes: messages that it must get whole, and in pieces
TAKES = {"none": (0, 24), "csum": (0, 24), "tso": (12, 12), "uso": (12, 12), "all": (24, 0)}
RINGS = ("split", "packed")


def offload(switch, ring, tx):
    """a sender, and a receiver of each kind; those take turns with the rings"""
    receivers = [Vm(f"{switch}-{takes}", "offload.elf",
                    f"role=receiver takes={takes} ring={RINGS[n % 2]}", (switch,))
                 for n, takes in enumerate(TAKES)]
    return receivers + [Vm(f"{switch}-sender", "offload.elf",
                           f"role=sender receivers={len(TAKES)} ring={ring} tx={tx}", (switch,))]


def offloaded(switch):
    return [rf"^{switch}-{takes}\| offload: 36 messages, {whole} whole, {cut} in pieces; "
            + ("0 frames summed" if takes != "none" else r"\d+ frames summed, 0 not")
            for takes, (whole, cut) in TAKES.items()]


FILTER = [Vm(role, "filter.elf", f"role={role}", ("lan",)) for role in ("receiver", "sender")]

CASES_NET = [
    *both("offload", offload("left", "split", "chain") + offload("right", "packed", "indirect"),
          cpus=2, must=offloaded("left") + offloaded("right"), must_not=[r"\| FAIL "]),
    *both("filter", FILTER, cpus=2, must_not=[r"\| FAIL "]),
]
