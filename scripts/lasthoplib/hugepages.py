# SPDX-License-Identifier: BSD-2-Clause
"""Huge pages of 2 MiB for the time of a benchmark: as many as it needs, given back afterwards."""
import contextlib
import os
import subprocess
import tempfile
from pathlib import Path

from .console import Failure

COUNT = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
FREE = COUNT.with_name("free_hugepages")


def missing(wanted):
    """the sentence for the user, or None"""
    if os.geteuid() != 0:
        return "huge pages are reserved by root only: call it as root"
    if not COUNT.exists():
        return "this kernel has no huge pages of 2 MiB"
    return None


@contextlib.contextmanager
def reserved(wanted):
    """a folder with a hugetlbfs of so many free pages"""
    problem = missing(wanted)
    if problem:
        raise Failure(problem)
    before = int(COUNT.read_text())
    with tempfile.TemporaryDirectory(prefix="lasthop-huge-") as folder:
        try:
            COUNT.write_text(str(before + max(0, wanted - int(FREE.read_text()))))
            if int(FREE.read_text()) < wanted:
                raise Failure(f"{wanted} huge pages of 2 MiB wanted, {FREE.read_text().strip()} to be had: "
                              "free some memory")
            if subprocess.run(["mount", "-t", "hugetlbfs", "none", folder]).returncode:
                raise Failure("hugetlbfs cannot be mounted here")
            try:
                yield folder
            finally:
                subprocess.run(["umount", "-l", folder], check=False)
        finally:
            COUNT.write_text(str(before))
