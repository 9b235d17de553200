# SPDX-License-Identifier: BSD-2-Clause
"""`lasthop top`: what a running machine does, each second, in 80 columns; keys switch its policies."""
import curses
import os
import select
import sys
import time

from .console import Failure, count, plain

WIDTH = 80
BATCHES = (("1", "batches_1"), ("2-7", "batches_2_7"), ("8-31", "batches_8_31"), ("32-64", "batches_32_64"))
KEYS = "abcdefghijklmnoprstuvwxyz"              # one a policy; q leaves
BAR = 20


def rate(number):
    """in at most 6 characters"""
    if number < 0:
        number = 0
    for unit in ("", "k", "M", "G", "T", "P", "E"):
        if number < 9999.5 or unit == "E":
            break
        number /= 1000
    if unit == "" or number >= 99.95:
        return f"{number:.0f}{unit}"
    return f"{number:.1f}{unit}"


def span(seconds):
    """in at most 6 characters"""
    for unit, size in (("s", 1), ("min", 60), ("h", 3600)):
        if seconds < (10000 if unit == "s" else 100) * size:
            return f"{seconds // size} {unit}"
    return f"{seconds // 86400} d"


def fitted(name, room):
    """names that are too long are often told apart by their ends"""
    return name if len(name) <= room else name[:room // 2 - 1] + ".." + name[-(room - room // 2 - 1):]


def percent(part, whole):
    return f"{100 * part / whole:.0f} %" if whole > 0 else "-"


class Change:
    """what happened between two samples, a second"""

    def __init__(self, tables, before, after):
        self.tables, self.after = tables, after
        self.seconds = max(1e-6, (after["time_us"] - before["time_us"]) / 1e6)
        self.names = [row[0] for row in tables["counters"]]
        self.cpu = {kind: new - old for kind, new, old in
                    zip(tables["times"], after["cpu_us"], before["cpu_us"])}
        old = {port["name"]: port["counters"] for port in before["ports"]}
        self.ports = [(port, self._rates(port["counters"], old.get(port["name"])))
                      for port in after["ports"]]
        old = {vm["name"]: vm for vm in before["vms"]}
        self.vms = [(vm, self._of_vm(vm, old.get(vm["name"]))) for vm in after["vms"]]
        self.sum = {name: sum(rates[name] for _, rates in self.ports) for name in self.names}

    def _less(self, new, old):
        """of counters that begin anew with their VM"""
        return [n - o for n, o in zip(new, old)] if old and all(n >= o for n, o in zip(new, old)) else new

    def _rates(self, new, old):
        return {name: n / self.seconds for name, n in zip(self.names, self._less(new, old))}

    def _of_vm(self, new, old):
        again = not old or old.get("started_us") != new.get("started_us")
        cpu = new["run_us"] - (0 if again else old["run_us"])
        exits = self._less(new["exits"], None if again else old["exits"])
        return {"cpu": cpu / 1e6 / self.seconds,
                "exits": {row[0]: n / self.seconds for row, n in zip(self.tables["exits"], exits)}}

    def drops(self, rates, kind=""):
        return sum(rates[name] for name in self.names
                   if name.startswith(kind + "tx_drop") or name.startswith(kind + "rx_drop"))


def head(change):
    all_us = sum(change.cpu.values())
    shares = "  ".join(f"{kind} {percent(change.cpu[kind], all_us)}"
                       for kind in ("idle", "poll", "guest", "driver", "root") if kind in change.cpu)
    return [f"up {span(change.after['time_us'] // 1000000)}  {count(change.after['cpus'], 'CPU')}: {shares}"]


def of_ports(change, most):
    lines = [f"{'PORT':<27} {'SENT/s':>7} {'Gbit/s':>6} {'RECV/s':>7} {'Gbit/s':>6} {'DROP/s':>6} "
             f"{'KICK/s':>6} {'SAVED':>6}"]
    for port, r in change.ports[:most]:
        kicks = r["kicks"] + r["kicks_saved"]
        name = fitted(port["name"], 27) if port["link"] and not port["uplinks_away"] else f"{fitted(port['name'], 20)} (down)"
        lines.append(f"{name:<27} {rate(r['tx_packets']):>7} {r['tx_bytes'] * 8e-9:>6.2f} "
                     f"{rate(r['rx_packets']):>7} {r['rx_bytes'] * 8e-9:>6.2f} "
                     f"{rate(change.drops(r)):>6} {rate(r['kicks']):>6} "
                     f"{percent(r['kicks_saved'], kicks):>6}")
    if len(change.ports) > most:
        lines.append(f"... {len(change.ports) - most} more ports")
    return lines


def of_vms(change, most):
    lines = [f"{'VM':<20} {'STATE':<8} {'CPU':>6} {'EXIT/s':>6}  BY CAUSE, EACH SECOND"]
    for vm, told in change.vms[:most]:
        state = "off" if not vm["runs"] else "paused" if vm["paused"] else "running"
        causes = sorted((item for item in told["exits"].items() if item[1] >= 0.5), key=lambda x: -x[1])
        text = "  ".join(f"{name} {rate(n)}" for name, n in causes)
        room = WIDTH - 45
        if len(text) > room:
            text = text[:room + 1].rsplit("  ", 1)[0]
        lines.append(f"{fitted(vm['name'], 20):<20} {state:<8} {100 * told['cpu']:>4.0f} % "
                     f"{rate(sum(told['exits'].values())):>6}  {text}".rstrip())
    if len(change.vms) > most:
        lines.append(f"... {len(change.vms) - most} more VMs")
    return lines


def of_batches(change):
    s = change.sum
    lines = [f"batches {rate(s['batches'])}/s, {percent(s['batches_offloaded'], s['batches'])} by idle CPUs, "
             f"{rate(s['batches_held'])}/s held; packets in each:"]
    for text, name in BATCHES:
        share = s[name] / s["batches"] if s["batches"] else 0
        lines.append(f"  {text:>5} {'#' * round(BAR * share):<{BAR}} {percent(s[name], s['batches']):>5}")
    all_kicks = s["kicks"] + s["kicks_saved"]
    lines.append(f"kicks {rate(s['kicks'])}/s, saved {rate(s['kicks_saved'])}/s "
                 f"({percent(s['kicks_saved'], all_kicks)} of all)")
    lines.append(f"interrupts to receivers: blocked {rate(s['interrupts_blocked'])}/s, runnable "
                 f"{rate(s['interrupts_runnable'])}/s, running {rate(s['interrupts_running'])}/s;")
    lines.append(f"  to senders {rate(s['interrupts_tx'])}/s; saved {rate(s['interrupts_saved'])}/s")
    return lines


def of_policies(tables, values):
    """[key] name value, as many in a row as fit"""
    lines, line = [], ""
    for key, policy, value in zip(KEYS, tables["policies"], values):
        cell = f"[{key}] {policy['name']} {value}"
        if line and len(line) + 2 + len(cell) > WIDTH:
            lines.append(line)
            line = cell
        else:
            line += ("  " if line else "") + cell
    return [*lines, line] if line else lines


def screen(tables, before, after, rows=None):
    """the lines of one picture, 80 columns wide; rows: so many at most"""
    change = Change(tables, before, after)
    rest = [*of_batches(change), "", *of_policies(tables, after["policies"])]
    room = 1000 if rows is None else max(2, rows - len(rest) - 7)
    ports = min(len(change.ports), max(1, room - min(len(change.vms), room // 2)))
    lines = [*head(change), "", *of_ports(change, ports), "", *of_vms(change, max(1, room - ports)), "", *rest]
    return [plain(line)[:WIDTH] for line in lines][:rows]


def next_value(policy, value):
    """what a key makes of it: the next word, or twice the number, and behind the largest the least"""
    if "words" in policy:
        words = policy["words"]
        return words[(words.index(value) + 1) % len(words)]
    return policy["least"] if value >= policy["most"] else min(2 * value, policy["most"])


class Machine:
    """samples of a machine, and the policies that keys change"""

    def __init__(self, channel):
        self.channel = channel
        self.tables = channel.call("see.tables")
        self.sample = channel.call("see.sample")

    def next(self):
        """the lines of a picture of what was since the last one"""
        before, self.sample = self.sample, self.channel.call("see.sample")
        return lambda rows=None: screen(self.tables, before, self.sample, rows)

    def press(self, key):
        """what it did; None: nothing"""
        at = KEYS.find(key) if key else -1
        if not 0 <= at < len(self.tables["policies"]):
            return None
        policy = self.tables["policies"][at]
        value = str(next_value(policy, self.sample["policies"][at]))
        self.channel.call("policy.set", policy=policy["name"], value=value)
        self.sample = {**self.sample, "policies": [
            (value if "words" in policy else int(value)) if i == at else old
            for i, old in enumerate(self.sample["policies"])]}
        return f"{policy['name']} is {value}"


def draw(window, lines, note):
    height, width = window.getmaxyx()
    window.erase()
    for row, line in enumerate([*lines[:height - 1], note][:height]):
        room = width - (row == height - 1)              # the very last cell cannot be written
        window.addnstr(row, 0, line, room, curses.A_REVERSE if row == len(lines[:height - 1]) else 0)
    window.refresh()


def prepare():
    """what not every terminal can, and none needs"""
    for wanted in (curses.use_default_colors, lambda: curses.curs_set(0)):
        try:
            wanted()
        except curses.error:
            pass


def hung_up():
    """nobody is at the terminal any more, which says at once that there is no key, and for ever"""
    poll = select.poll()
    poll.register(sys.stdin, 0)
    return bool(poll.poll(0))


def interact(window, machine, interval):
    prepare()
    note, picture, due = "q leaves; a key in [ ] changes its policy", None, time.monotonic()
    while True:
        if time.monotonic() >= due:
            picture, due = machine.next(), time.monotonic() + interval
        draw(window, picture(window.getmaxyx()[0] - 1), note)
        window.timeout(max(1, round(1000 * (due - time.monotonic()))))
        key = window.getch()
        if key == ord("q") or key < 0 and hung_up():
            return
        if key == curses.KEY_RESIZE or key < 0 or key > 127:
            continue
        try:
            note = machine.press(chr(key)) or note
            due = min(due, time.monotonic() + 0.2)
        except Failure as failure:
            note = plain(str(failure))


def batch(machine, interval, pictures, stream, press=""):
    """pictures one below the other; press: keys, one before each"""
    for i in range(pictures):
        if i < len(press):
            said = machine.press(press[i])
            print(said or f"{press[i]}: no such key", file=stream)
        time.sleep(interval)
        print("\n".join(machine.next()()), file=stream, flush=True)
        if i + 1 < pictures:
            print(file=stream)


def run(channel, interval=1.0, pictures=None, press=""):
    machine = Machine(channel)
    if pictures or press or not (sys.stdin.isatty() and sys.stdout.isatty()):
        batch(machine, interval, max(pictures or 1, len(press)), sys.stdout, press)
        return
    try:
        curses.wrapper(interact, machine, interval)
    except KeyboardInterrupt:
        pass
    except curses.error as problem:
        raise Failure(f"top: TERM={os.environ.get('TERM', '')}: {problem}: set TERM to the terminal's kind, or let "
                      "--count N show pictures as text") from None
