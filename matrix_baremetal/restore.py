"""Bring back what a backup holds. `apply` does the rest: this puts in place only what no run could make.

Nothing is touched before the whole archive has been read and every name in it is one that a component of its own
config declares. Each step can be taken again: a database is loaded beside the present one, which is kept until the
new one has been counted, and changes place with it in one step.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from matrix_baremetal import components, config, converge, log
from matrix_baremetal.archive import Damaged, harmless
from matrix_baremetal.backup_reader import readable, summed
from matrix_baremetal.components.base import Base
from matrix_baremetal.components.component import ETC, SECRETS, STATE
from matrix_baremetal.components.homeserver_yaml import CREDENTIALS, USER
from matrix_baremetal.components.postgres import Postgres
from matrix_baremetal.components.sqlite import Sqlite
from matrix_baremetal.components.synapse import MEDIA
from matrix_baremetal.config import Config
from matrix_baremetal.data import Data, Tree
from matrix_baremetal.errors import ConfigError, Error, Obstacle
from matrix_baremetal.host import Host
from matrix_baremetal.resources.accounts import as_user
from matrix_baremetal.resources.store import Store
from matrix_baremetal.session import Session
from matrix_baremetal.shell import Failed
from matrix_baremetal.transfer import Transfer

NOTE = f"{STATE}/restore.json"
MB = 1024 * 1024
# certbot's own links, the only ones that a backup has.
LINK = re.compile(r"/etc/letsencrypt/live/(?P<name>[\w.-]+)/[a-z]+\.pem")
TARGET = re.compile(r"\.\./\.\./archive/(?P<name>[\w.-]+)/[a-z]+[0-9]+\.pem")
OWNERS = ("root", USER)


@dataclass(frozen=True)
class Held:
    """What a backup holds, read and found whole: `files` by path, of which `manifest` has mode and owner."""

    path: str
    identity: str | None
    manifest: dict[str, Any]
    files: dict[str, bytes]
    config: Config

    @property
    def mark(self) -> str:
        """The id that tells it from other backups."""
        return str(self.manifest["id"])

    @property
    def in_files(self) -> tuple[str, ...]:
        """The system users of those bridges whose rows are those of an SQLite file."""
        rows = self.manifest["stores"].items()
        return tuple(f"matrix-{n}" for n, row in rows if n.startswith("bridge-") and row["kind"] == "sqlite")

    @contextlib.contextmanager
    def streams(self, host: Host, wanted: Collection[str]) -> Iterator[Iterator[tuple[str, Iterator[bytes]]]]:
        """Those of its streams that are wanted, each by its name and in pieces, one after the other."""
        with readable(host, self.path, self.identity, hashed=False) as reader:
            found = ((path.removeprefix("streams/"), content.pieces()) for path, content in reader.walk())
            yield (row for row in found if row[0] in wanted)


def read(host: Host, path: str, identity: str | None, transfer: Transfer) -> Held:
    """Read a backup from its first byte to its last. Raises `Damaged`; nothing has been touched.

    The checksums of members are looked at where zstd has none of the whole: it tells as much of a disk or a network
    that lost something, and takes half the time.
    """
    transfer.begin("read the backup")
    files: dict[str, bytes] = {}
    with readable(host, path, identity, hashed=not summed(host, path), moved=transfer.add) as reader:
        for name, content in reader.walk():
            if name == "streams/media":
                harmless(content, MEDIA)
            elif name.startswith("files/"):
                files[name.removeprefix("files")] = content.read()
    transfer.end()
    try:
        wanted = config.decode(files.get(f"{ETC}/config.yaml", b""), f"{path}:config.yaml")
    except ConfigError as error:
        raise Damaged(f"the backup's config is none that this release understands: {error.message}") from None
    return Held(path, identity, reader.manifest, files, wanted)


def obstacles(now: Session, held: Held) -> Iterator[Obstacle]:
    """What is in the way of this backup on this machine."""
    site, manifest = now.site, held.manifest
    take_another = "take a backup that matrix-baremetal made"
    if manifest["server_name"] != held.config.server_name or not held.files.get(CREDENTIALS["signing_key"]):
        yield Obstacle(f"{held.path} does not hold together: it is of two servers, or has no key", take_another)
    declared = components.data(site)
    strange = [path for path in (*held.files, *manifest["links"]) if not within(path, declared)]
    strange += [row["name"] for row in manifest["members"] if row["mode"] & ~0o777]
    links = manifest["links"].items()
    strange += [p for p, target in links if p.startswith("/etc/letsencrypt/") and not leads_home(p, target)]
    strange += [name for name in manifest["stores"] if name not in declared.stores]
    strange += [name for name, path in manifest["trees"].items() if declared.trees.get(name, NONE).path != path]
    there = {row["name"].split("/")[1] for row in manifest["members"] if row["name"].startswith("streams/")}
    strange += there - {*manifest["stores"], *manifest["trees"]}
    if strange:
        yield Obstacle(f"{held.path} has something that no backup of this config has: {strange[0]}", take_another)
    for name, store in declared.stores.items():
        there = manifest["stores"].get(name, {})
        if there.get("kind") != store.kind:
            yield Obstacle(f"{held.path} has no {store.kind} rows, which its config names", take_another)
        elif store.kind == "postgres" and major(there["version"]) > major(store.version(now.host)):
            yield Obstacle(
                f"the backup is of Postgres {there['version']}, and this machine has {store.version(now.host)}",
                "use a machine with the same Debian or a newer one",
            )
    yield from room(now, held)


NONE = Tree("", "", ())


def major(version: str) -> int:
    """17 of 17.2."""
    return int(version.partition(".")[0])


def within(path: str, declared: Data) -> bool:
    """Whether a component declares a path, or a directory above it."""
    tops = (*declared.files, *declared.theirs)
    return not {"", ".", ".."} & set(path.split("/")[1:]) and any(f"{path}/".startswith(f"{top}/") for top in tops)


def leads_home(path: str, target: str) -> bool:
    """Whether a link is one of certbot's, to where it keeps the same certificate."""
    link, goal = LINK.fullmatch(path), TARGET.fullmatch(target)
    return bool(link and goal and link["name"] == goal["name"])


def room(now: Session, held: Held) -> Iterator[Obstacle]:
    """Whether it fits: what is in the streams, and what a database takes beyond that for its indexes."""
    if noted(now.host, held.mark):
        # It fitted as it began, and what it has brought until it was cut off is no longer free.
        return
    size = sum(row["size"] for row in held.manifest["members"])
    size += sum(int(store["size"]) for store in held.manifest["stores"].values())
    free = now.host.space("/var/lib").size
    if free < size * 1.2:
        yield Obstacle(
            f"/var/lib has {free // MB} MB free, and what is in the backup takes up to {int(size * 1.2) // MB} MB",
            "make room: du -xh /var/lib | sort -h | tail",
        )


def occupied(now: Session) -> tuple[Store, ...]:
    """Where rows are already that somebody may miss."""
    return tuple(store for store in components.data(now.site).stores.values() if store.used(now.host))


def begun(host: Host, held: Held) -> str:
    """Note that this restore has begun; under which name it keeps what was there, the same after it was cut off."""
    if kept := noted(host, held.mark):
        return kept
    kept = time.strftime("before-%Y%m%dT%H%M%S")
    host.mkdir(STATE, 0o755)
    host.write(NOTE, json.dumps({"id": held.mark, "kept": kept}) + "\n", 0o600)
    return kept


def noted(host: Host, mark: str | None = None) -> str:
    """Under which name a restore that was cut off keeps what was there: that of this backup, or of any."""
    try:
        note = json.loads(host.text(NOTE) or "{}")
        return str(note["kept"]) if mark in (None, note["id"]) else ""
    except (ValueError, KeyError, TypeError):
        return ""


def foundation(now: Session) -> Iterator[converge.Change]:
    """What has to be there before there is any data: directories, users, the database's server."""
    now.manifest.server_name = now.site.config.server_name
    ground = [part for part in components.parts(now.site) if isinstance(part, Base | Postgres | Sqlite)]
    resources = [resource for part in ground for resource in part.resources(now.needs)]
    return converge.converge(resources, now.host, now.manifest, whole=False)


def bring(now: Session, held: Held, kept: str, transfer: Transfer) -> None:
    """Put everything in place; whose rows they are stand still from when the rows and the media are here."""
    host, declared = now.host, components.data(now.site)
    load(now, held, kept, transfer)
    transfer.begin("change places")
    host.run("systemctl", "stop", *declared.units, timeout=300)
    files(host, held, declared)
    for name in held.manifest["stores"]:
        copy = declared.stores[name].copy
        if not copy.taken(host, kept):
            copy.take(host, kept)
    transfer.end()


def load(now: Session, held: Held, kept: str, transfer: Transfer) -> None:
    """Rows into a second store, media to their place: nothing that is in use changes."""
    host, declared = now.host, components.data(now.site)
    stores = declared.stores
    missing = [name for name in held.manifest["stores"] if not loaded(host, stores[name], held.mark, kept)]
    # Postgres makes its indexes when it has all rows, and goes on with that beside the next stream.
    with contextlib.ExitStack() as programs:
        with held.streams(host, {*missing, *held.manifest["trees"]}) as streams:
            for name, pieces in streams:
                transfer.begin(f"bring back {name}")
                if name in declared.trees and (unit := declared.trees[name].unit):
                    host.run("systemctl", "stop", unit, timeout=300)
                into = programs.enter_context(taking(host, name, command(host, held, declared, name)))
                transfer.carry(pieces, into)
                into.close()
                transfer.end()
        transfer.begin("wait until all of it is in its place")
        with transfer.ticking():
            programs.close()
    for name in missing:
        stores[name].copy.finish(host, held.mark, held.manifest["stores"][name]["counted"])
    transfer.end()


@contextlib.contextmanager
def taking(host: Host, name: str, words: tuple[str, ...]) -> Iterator[BinaryIO]:
    """Where a program takes a stream; at the end it has done so. Raises `Error`."""
    try:
        with host.run.writing(*words) as into:
            yield into
    except Failed as error:
        raise Error(
            f"{name} can't be brought back: {error.message}",
            hint="df -h; then run the same command again; what was here before is untouched",
        ) from None


def command(host: Host, held: Held, declared: Data, name: str) -> tuple[str, ...]:
    """The program that takes a stream to its place."""
    if name not in declared.stores:
        return unpacking(host, declared.trees[name])
    return declared.stores[name].copy.begin(host, script=held.manifest["stores"][name].get("script", False))


def loaded(host: Host, store: Store, mark: str, kept: str) -> bool:
    """Whether the rows are here from a run that was cut off."""
    return store.copy.taken(host, kept) or store.copy.ready(host, mark)


def unpacking(host: Host, tree: Tree) -> tuple[str, ...]:
    """The program that reads a tree as a tar, as the user whose it is: it can harm nobody else."""
    host.mkdir(tree.path, 0o750, owner=tree.user, group=tree.user)
    return (*as_user(tree.user), "tar", "--extract", "--file=-", "--directory", str(host.path(tree.path)))


def files(host: Host, held: Held, declared: Data) -> None:
    """Config, secrets, keys and certificates; what is there and differs is kept aside. Root stands in for others."""
    rows = {row["name"].removeprefix("files"): row for row in held.manifest["members"]}
    for path, data in held.files.items():
        row, node = rows[path], host.node(path)
        if node and (path in declared.theirs or host.read(path) == data):
            continue
        above(host, path)
        host.displace(path)
        # Whom an operator has given it to may not be on this machine.
        owner, group = (name if name in OWNERS else "root" for name in (row["owner"], row["group"]))
        host.write(path, data, row["mode"], owner, group)
    for path, target in held.manifest["links"].items():
        if not leads_home(path, target):
            log.warn(f"{path} was a link to {target}, of which this backup has nothing: put it back by hand")
        elif host.target(path) != target:
            above(host, path)
            host.displace(path)
            host.link(path, target)


def above(host: Host, path: str) -> None:
    """Make the directories that a file is in; those for keys are root's alone."""
    words = path.split("/")[1:-1]
    for end in range(1, len(words) + 1):
        directory = "/" + "/".join(words[:end])
        if host.node(directory) is None:
            secret = f"{directory}/".startswith((f"{SECRETS}/", "/etc/letsencrypt/"))
            host.mkdir(directory, 0o700 if secret else 0o755)


def end(now: Session, kept: str) -> list[str]:
    """All is well: take away what nobody would miss. Where what somebody might is kept."""
    left = []
    for store in components.data(now.site).stores.values():
        store.copy.forget(now.host, kept)
        if store.copy.taken(now.host, kept):
            left.append(store.copy.kept(kept))
    now.host.remove(NOTE)
    return left
