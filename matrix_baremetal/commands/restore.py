"""restore: make this machine the server that a backup holds."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from pathlib import Path

from matrix_baremetal import config, log, preflight, release, report, restore, session, versions
from matrix_baremetal.commands import apply
from matrix_baremetal.commands.backup import stamp
from matrix_baremetal.commands.init import Unanswered
from matrix_baremetal.errors import DIFFERS, Error
from matrix_baremetal.host import Host
from matrix_baremetal.lock import locked
from matrix_baremetal.restore import Held
from matrix_baremetal.session import Session
from matrix_baremetal.transfer import Transfer

ONE = (
    "the machine that this server was on must not run it any more: two with one name and one key break its rooms "
    "for good (there: systemctl disable --now matrix-baremetal.target matrix-synapse)"
)


def run(args: Namespace) -> int:
    """Read all of it, look at this machine, then bring it back and converge; 3 while a certificate is pending."""
    began = time.monotonic()
    host = Host(Path(args.root))
    if not host.live:
        raise Error(
            "restore works on a machine that runs, and --root names a folder", hint="matrix-baremetal restore"
        )
    preflight.check_machine(host)
    transfer = Transfer(quiet=args.quiet or args.json)
    with locked(host, "restore", wait=args.wait):
        held = restore.read(host, os.path.abspath(args.file), args.identity, transfer)
        now = session.of(host, held.config, args.wheelhouse)
        found = preflight.unready(now.site, now.needs, host, now.manifest)
        preflight.refuse([*restore.obstacles(now, held), *found])
        agreed(now, held, args)
        kept = restore.begun(host, held)
        with report.progress(json=args.json, quiet=args.quiet) as progress:
            for change in restore.foundation(now):
                progress.tell(change)
        # Where Postgres came just now, there is a cluster to speak with.
        restore.bring(session.of(host, held.config, args.wheelhouse), held, kept, transfer)
        release.restored(host, versions.read(), held.manifest.get("synapse", ""))
        now = session.begin(args.root, config.DEFAULT, args.wheelhouse)
        changes = apply.bring(now, json=args.json, quiet=args.quiet)
        left = restore.end(now, kept)
    pending = [change for change in changes if change.outcome == "pending"]
    if args.json:
        rows = {"server_name": held.config.server_name, "made": held.manifest["made"], "kept": left}
        report.document({**rows, "pending": [{"what": c.title, "reason": c.reason} for c in pending]})
    elif not args.quiet:
        told(held, left, time.monotonic() - began)
    return DIFFERS if pending else 0


def agreed(now: Session, held: Held, args: Namespace) -> None:
    """Say what is about to happen; ask where data is here already. Raises `Unanswered`."""
    log.warn(ONE)
    if not restore.occupied(now) or args.yes:
        return
    what = f"{now.site.config.server_name} is on this machine already, with its accounts and messages"
    if not sys.stdin.isatty():
        raise Unanswered(f"{what}; they would be set aside", hint=f"matrix-baremetal restore --yes {held.path}")
    made = stamp(held.manifest["made"])
    answer = input(f"{what}.\nThey are set aside, and it goes back to {made}. Type yes to go on: ")
    if answer.strip().lower() != "yes":
        raise Unanswered("nothing was changed", hint="type yes, or say --yes")


def told(held: Held, left: list[str], seconds: float) -> None:
    """How it ended, and what is still to be done by a person."""
    name = held.config.server_name
    print(f"\n{name} is back as it was at {stamp(held.manifest['made'])}, after {seconds:.0f} s.")
    for where in left:
        print(f"What was here before is kept. When you are sure that you don't need it: {where}")
    print("If this machine has another address than the old one, change the DNS: matrix-baremetal show dns")
    print("Then look at it as others see it: matrix-baremetal doctor")
