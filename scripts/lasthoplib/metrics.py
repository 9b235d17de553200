# SPDX-License-Identifier: BSD-2-Clause
"""`lasthop metrics`: all counters of a running machine as OpenMetrics 1.0 text. Names, units and help are the
machine's own (see.tables). Readers of Prometheus's older format (node_exporter's, of files) take it as well: they know
no other types than counter and gauge, and no escaped quotation mark in HELP."""

UNITS = ("packets", "bytes", "pages")           # others, such as "events", are none


def escaped(text):
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


class Text:
    """metric families, each told once with all of its samples"""

    def __init__(self):
        self.lines = []

    def family(self, name, kind, about, unit="", samples=()):
        """samples: [({label: value}, number)]; nothing is told of a family without one"""
        if not samples:
            return
        name = f"lasthop_{name}"
        if unit and not name.endswith("_" + unit):
            name += "_" + unit
        self.lines.append(f"# TYPE {name} {kind}")
        if unit:
            self.lines.append(f"# UNIT {name} {unit}")
        about = about.replace('"', "'")
        self.lines.append(f"# HELP {name} {escaped(about)}")
        suffix = "_total" if kind == "counter" else ""
        for labels, value in samples:
            text = ",".join(f'{k}="{escaped(str(v))}"' for k, v in labels.items())
            self.lines.append(f"{name}{suffix}{'{' + text + '}' if text else ''} {value}")

    def done(self):
        return "\n".join([*self.lines, "# EOF"]) + "\n"


def seconds(us):
    return f"{us // 1000000}.{us % 1000000:06d}"


def of_machine(text, tables, sample):
    text.family("cpus", "gauge", "CPUs of the machine.", samples=[({}, sample["cpus"])])
    text.family("uptime", "gauge", "Time since the machine's start.", "seconds",
                [({}, seconds(sample["time_us"]))])
    text.family("cpu", "counter", "Time of all CPUs, by what it went into.", "seconds",
                [({"kind": kind}, seconds(us)) for kind, us in zip(tables["times"], sample["cpu_us"])])
    text.family("iommu_faults", "counter", "DMA and interrupts of the PCI device that the IOMMU has blocked and recorded.",
                samples=[({"device": device["device"]}, device["faults"]) for device in sample["iommu_faults"]])
    words = [(p["name"], value) for p, value in zip(tables["policies"], sample["policies"])]
    text.family("policy_word", "gauge", "Policies of the switches that are words: 1 with the word.", samples=[
        ({"policy": name, "value": value}, 1) for name, value in words if isinstance(value, str)])
    text.family("policy_number", "gauge", "Policies of the switches that are numbers.", samples=[
        ({"policy": name}, value) for name, value in words if not isinstance(value, str)])


def of_vms(text, tables, vms):
    text.family("vm_up", "gauge", "Whether the VM runs.",
                samples=[({"vm": vm["name"]}, int(vm["runs"])) for vm in vms])
    text.family("vm_vcpus", "gauge", "Virtual CPUs of the VM.",
                samples=[({"vm": vm["name"]}, vm["vcpus"]) for vm in vms])
    alive = [vm for vm in vms if vm["runs"]]
    text.family("vm_cpu", "counter", "CPU time of the VM's vCPUs since its start.", "seconds",
                [({"vm": vm["name"]}, seconds(vm["run_us"])) for vm in alive])
    text.family("vm_wakeups", "counter", "Times that a vCPU of the VM was woken since its start.",
                samples=[({"vm": vm["name"]}, vm["wakeups"]) for vm in alive])
    causes = "; ".join(f"{name}: {about}" for name, about in tables["exits"])
    text.family("vm_exits", "counter", f"VM exits of the VM since its start, by cause. {causes}.",
                samples=[({"vm": vm["name"], "cause": name}, number) for vm in alive
                         for (name, _), number in zip(tables["exits"], vm["exits"])])


def of_ports(text, tables, ports):
    labels = [{"port": port["name"], "switch": port["switch"]} for port in ports]
    text.family("port_up", "gauge", "Whether the guest sees the port's link up.",
                samples=[(label, int(port["link"] and not port["uplinks_away"])) for label, port in zip(labels, ports)])
    for i, (name, unit, of_class, about) in enumerate(tables["counters"]):
        text.family("port_" + name, "counter", f"{about[0].upper()}{about[1:]} ({of_class}).",
                    unit if unit in UNITS else "",
                    [(label, port["counters"][i]) for label, port in zip(labels, ports)])


def render(tables, sample):
    text = Text()
    of_machine(text, tables, sample)
    of_vms(text, tables, sample["vms"])
    of_ports(text, tables, sample["ports"])
    return text.done()
