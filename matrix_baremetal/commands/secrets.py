"""secrets: what there are, and a new one in place of one that somebody saw. None is ever printed."""

from __future__ import annotations

import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from matrix_baremetal import report, session
from matrix_baremetal.commands import apply, asking
from matrix_baremetal.converge import plan
from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.lock import locked
from matrix_baremetal.resources.files import Secret
from matrix_baremetal.session import Session

LIST = "matrix-baremetal secrets list"


def run(args: Namespace) -> int:
    """Do what `secrets ACTION` says."""
    if args.action == "list":
        listed(session.begin(args.root, args.config), json=args.json)
        return 0
    host = Host(Path(args.root))
    if not host.live or not host.superuser:
        raise Error("secrets are renewed on a machine that runs, by root", hint=f"sudo {LIST}")
    with locked(host, "secrets rotate", wait=args.wait):
        now = session.begin(args.root, args.config, args.wheelhouse)
        secret = asked_for(now, args.name)
        still(now)
        if not args.yes:
            agreed(secret)
        secret.renew(host)
        changes = apply.bring(now, json=args.json, quiet=args.quiet)
    if args.json:
        report.document({"name": args.name, "changes": [report.row(change) for change in changes]})
    elif not args.quiet:
        print(f"\n{args.name} is another now. Backups from before hold the old one.")
    return 0


def listed(now: Session, *, json: bool) -> None:
    """What there are: since when, what for, and what another one would end."""
    made = {
        name: int(now.host.path(secret.path).stat().st_mtime) if now.host.node(secret.path) else None
        for name, secret in declared(now).items()
    }
    if json:
        report.document({"secrets": [row(name, secret, made[name]) for name, secret in declared(now).items()]})
        return
    for name, secret in declared(now).items():
        day = made[name]
        since = "not made yet" if day is None else f"made {time.strftime('%Y-%m-%d', time.localtime(day))}"
        ends = f"A new one would end {secret.breaks}." if secret.breaks else "It has to stay as it is."
        print(report.wrapped(f"{name}, {since}\n  It {secret.use}. {ends}", 2))


def row(name: str, secret: Secret, made: int | None) -> dict[str, Any]:
    """A secret as JSON has it."""
    return {"name": name, "path": secret.path, "made": made, "use": secret.use, "breaks": secret.breaks}


def declared(now: Session) -> dict[str, Secret]:
    """The secrets that this site has, by name."""
    return {r.short: r for r in now.resources if isinstance(r, Secret)}


def asked_for(now: Session, name: str) -> Secret:
    """The secret of a name. Raises `Error` where there is none, or where none may take its place."""
    there = declared(now)
    if (secret := there.get(name)) is None:
        raise Error(f"there is no secret {name}", hint=LIST)
    if secret.breaks is None:
        raise Error(
            f"{secret.path} has to stay as it is: it {secret.use}, and they would take this one for another",
            hint="Synapse's config manual, old_signing_keys, says how to follow it with another",
        )
    if now.host.node(secret.path) is None:
        raise Error(f"{secret.path} is not there yet", hint="matrix-baremetal apply")
    return secret


def still(now: Session) -> None:
    """Hold that nothing else would change: who renews a secret means that alone."""
    if any(plan(now.resources, now.host, now.manifest)):
        raise Error("this machine is not as its config says", hint="matrix-baremetal plan")


def agreed(secret: Secret) -> None:
    """Ask a person, told what ends. Raises `Unanswered`."""
    name = secret.short
    told = f"A new {name} ends {secret.breaks}. Synapse is restarted with it, which takes a moment."
    asking.agreed(
        f"{report.wrapped(told)}\n{asking.GO_ON}",
        f"nobody is here to say whether {name} may go",
        f"matrix-baremetal secrets rotate {name} --yes",
    )
