# SPDX-License-Identifier: BSD-2-Clause
"""`lasthop why`: what a VM does, vCPU by vCPU and queue by queue, and the likely reason if it hangs. The machine
tells what is (see.why); what that means is found out here, from a few looks one after the other."""
import textwrap
import time

LOOKS = 3
LOOK_SECONDS = 0.15
ANSWER_US = 3_000_000           # of the machine's time, in which a vCPU has to answer
MOST_SECONDS = 120              # of ours: an emulated machine may be slow
WINDOW = 128                    # bytes in which a loop that waits stays
SHORT_LIFE_US = 5_000_000       # of a VM that starts again and again
HOST_EXITS = {"interrupt", "deadline", "window", "pause", "none"}   # not of the guest's own doing, or waiting
PAUSE, JUMP_HERE = "f390", "ebfe"
WIDTH = 80
SYMBOL = 32                     # characters of a name that are shown


def look(machine, vm):
    """answers, the oldest first: after the first, each has a fresh copy of all vCPUs that answered"""
    answers = [machine.call("see.why", vm=vm)]
    for _ in range(LOOKS):
        asked = answers[-1]["now_us"]
        give_up, told, missing = time.monotonic() + MOST_SECONDS, answers[-1], True
        while missing and told["now_us"] - asked < ANSWER_US and time.monotonic() < give_up:
            time.sleep(LOOK_SECONDS)
            told = machine.call("see.why", vm=vm)
            missing = any(v["state"] != "off" and v.get("look_us", 0) < asked for v in told["vcpus"])
        answers.append(told)
        if missing:                             # who has not answered will not
            break
    return answers


def seconds(us):
    return f"{us / 1e6:.1f} s" if us < 100e6 else f"{us / 1e6:.0f} s"


def address(vcpu, looked="rip"):
    text = "0x" + vcpu[looked]
    if vcpu.get("symbol"):
        text += f" ({vcpu['symbol'][:SYMBOL]}+{vcpu['symbol_offset']:#x})"
    return text


def same_vcpu(answers, index):
    """its copies, one a look, the oldest first; what it was in an earlier life does not count"""
    found, life = [], answers[-1]["ends"]
    for told in [told for told in answers[1:] or answers if told["ends"] == life]:
        for v in told["vcpus"]:
            if v["index"] == index and "rip" in v and (not found or v["look_us"] != found[-1]["look_us"]):
                found.append(v)
    return found


def spins(copies):
    """how a vCPU waits in a loop, or "": it stays in a few bytes and leaves them for nothing of its own"""
    if len(copies) < 2 or any(v["halted"] for v in copies):
        return ""
    places = [int(v["rip"], 16) for v in copies]
    if max(places) - min(places) > WINDOW:
        return ""
    since = copies[-1]["exits_total"] - copies[0]["exits_total"]
    own = [e["kind"] for e in copies[-1]["exits"][:since] if e["kind"] not in HOST_EXITS]
    if own:
        return ""
    code = "".join(v["before"] + v["code"] for v in copies)
    pauses = any(e["kind"] == "pause" for e in copies[-1]["exits"][:since])
    if pauses or PAUSE in code:
        return "spins in a PAUSE loop"
    return "spins in place" if JUMP_HERE in code else "spins in a loop"


def of_vcpu(answers, index, asked):
    """(what it does, what is wrong with it or "") of the newest look"""
    newest = next(v for v in answers[-1]["vcpus"] if v["index"] == index)
    copies = same_vcpu(answers, index)
    if newest["state"] == "off":
        return "off", "it has stopped"
    if not copies or newest.get("look_us", 0) < asked:
        return newest["state"], ("its CPU does not come out of the guest, or waits for something: a fault of "
                                 "the hypervisor" if newest["state"] == "running" else
                                 "it waits for its CPU, which is busy with others")
    v = copies[-1]
    if v["sipi_awaited"]:
        return "waits for a SIPI", "never started: no other vCPU has sent it INIT and SIPI"
    how = spins(copies)
    if how and not v["interrupts_on"]:
        waits = f", while interrupt {v['irq']} waits" if "irq" in v else ""
        return "spins, interrupts off", f"{how} at {address(v)} with interrupts off{waits}"
    if how:
        return "spins", f"{how} at {address(v)}: waits for something in memory that does not come"
    if all(c["halted"] for c in copies) and newest["state"] == "blocked":
        return halted(v)
    return "runs", ""


def halted(v):
    if not v["interrupts_on"]:
        return "halted, interrupts off", \
            f"halted with interrupts off at {address(v)}: only an NMI or INIT can wake it"
    if "irq" in v and v["can_take"]:
        return "halted", f"interrupt {v['irq']} waits, but it was not woken: a fault of the hypervisor"
    if "timer_us" in v:
        return f"sleeps, timer in {seconds(v['timer_us'])}", ""
    return "sleeps without a timer", ""


def of_queue(port, now, before):
    """what is wrong with a queue; before: the same in the look before"""
    name = f"{port['port']}, {now['queue']} queue {now['pair']}"
    if now["state"] == "broken":
        return f"{name}: broke a rule and was stopped: its driver must reset the device (the log says which rule)"
    if now["state"] == "stopped":
        return f"{name}: is stopped, though a driver runs" if port["driver"] and now["pair"] == 0 else ""
    if now["queue"] == "receive":
        return "" if now["available"] else \
            f"{name}: is empty: the guest gives no buffers, and what is sent to it is dropped"
    stuck = now["available"] and before and before.get("next") == now["next"]
    if stuck and now["held"]:
        return f"{name}: its packets wait for their receiver to run (policy preemptive-copy is off)"
    if stuck and not (now["kick_wanted"] or now["polled"] or now["lazy"]):
        return (f"{name}: packets wait, the driver was asked not to kick, and nobody looks: a fault of the "
                "hypervisor")
    if stuck and now["kick_wanted"]:
        return f"{name}: packets wait, and the driver has not kicked"
    return ""


def of_port(port, before):
    if not port["driver"]:
        return [f"{port['port']}: no driver of the guest uses it"]
    found = [] if port["link"] else [f"{port['port']}: its link is down: `lasthop port {port['port']} up`"]
    if port["uplinks_away"]:
        found.append(f"{port['port']}: its link follows the uplinks of switch {port['switch']}, and none is up")
    old = before["queues"] if before else []
    for i, queue in enumerate(port["queues"]):
        said = of_queue(port, queue, old[i] if i < len(old) else None)
        if said:
            found.append(said)
    return found


def of_life(told):
    """what its ends say"""
    past = told["past"]
    if not past:
        return []
    last = past[0]
    reason = last["reason"] or last["end"]
    if len(past) > 1 and all(p["lived_us"] < SHORT_LIFE_US for p in past) and \
            last["ago_us"] < 2 * SHORT_LIFE_US and len({p["reason"] or p["end"] for p in past[:2]}) == 1:
        return [f"it ends again and again, {told['ends']} times by now, each time after less than "
                f"{seconds(max(p['lived_us'] for p in past) + 50000)}: {reason}"]
    if told["state"] == "off":
        return [f"it does not run: it ended {seconds(last['ago_us'])} ago ({last['end']}"
                + (f": {last['reason']}" if last["reason"] else "") + ")"]
    return []


def diagnose(answers):
    """{state, vcpus: [{index, does, wrong}], reasons: the likely ones, the first most}"""
    told, before = answers[-1], answers[-2] if len(answers) > 1 else None
    asked = answers[-2]["now_us"] if len(answers) > 1 else 0
    vcpus = []
    for v in told["vcpus"]:
        does, wrong = of_vcpu(answers, v["index"], asked)
        vcpus.append({"index": v["index"], "does": does, "wrong": wrong})
    reasons = of_life(told)
    if told["state"] == "off" and not reasons:
        reasons.append("it does not run: `lasthop vm start` starts it")
    if told["state"] == "waiting":
        reasons.insert(0, "it cannot be made again, for lack of memory or of its device (the log says why), and is tried "
                          f"until it can: `lasthop vm start {told['vm']}` tries at once")
    if told["state"] == "paused":
        reasons.append(f"it was paused by the user: `lasthop vm resume {told['vm']}`")
    else:
        started = [v for v in vcpus if v["does"] != "waits for a SIPI"]
        reasons += [f"vCPU {v['index']}: {v['wrong']}" for v in started if v["wrong"]]
        old = {p["port"]: p for p in before["ports"]} if before else {}
        of_ports = [said for port in told["ports"] for said in of_port(port, old.get(port["port"]))]
        reasons += sorted(of_ports, key=lambda said: "broke a rule" not in said)
        reasons += [f"vCPU {v['index']}: {v['wrong']}" for v in vcpus if v not in started]
        if started and all(v["does"] == "sleeps without a timer" for v in started):
            reasons.append("all its vCPUs sleep without a timer: it waits for a device's interrupt")
    return {"state": told["state"], "vcpus": vcpus, "reasons": reasons}


def exits_text(exits):
    """the last ones, alike ones in a row together, the newest first"""
    runs = []
    for e in exits:
        detail = "" if e["detail"] == "0" or e["kind"] in ("hypercall",) else f" {e['detail']}"
        text = e["kind"] + detail
        if runs and runs[-1][0] == text:
            runs[-1][1] += 1
        else:
            runs.append([text, 1])
    return ", ".join(text + (f" x{n}" if n > 1 else "") for text, n in runs)


def wrapped(begin, words):
    """as many of the words, which commas part, in a line as fit"""
    kept = begin + words.replace(", ", ",\0").replace(" ", "\xa0").replace("\0", " ")
    indent = " " * (len(begin) if len(begin) < WIDTH // 3 else 4)
    lines = textwrap.wrap(kept, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return [line.replace("\xa0", " ") for line in lines or [begin]]


def render(answers, found):
    told = answers[-1]
    lines = wrapped(f"{told['vm']}: ", told["state"] + (f" for {seconds(told['up_us'])}" if "up_us" in told else "")
                    + f", kernel {told['kernel']}, ended {told['ends']} times")
    for p in told["past"]:
        lines += textwrap.wrap(f"  {seconds(p['ago_us'])} ago, after {seconds(p['lived_us'])}: {p['end']}"
                               + (f": {p['reason']}" if p["reason"] else ""), WIDTH, subsequent_indent="    ")
    for v, judged in zip(told["vcpus"], found["vcpus"]):
        lines.append(f"vCPU {v['index']}: {judged['does']} (state {v['state']}"
                     + (f", CPU {v['cpu']}" if "cpu" in v else "") + f"), {v['wakeups']} wake-ups")
        if "rip" not in v:
            continue
        lines += wrapped("  at ", f"{address(v)}, {'64-bit' if v['bits64'] else 'not 64-bit'}, CPL {v['cpl']}, "
                         f"interrupts {'on' if v['interrupts_on'] else 'off'}"
                         + (f", interrupt {v['irq']} waits" if "irq" in v else ""))
        lines.append(f"  code {v['code'] or 'cannot be read'}")
        lines += wrapped(f"  last of {v['exits_total']} exits: ", exits_text(v["exits"]))
    for port in told["ports"]:
        lines += wrapped(f"{port['port']}: ", f"switch {port['switch']}, link {'up' if port['link'] and not port['uplinks_away'] else 'down'}, "
                         f"driver {'runs' if port['driver'] else 'does not run'}")
        for q in port["queues"]:
            if q["state"] != "running":
                lines.append(f"  {q['queue']} {q['pair']}: {q['state']}")
                continue
            flags = [name for name in ("kick_wanted", "interrupt_wanted", "interrupt_owed", "lazy", "polled",
                                       "held") if q[name]]
            lines += wrapped(f"  {q['queue']} {q['pair']}: ",
                             f"size {q['size']}, avail {q['avail']}, next {q['next']}, used {q['used']}"
                             + "".join(", " + f.replace("_", " ") for f in flags))
    lines.append("")
    if not found["reasons"]:
        lines.append("nothing is wrong as far as can be seen")
    for i, reason in enumerate(found["reasons"]):
        lines += [("likely: " if i == 0 else "also:   ") + reason]
    return lines
