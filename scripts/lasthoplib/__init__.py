# SPDX-License-Identifier: BSD-2-Clause
"""The host side of lasthop: configs, disk images, test beds, results. Python's library only."""
