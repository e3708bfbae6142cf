"""image: what all machines share goes into an image ahead; what makes each its own is kept out of it."""

from __future__ import annotations

import time
from argparse import Namespace
from dataclasses import asdict, replace
from pathlib import Path

from matrix_baremetal import facts, image, preflight, report, versions
from matrix_baremetal.components.synapse import ahead
from matrix_baremetal.converge import Change, compared, made
from matrix_baremetal.errors import DIFFERS, Error
from matrix_baremetal.host import Host
from matrix_baremetal.lock import locked
from matrix_baremetal.manifest import Manifest
from matrix_baremetal.progress import Progress, telling


def run(args: Namespace) -> int:
    """Do what `image ACTION` says."""
    host = Host(Path(args.root))
    return prepare(host, args) if args.action == "prepare" else check(host, args)


def prepare(host: Host, args: Namespace) -> int:
    """Make what no config says anything about. Nothing secret, and no note of it: the first install finds it."""
    began = time.monotonic()
    # systemd need not run: an image may be made in a chroot.
    preflight.refuse([*preflight.system(host)])
    with locked(host, "image prepare", wait=args.wait), telling(json=args.json, quiet=args.quiet) as progress:
        changes = bring(host, args.wheelhouse, progress)
    seconds = round(time.monotonic() - began, 1)
    if args.json:
        report.document({"changes": [report.row(change) for change in changes], "seconds": seconds})
    elif not args.quiet:
        print(f"\nWhat every homeserver needs is here{f', after {seconds:.0f} s' if changes else ' already'}.")
        print("Next: clear away what made this machine its own, then: matrix-baremetal image check")
    return 0


def bring(host: Host, wheelhouse: str | None, progress: Progress) -> list[Change]:
    """Make what is missing."""
    changes = []
    for wanted in ahead(versions.read(), facts.python(host), wheelhouse):
        found = wanted.find(host)
        if found != wanted:
            change = compared(wanted, found, Manifest())
            progress.tell(replace(change, outcome="begun"))
            changes.append(progress.tell(made(wanted, found, change, host, Manifest())))
    return changes


def check(host: Host, args: Namespace) -> int:
    """List what machines from this image would have in common and must not; 3 where there is anything."""
    if not host.superuser:
        # What can't be read would count as clean.
        raise Error("image check reads what only root may read", hint="sudo matrix-baremetal image check")
    found = [*image.left(host)]
    if args.json:
        report.document({"left": [asdict(each) for each in found]})
    elif found:
        print("This is no image yet: machines made from it would share\n")
        for each in found:
            more = f" and {len(each.paths) - 1} more" if each.paths[1:] else ""
            print(report.wrapped(f"  {each.what}: {each.paths[0]}{more}\n      {each.next}", 6))
    elif not args.quiet:
        print("Nothing secret and no identity is in here: this can be an image.")
    return DIFFERS if found else 0
