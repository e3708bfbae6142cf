"""restore: make this machine the server that a backup holds."""

from __future__ import annotations

import os
import shlex
import time
from argparse import Namespace
from pathlib import Path

from matrix_baremetal import config, log, preflight, release, report, restore, session, versions
from matrix_baremetal.commands import apply, asking
from matrix_baremetal.commands.backup import stamp
from matrix_baremetal.converge import Change, still_pending
from matrix_baremetal.errors import DIFFERS, Error
from matrix_baremetal.host import Host
from matrix_baremetal.lock import locked
from matrix_baremetal.progress import telling
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
    host = running(args, "restore")
    transfer = Transfer(quiet=args.quiet or args.json)
    with locked(host, "restore", wait=args.wait):
        held = restore.read(host, os.path.abspath(args.file), args.identity, transfer)
        now = session.of(host, held.config, args.wheelhouse, held.in_files)
        found = preflight.unready(now.site, now.needs, host, now.manifest)
        preflight.refuse([*restore.obstacles(now, held), *found])
        log.warn(ONE)
        agreed(
            now,
            again(held),
            f"it goes back to {stamp(held.manifest['made'])}",
            args,
        )
        changes, left = brought(host, held, args, transfer)
    pending = still_pending(changes)
    if args.json:
        rows = {"server_name": held.config.server_name, "made": held.manifest["made"], "kept": left}
        report.document({**rows, "pending": [{"what": c.title, "reason": c.reason} for c in pending]})
    elif not args.quiet:
        told(held, left, time.monotonic() - began)
        report.waiting(pending)
    return DIFFERS if pending else 0


def again(held: Held) -> str:
    """The same command for where nobody can be asked."""
    key = ("--identity", held.identity) if held.identity else ()
    return shlex.join(("matrix-baremetal", "restore", "--yes", *key, held.path))


def running(args: Namespace, name: str) -> Host:
    """The machine, which has to run and to be one that we work on."""
    host = Host(Path(args.root))
    if not host.live:
        raise Error(
            f"{name} works on a machine that runs, and --root names a folder", hint=f"matrix-baremetal {name} --help"
        )
    preflight.check_machine(host)
    return host


def brought(host: Host, held: Held, args: Namespace, transfer: Transfer) -> tuple[list[Change], list[str]]:
    """Bring it here and converge; the changes, and with which commands goes what was here before."""
    kept = restore.begun(host, held)
    with telling(json=args.json, quiet=args.quiet) as progress:
        for change in restore.foundation(session.of(host, held.config, args.wheelhouse, held.in_files)):
            progress.tell(change)
    # Where Postgres came just now, there is a cluster to speak with.
    restore.bring(session.of(host, held.config, args.wheelhouse, held.in_files), held, kept, transfer)
    release.restored(host, versions.read(), held.manifest.get("synapse", ""))
    now = session.begin(args.root, config.DEFAULT, args.wheelhouse)
    changes = apply.bring(now, json=args.json, quiet=args.quiet)
    return changes, restore.end(now, kept)


def agreed(now: Session, yes: str, then: str, args: Namespace) -> None:
    """Ask where data is here already that is about to be set aside. Raises `Unanswered`."""
    if not restore.occupied(now) or args.yes:
        return
    what = f"{now.site.config.server_name} is on this machine already, with its accounts and messages"
    question = f"{what}.\nThey are set aside, and {then}. {asking.GO_ON}"
    asking.agreed(question, f"{what}; they would be set aside", yes)


def told(held: Held, left: list[str], seconds: float) -> None:
    """How it ended, and what is still to be done by a person."""
    name = held.config.server_name
    print(f"\n{name} is back as it was at {stamp(held.manifest['made'])}, after {seconds:.0f} s.")
    for where in left:
        print(f"What was here before is kept. When you are sure that you don't need it: {where}")
    print("If this machine has another address than the old one, change the DNS: matrix-baremetal show dns")
    print("Then look at it as others see it: matrix-baremetal doctor")
