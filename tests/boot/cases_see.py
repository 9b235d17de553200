# SPDX-License-Identifier: BSD-2-Clause
"""Cases of looking inside: top, capture, trace, metrics and why, at a machine with VMs that measure, and at VMs that
hang, each in its own way."""
import json
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from cases import Case
from configs import Vm, config, ends, pair
from lasthoplib import channel, paths

LASTHOP = paths.SOURCE / "scripts" / "lasthop"
SECONDS = 200                   # a verb, at most
BACKEND = {"tcg": "svm", "bochs": "vmx"}
PARSERS = "/usr/lib/python3/dist-packages"


def verb(line, *words):
    """(exit status, stdout, stderr) of scripts/lasthop"""
    done = subprocess.run([sys.executable, str(LASTHOP), *words, "--line", line.second],
                          capture_output=True, text=True, timeout=SECONDS, check=False)
    return done.returncode, done.stdout, done.stderr


def stop_all(line, *names):
    with channel.connect(line.second) as machine:
        for name in names:
            machine.call("vm.stop", vm=name)


# --- a VM that measures ---

def fields(file, *names):
    """a row a packet, as tshark reads it"""
    told = subprocess.run(["tshark", "-r", file, "-T", "fields", "-E", "separator=|",
                           *(word for name in names for word in ("-e", name))],
                          capture_output=True, text=True, check=False)
    return [row.split("|") for row in told.stdout.splitlines()], told.stderr


def counters(line, port):
    with channel.connect(line.second) as machine:
        return {c["name"]: c["value"] for c in machine.call("stat.list", port=port)["counters"]}


def capture(line, check):
    """all that a port counts between a capture's begin and end is in it, or counted as lost; the pair is paused
    around, and for good, so that nothing passes between a counter and the capture, and the receiver all the time, so
    that packets are dropped"""
    file = str(Path(line.second).with_suffix(".pcapng"))
    with channel.connect(line.second) as machine:
        for name in ("source1", "sink1"):
            machine.call("vm.pause", vm=name)
        before = counters(line, "source1/net0")
        runs = subprocess.Popen([sys.executable, str(LASTHOP), "capture", "source1/net0", file, "--snap", "60",
                                 "--ring-kib", "256", "--json", file + ".json", "--line", line.second],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        while not Path(file).exists() or not Path(file).stat().st_size:
            if runs.poll() is not None:
                break
        machine.call("vm.resume", vm="source1")
        sent = counters(line, "source1/net0")["tx_drop_receiver"]
        while runs.poll() is None and counters(line, "source1/net0")["tx_drop_receiver"] < sent + 100:
            pass
        whole = runs.poll() is None
        machine.call("vm.pause", vm="source1")
        runs.send_signal(signal.SIGINT)
        said = runs.communicate(timeout=SECONDS)[0]
        after = counters(line, "source1/net0")
    check(runs.returncode == 0 and whole, f"capture ends with {runs.returncode}: {said.strip()}")
    made = json.loads(Path(file + ".json").read_text())
    rows, wrong = fields(file, "frame.packet_flags_direction", "frame.comment", "eth.src")
    counted = sum(after[name] - before[name] for name in after
                  if name in ("tx_packets", "rx_packets") or name.startswith("rx_drop"))
    dropped = sum(after[name] - before[name] for name in after if "x_drop" in name)
    check(len(rows) == made["packets"] > 0, f"tshark reads {len(rows)} of {made['packets']} packets {wrong}")
    check(made["packets"] + made["lost"] == counted,
          f"{made['packets']} captured, {made['lost']} lost; the port has counted {counted}")
    inbound = [row[2] for row in rows if int(row[0], 0) == 1]
    outbound = [row[2] for row in rows if int(row[0], 0) == 2]     # few, so that all of them may be lost
    check(set(inbound) == {"52:54:00:00:02:01"} and set(outbound) <= {"52:54:00:00:01:01"} and
          len(inbound) + len(outbound) == len(rows), f"{len(inbound)} packets come from the VM, {len(outbound)} go to it")
    reasons = {row[1] for row in rows if row[1]}
    told = sum(bool(row[1]) for row in rows)
    check(told == made["dropped"] > 0 and (made["lost"] or told == dropped) and
          reasons == {"dropped: receiver has no free buffer"},
          f"{told} dropped packets with a reason, of {dropped}: {', '.join(reasons)}")


def stream(line, check):
    """to stdout, for tcpdump: requests and responses take turns"""
    tcpdump = subprocess.Popen(["tcpdump", "-n", "-r", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    done = subprocess.run([sys.executable, str(LASTHOP), "capture", "source2/net0", "--count", "20", "--line",
                           line.second], stdout=tcpdump.stdin, stderr=subprocess.PIPE, text=True,
                          timeout=SECONDS, check=False)
    read = tcpdump.communicate()[0]
    senders = [len(re.findall(rf" IP 10\.0\.2\.{host}\.", read)) for host in (1, 2)]
    check(done.returncode == 0 and sum(senders) == 20 and min(senders) > 5,
          f"tcpdump reads {senders} packets from a pipe: {done.stderr.strip()}")


def top(line, check):
    status, out, err = verb(line, "top", "--count", "2", "--interval", "0.5", "--press", "ab")
    wide = [row for row in out.splitlines() if len(row) > 80]
    check(status == 0 and not wide and re.search(r"^source1/net0 +\d", out, re.M) and
          re.search(r"^sink1 +running ", out, re.M) and "[a] batching off" in out,
          f"top: {status}, {err.strip()}, too wide: {wide}" if status or wide else "top shows the pair")
    with channel.connect(line.second) as machine:
        values = {p["policy"]: p["value"] for p in machine.call("policy.list")["policies"]}
        check(values["batching"] == "off" and values["preemptive-copy"] == "off",
              f"keys have switched {values}")
        for name in ("batching", "preemptive-copy"):
            machine.call("policy.set", policy=name, value="on")


def metrics(line, check):
    status, out, err = verb(line, "metrics")
    sys.path.append(PARSERS)
    from prometheus_client.openmetrics import parser      # pylint: disable=import-outside-toplevel
    found = {(s.name, tuple(sorted(s.labels.items()))): s.value
             for family in parser.text_string_to_metric_families(out) for s in family.samples}
    sent = found.get(("lasthop_port_tx_packets_total", (("port", "source1/net0"), ("switch", "lan"))), 0)
    check(status == 0 and sent > 0 and found.get(("lasthop_vm_up", (("vm", "sink1"),))) == 1,
          f"metrics: {len(found)} samples, source1 has sent {sent:.0f} packets {err.strip()}")


def trace(line, check):
    before = counters(line, "source1/net0")
    with channel.connect(line.second) as machine:
        machine.call("vm.pause", vm="source1")
    before = counters(line, "source1/net0")
    for dst, says in (("525400000101", "delivered: copied"), ("525400000201", "drop same port"),
                      ("ffffffffffff", "flooded")):
        status, out, err = verb(line, "trace", "source1/net0", dst + "525400000201" + "0800" + "00" * 46)
        check(status == 0 and f"verdict   {says}" in out, f"trace to {dst}: {(out + err).splitlines()[-1:]}")
    check("is known behind source1/net0" in out, "the running switch knows the address")
    status, out, err = verb(line, "trace", "nobody/net0", "00" * 14)
    check(status == 1 and 'no port "nobody/net0"' in err, f"trace: {err.strip()}")
    check(counters(line, "source1/net0") == before, "traces count nothing")
    with channel.connect(line.second) as machine:
        machine.call("vm.resume", vm="source1")


def seen(line, check):
    line.wait_all(r"source1: started")
    for look in (top, metrics, trace, capture):
        look(line, check)
    with channel.connect(line.second) as machine:
        for name in ("sink2", "source2"):
            machine.call("vm.start", vm=name)
    stream(line, check)
    stop_all(line, "sink1", "source1", "sink2", "source2")


# --- VMs that hang ---

HANGS = {
    "pause": (1, (), "spins in a PAUSE loop at 0x[0-9a-f]+ (hang_in_pause+0x"),
    "dark": (1, (), "spins in place at 0x[0-9a-f]+ (hang_in_the_dark+0x[0-9a-f]+) with interrupts off"),
    "halt": (2, (), "halted with interrupts off at 0x[0-9a-f]+ (hang_halted+0x"),
    "deaf": (1, ("lan",), "receive queue 0: is empty"),
    "flood": (1, ("lan",), "sleep without a timer"),
    "broken": (1, ("far",), "transmit queue 0: broke a rule"),
    "again": (1, (), "ends again and again"),
}


def why(line, check, name, wanted):
    status, out, err = verb(line, "why", name)
    likely = re.search("^likely: (.*)$", out, re.M)
    pattern = re.sub(r"([()+])", r"\\\1", wanted).replace(r"[0-9a-f]\+", "[0-9a-f]+")
    check(status == 0 and likely and re.search(pattern, likely[1]),
          f"why {name}: {likely[1] if likely else out[-300:] + err.strip()}")
    return out


def hang(names):
    def talk(line, check):
        line.wait_all(*(rf"^{name}\| hang: {name}$" for name in names))
        with channel.connect(line.second) as machine:
            before = {vm["name"]: vm["exits"] for vm in machine.call("see.sample")["vms"]}
            for name in names:
                out = why(line, check, name, HANGS[name][2])
                if name == "halt":
                    check("vCPU 1: never started" in out, "why halt: vCPU 1 was never started")
            machine.call("vm.pause", vm=names[0])
            why(line, check, names[0], "paused by the user")
            check(before and all(vm["runs"] or vm["name"] == "again"
                                 for vm in machine.call("see.sample")["vms"]), "all of them hang on")
        status, _, err = verb(line, "why", "nobody")
        check(status == 1 and 'there is no VM "nobody"' in err, f"why: {err.strip()}")
        for name in names:
            with channel.connect(line.second) as machine:
                for _ in range(50):             # who resets itself may just be between two lives
                    try:
                        machine.call("vm.stop", vm=name)
                        break
                    except channel.Refused:
                        pass
    return talk


def hang_vms(names):
    return [Vm(name, "hang.elf", f"how={name}", HANGS[name][1], cpus=HANGS[name][0]) for name in names]


def see_case(name, on, vms, talk, **more):
    return Case(f"{on}-see-{name}", on, config(*vms), cpus=2, backend=BACKEND[on], talk=talk, second_line=True,
                ends=ends(vms, **{vm.name: "stopped" for vm in vms}), **more)



def later(vms):
    """the same, not started at boot"""
    return [replace(vm, more=[*vm.more, 'status = "disabled";']) for vm in vms]


QUICK, ON_BOCHS = ("halt", "broken", "pause"), ("dark", "halt", "broken")
CASES_SEE = [
    see_case("inside", "tcg", pair(tests="tests=stream:64 packets=4000000000") +
             later(pair(2, tests="tests=rr:64 transactions=1000000")), seen),
    see_case("why", "tcg", hang_vms(QUICK), hang(QUICK)),
    see_case("why-all", "tcg", hang_vms(HANGS), hang(tuple(HANGS))),
    see_case("why", "bochs", hang_vms(ON_BOCHS), hang(ON_BOCHS)),
]
