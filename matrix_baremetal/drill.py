"""A drill: what a backup holds is loaded beside what runs, counted, and taken away again. Nothing that runs changes.

To read a backup whole shows that it is what was written; only to load it shows that a server would come of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from matrix_baremetal import backup, components, federation, restore
from matrix_baremetal.components.homeserver_yaml import CREDENTIALS
from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources.store import Copy
from matrix_baremetal.restore import Held
from matrix_baremetal.session import Session
from matrix_baremetal.shell import Failed
from matrix_baremetal.transfer import Transfer

MB = 1024 * 1024
KEY = CREDENTIALS["signing_key"]


@dataclass(frozen=True)
class Drilled:
    """What came back: numbers of the loaded database, and the id of the signing key."""

    users: int
    rooms: int
    tables: int
    schema: str
    key: str

    @property
    def row(self) -> dict[str, Any]:
        """As it is noted and printed."""
        return asdict(self)


def space(now: Session, held: Held) -> tuple[int, int]:
    """Bytes that a drill takes for a while, and those that are free. Raises `Error` where it does not fit."""
    rows, declared = held.manifest["stores"], components.data(now.site).stores
    for name in rows:
        # What a drill that was killed has left takes the room that this one needs.
        declared[name].copy.scratch.discard(now.host)
    need = sum(int(store["size"]) for store in rows.values())
    free = now.host.space("/var/lib").size
    if free < need * 1.2 + backup.SPARE:
        raise Error(
            f"a drill loads the database once more, which takes {need // MB} MB, and {backup.SPARE // MB} MB have to "
            f"stay free; /var/lib has {free // MB} MB",
            hint="make room, or drill on another machine: matrix-baremetal restore FILE",
        )
    return need, free


def fitting(now: Session, held: Held) -> None:
    """Hold that it is a backup of this server, whose rows can be loaded here. Raises `Error`."""
    name, declared = now.site.config.server_name, components.data(now.site).stores
    if held.manifest["server_name"] != name:
        message = f"{held.path} is of {held.manifest['server_name']}, and this machine is {name}"
        raise Error(message, hint="matrix-baremetal backup list")
    for store, rows in held.manifest["stores"].items():
        kind = declared[store].kind if store in declared else "nothing of that name"
        if rows.get("kind") != kind:
            message = f"{held.path} has a {store} of {rows.get('kind')}, and this machine has {kind}"
            raise Error(message, hint="take a newer backup: matrix-baremetal backup list")


def key(held: Held) -> str:
    """The id of the signing key in a backup, which has to be what its table of contents says. Raises `Error`."""
    try:
        id, public = federation.public_key(held.files.get(KEY, b"").decode("utf-8", "replace"))
    except federation.Unsound:
        raise Error(
            f"{held.path} has no signing key that can be used", hint="matrix-baremetal backup create"
        ) from None
    # Backups of the first releases don't say which it was.
    if held.manifest.get("key", f"{id} {public}") != f"{id} {public}":
        message = f"{held.path} has the signing key {id}, and its table of contents says {held.manifest['key']}"
        raise Error(message, hint="matrix-baremetal backup create")
    return id


def run(now: Session, held: Held, transfer: Transfer) -> Drilled:
    """Load it, count, and take it away again, also where something fails. Raises `Error`."""
    id, counts = key(held), dict[str, int]()
    expected: dict[str, str] = {}
    with held.streams(now.host, held.manifest["stores"]) as streams:
        for name, pieces in streams:
            scratch = components.data(now.site).stores[name].copy.scratch
            with taken_away(now.host, scratch, name, transfer):
                load(now.host, scratch, held, name, pieces, transfer)
                if name == "database":
                    expected = held.manifest["stores"][name]["counted"]
                    counts = scratch.numbers(now.host)
    return Drilled(
        counts.get("users", 0), counts.get("rooms", 0), int(expected.get("tables", 0)), expected.get("schema", ""), id
    )


def load(host: Host, scratch: Copy, held: Held, name: str, pieces: Iterator[bytes], transfer: Transfer) -> None:
    """The rows of a backup into a second store, which has to have what was counted when it was made."""
    transfer.begin(f"load {name} beside the one that runs")
    try:
        with host.run.writing(*scratch.begin(host)) as into:
            transfer.carry(pieces, into)
    except Failed as error:
        message = f"{name} of {held.path} can't be loaded: {error.message}"
        raise Error(message, hint="matrix-baremetal backup create; df -h") from None
    scratch.finish(host, "", held.manifest["stores"][name]["counted"])
    transfer.end()


@contextlib.contextmanager
def taken_away(host: Host, scratch: Copy, name: str, transfer: Transfer) -> Iterator[None]:
    """Whatever happens, no second store stays; what a kill leaves goes with the next drill."""
    scratch.discard(host)
    try:
        yield
    except BaseException:
        with contextlib.suppress(Error):
            scratch.discard(host)
        raise
    transfer.begin(f"take {name} away again")
    scratch.discard(host)
    transfer.end()


def begin(host: Host, path: str, identity: str | None, transfer: Transfer) -> Held:
    """Read it whole, as a restore does first. Raises `Damaged`."""
    return restore.read(host, path, identity, transfer)
