"""rollback: Synapse back to the version that the last upgrade came from."""

from __future__ import annotations

from argparse import Namespace

from matrix_baremetal import log, preflight, release, session, upgrade
from matrix_baremetal.commands import upgrade as command
from matrix_baremetal.errors import Error
from matrix_baremetal.session import Session
from matrix_baremetal.signals import stoppable
from matrix_baremetal.upgrade import Patience
from matrix_baremetal.versions import numbers


def run(args: Namespace) -> int:
    """Do it, and say how it ended."""
    return command.brought(args, "rollback", back, Patience())


def back(now: Session, args: Namespace, tell: command.Telling, patience: Patience) -> str:
    """The version before, with the database as it is now; what has come since the upgrade stays."""
    note = release.read(now.host)
    if note.trial:
        command.unfinished(now, note.trial, tell, patience)
        upgrade.thin(now)
        return ""
    then = before(now, note.before)
    preflight.refuse(
        [*preflight.databases(then.site, then.needs, now.host), *upgrade.room(now.host, note.before or "")]
    )
    minimum = now.site.versions.synapse.minimum
    if numbers(upgrade.version(then)) < numbers(minimum):
        log.warn(
            f"all before {minimum} have known, serious holes: stay with {upgrade.version(then)} no longer than needed"
        )
    with stoppable() as stop:
        upgrade.prepare(now, then, tell)
        stop.heed()
        upgrade.bring(now, then, tell, None, patience)
    upgrade.forgotten(now.host)
    upgrade.thin(then)
    return ""


def before(now: Session, version: str | None) -> Session:
    """A session with the version before. Raises `Error` where there is none, or nobody has its lock any more."""
    if version is None:
        raise Error(
            f"there is nothing to go back to: no upgrade led to Synapse {upgrade.version(now)}, or it was undone",
            hint="matrix-baremetal upgrade --check; another version: matrix-baremetal upgrade --to VERSION",
        )
    then = session.at(now, version)
    if upgrade.version(then) != version:
        raise Error(
            f"the virtualenv of Synapse {version} is gone, and this release has no lock of it to make it anew",
            hint="matrix-baremetal upgrade --check",
        )
    return then
