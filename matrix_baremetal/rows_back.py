"""The rows of the backup that an upgrade made just before, where the new Synapse has changed the database for good.

They come back by themselves only where nothing is lost by it, as nothing was written since. Otherwise that is a
person's decision.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from matrix_baremetal import encryption, log, release, restore
from matrix_baremetal.components.component import STATE
from matrix_baremetal.components.homeserver_yaml import USER
from matrix_baremetal.components.synapse import UNIT
from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources import schema
from matrix_baremetal.resources.store import Rows
from matrix_baremetal.session import Session
from matrix_baremetal.transfer import Transfer

# That the homeserver stands still for an upgrade's backup, for the next run where this one is killed.
NOTE = f"{STATE}/upgrade.json"


def written(now: Session) -> Rows:
    """How far messages, messages between devices, devices, logins, accounts and uploads have come."""
    return now.site.store(USER).rows(now.host, WRITTEN)


@contextlib.contextmanager
def still(now: Session, then: Session, transfer: Transfer) -> Iterator[None]:
    """While the backup is made: where the new Synapse will leave no way back but that, nobody writes meanwhile.

    Where it is left by an error, the old one runs again.
    """
    host = now.host
    old, new = (f"{release.OPT}/{each.site.versions.synapse.version}/bin/python" for each in (now, then))
    if schema.demanded(host, new) <= schema.understood(host, old):
        yield
        return
    host.mkdir(STATE, 0o755)
    host.write(NOTE, '{"stopped": true}\n', 0o600)
    transfer.begin(f"stop {UNIT}: Synapse {then.site.versions.synapse.version} changes the database for good")
    host.run("systemctl", "stop", UNIT, timeout=300)
    transfer.end()
    try:
        yield
    except BaseException:
        host.run("systemctl", "start", UNIT, ok=range(256), timeout=300)
        host.remove(NOTE)
        raise


def cut_off(host: Host) -> bool:
    """Whether a run before was killed while nobody could write."""
    return host.node(NOTE) is not None


def bring(now: Session, saved: str | None, before: Rows, transfer: Transfer) -> bool:
    """Put the rows of a backup in the place of those that are here, if nothing was written since `before`, when there
    was at least as much as there is in the backup. Whether they are.

    Cut off, the next run finds either the old rows or the new ones, whole.
    """
    host = now.host
    sealed = saved is not None and saved.endswith(tuple(encryption.ENDINGS.values()))
    if saved is None or sealed or host.node(saved) is None or not before or written(now) != before:
        return False
    host.run("systemctl", "stop", UNIT, timeout=300)
    if written(now) != before:
        host.run("systemctl", "start", UNIT, ok=range(256), timeout=300)
        return False
    try:
        put(now, saved, transfer)
    except Error as error:
        # On a disk that is full, say. Then a person has to decide, as where somebody has written.
        log.warn(f"the rows of {saved} could not be brought back: {error.message}")
        host.run("systemctl", "start", UNIT, ok=range(256), timeout=300)
        return False
    return True


def put(now: Session, saved: str, transfer: Transfer) -> None:
    """What a restore does, of the rows alone: config, keys and media have not changed. Raises `Error`."""
    host = now.host
    found = restore.read(host, saved, None, transfer)
    held = replace(found, files={}, manifest={**found.manifest, "links": {}, "trees": {}})
    kept = restore.begun(host, held)
    restore.bring(now, held, kept, transfer)
    for way in restore.end(now, kept):
        transfer.say(f"  What the new one made of the rows is kept. When you don't need it: {way}")


def refused(new: str, old: str, saved: str | None, error: Error) -> Error:
    """That a person has to decide, and between what."""
    return Error(
        f"Synapse {new} is not well, and has changed the database so that {old} can't use it: {error.message}",
        hint=f"matrix-baremetal restore {saved or 'FILE'} brings back the rows and Synapse {old}; what was written "
        "since is lost by it",
    )


# Nothing of it goes down but by a person's wish; one row, and each number is had from an index.
WRITTEN = """SELECT (SELECT coalesce(max(stream_ordering), 0) FROM events),
(SELECT coalesce(max(stream_id), 0) FROM device_inbox), (SELECT coalesce(max(stream_id), 0) FROM device_lists_stream),
(SELECT coalesce(max(id), 0) FROM access_tokens), (SELECT count(*) FROM users),
(SELECT count(*) FROM local_media_repository);"""
