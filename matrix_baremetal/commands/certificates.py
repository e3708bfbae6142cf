"""certificates deploy, retry, rehearse: what certbot's hook and our timers run; a person needs the last at most."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

from matrix_baremetal import log, rehearsal, session
from matrix_baremetal.components import nginx, turn
from matrix_baremetal.components.component import TLS
from matrix_baremetal.converge import converge
from matrix_baremetal.errors import DIFFERS
from matrix_baremetal.host import Host
from matrix_baremetal.lock import locked
from matrix_baremetal.manifest import Manifest
from matrix_baremetal.progress import telling
from matrix_baremetal.resources import elsewhere
from matrix_baremetal.resources.certificates import Certificate
from matrix_baremetal.resources.key_pair import KeyPair
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.served import Served
from matrix_baremetal.turn_start import PAIR


def run(args: Namespace) -> int:
    """Serve what has come; with `retry`, order what is due and take up what the operator has replaced before that."""
    host = Host(Path(args.root))
    # Renewals come at any hour, and an apply may be under way: wait for it, as nobody would run the hook again.
    with locked(host, f"certificates {args.action}", wait=900):
        if args.action == "rehearse":
            return rehearsed(args)
        resources = due(args) if args.action == "retry" else ()
        with telling(json=False, quiet=args.quiet) as progress:
            for change in converge((*resources, *readers(host)), host, Manifest.read(host), whole=False):
                progress.tell(change)
    return 0


def rehearsed(args: Namespace) -> int:
    """Rehearse each renewal, and tell how it went; 3 where one would fail."""
    now = session.begin(args.root, args.config)
    found = rehearsal.rehearse(now.host, (each for each in now.resources if isinstance(each, Certificate)))
    for domain, seen in found.items():
        if seen.why:
            log.warn(f"the certificate of {domain} would not be renewed: {seen.why}")
        elif not args.quiet:
            print(f"a renewal of the certificate of {domain} would go well")
    return DIFFERS if any(seen.why for seen in found.values()) else 0


def due(args: Namespace) -> Sequence[Resource]:
    """The certificates whose time has come, the operator's own, and what is served.

    Where another web server answered a day ago, it is asked again.
    """
    now = session.begin(args.root, args.config)
    for domain in now.needs.domains():
        if elsewhere.old(now.host, domain):
            elsewhere.doubt(now.host, domain)
    ordered = [r for r in now.resources if isinstance(r, Certificate) and r.due(now.host)]
    return [r for r in now.resources if isinstance(r, KeyPair | Served) or r in ordered]


def readers(host: Host) -> Iterator[Resource]:
    """Who serves them, by what is on the disk alone: a config that was edited and not applied must not keep back a
    renewal.
    """
    yield nginx.service(host.names(TLS))
    if pair := host.target(PAIR):
        yield turn.service(pair)
