# SPDX-License-Identifier: BSD-2-Clause
"""Boot tests of APIC virtualisation on VT-x, by a core of their own (core_apicv): the faults of
Bochs that show with it only (scripts/bochs-errata.py, 3 and 4)."""
from cases import BACKEND, HELLO, Case

FACTS = ["host interrupts make a guest exit that has its own off",
         "a pending virtual interrupt waits as long as IF = 0", "it arrives once after STI",
         "notifications without a request bring nothing", "a posted interrupt arrives once",
         "none of them made the guest exit"]

CASES_APICV = [
    # the core takes no notice of the config, so its VM is never started
    Case("bochs-apicv", "bochs", HELLO, cpus=2, backend=BACKEND["bochs"], ends={"hello": "running"},
         efi="test/apicv.EFI", must=[rf"\] PASS apicv: {fact}$" for fact in FACTS],
         must_not=[r"\] (FAIL|SKIP) apicv: "]),
]
