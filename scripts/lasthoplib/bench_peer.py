# SPDX-License-Identifier: BSD-2-Clause
"""`bench peer`: two Linux guests under lasthop, then the same under KVM with vhost-net (peer.py)."""
from . import options, peer, running
from .console import Failure

ABOUT = ("Two Linux guests under lasthop, then the same under KVM with vhost-net and a bridge, in "
         "the same emulated machine.")
render = peer.render


def arguments(parser):
    parser.add_argument("--on", choices=("tcg", "bochs"), default="tcg", help="test bed (tcg)")
    options.add_cpus(parser)
    options.add_exit_cost(parser)


def run(args, progress):
    config = peer.config(args.on)
    errors = config.check()
    if errors:
        raise Failure("bench peer: " + " ".join(errors[0].headline()))
    bed, machine = running.bed_for(args, config.vms)
    progress.say("the peer's disk images: made if there are none")
    peer.prepare(machine)
    made, good = running.boot_config(config, bed, machine, peer.LIMIT[args.on],
                                     running.Watcher(progress))
    if not good:
        raise Failure("bench peer: the guests of lasthop failed, so nothing is compared")
    progress.say("the same guests under Linux with KVM, in the same machine")
    made["compared"] = peer.compared(peer.of_ours(made["results"]), peer.measure(args.on, machine))
    return made
