# SPDX-License-Identifier: BSD-2-Clause
"""Tab completion, by argcomplete from the one argument parser: verbs, options and choices it finds itself; what
else an argument may be is told by its metavar, or by a function that stands as action.completer. Without
argcomplete there is none, and all else works.

In a source tree, for Bash: eval "$(register-python-argcomplete scripts/lasthop)"
"""
import argparse
import os
import signal

try:
    import argcomplete
except ImportError:
    argcomplete = None

from . import channel, dts, fdt, policies
from .console import Failure

MACHINE_SECONDS = 3             # in which a machine tells its VMs, or they are not offered


def config_of(told):
    """the config that the command line names so far; None: none, or it cannot be compiled"""
    file = getattr(told, "config", None)
    if not file or not os.path.isfile(file):
        return None
    try:
        return dts.Config(file)
    except (Failure, OSError):
        return None


def of_machine(told, method, key, name):
    """what the running machine tells, if the verb is one that speaks to it"""
    if not hasattr(told, "line"):
        return []
    signal.alarm(MACHINE_SECONDS)       # ends us, with nothing to offer
    try:
        with channel.connect(told.line) as machine:
            return [entry[name] for entry in machine.call(method)[key]]
    except (Failure, OSError, KeyError, TypeError):
        return []
    finally:
        signal.alarm(0)


def vms(parsed_args=None, **_):
    config = config_of(parsed_args)
    if config:
        return [vm.name for vm in config.vms]
    return of_machine(parsed_args, "vm.list", "vms", "vm")


def ports(parsed_args=None, **_):
    config = config_of(parsed_args)
    if config:
        return fdt.ports(config.blob or b"")
    return of_machine(parsed_args, "port.list", "ports", "port")


def config_then_port(prefix="", parsed_args=None, **_):
    """a config, which may be left out, and a port of it or of the machine: to the parser the first of the two is
    the port until there are more"""
    for name in ("config", "port"):
        file = getattr(parsed_args, name, None)
        if file:
            config = config_of(argparse.Namespace(config=file))
            return fdt.ports(config.blob or b"") if config else []
    return files(".dts", ".dtb")(prefix) + of_machine(parsed_args, "port.list", "ports", "port")


def policy_names(**_):
    return policies.names()


def policy_values(parsed_args=None, **_):
    """the words of the policy before it"""
    return policies.with_words().get(getattr(parsed_args, "policy", None), [])


def nothing(**_):
    """a number, or what nobody can guess"""
    return []


def files(*endings):
    """those that begin with what has been typed, with one of the endings if there are any, and folders; with
    "/" only folders"""
    def complete(prefix, **_):
        folder, typed = os.path.split(prefix)
        try:
            with os.scandir(os.path.expanduser(folder) or ".") as entries:
                found = [(entry.name, entry.is_dir()) for entry in entries]
        except OSError:
            return []
        return [os.path.join(folder, name) + ("/" if is_dir else "") for name, is_dir in sorted(found)
                if name.startswith(typed) and (typed or name[0] != ".")
                and (is_dir or not endings or name.endswith(endings))]
    return complete


BY_METAVAR = {"FILE": files(), "PATH": files(), "CONFIG": files(".dts", ".dtb"), "DIR": files("/"), "PORT": ports,
              "VM/NODE": ports, "VM": vms, "POLICY": policy_names, "VALUE": policy_values}


def prepare(parser):
    """gives a completer to each argument of the parser and of those below it"""
    for action in parser._actions:
        below = getattr(action, "_name_parser_map", None)
        if below is not None:
            for inner in below.values():
                prepare(inner)
        elif action.choices is None and action.nargs != 0 and not hasattr(action, "completer"):
            action.completer = BY_METAVAR.get(action.metavar, nothing)


def offer(parser):
    """answers the shell and ends, if it is what has called us"""
    if argcomplete and "_ARGCOMPLETE" in os.environ:
        prepare(parser)
        argcomplete.autocomplete(parser, always_complete_options=False)
