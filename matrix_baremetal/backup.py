"""Backups: made while the server runs, read again before they count, and only so many kept.

What goes in is what the components declare (`Component.data`); what a file looks like is in `archive`.
"""

from __future__ import annotations

import calendar
import contextlib
import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, BinaryIO

from matrix_baremetal import __version__, backup_log, components, encryption, federation
from matrix_baremetal.archive import Writer
from matrix_baremetal.components.homeserver_yaml import CREDENTIALS, USER
from matrix_baremetal.data import Data, Tree
from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host, Node, said_of
from matrix_baremetal.resources.accounts import as_user
from matrix_baremetal.session import Session
from matrix_baremetal.shell import Failed, pieces
from matrix_baremetal.transfer import Transfer

MB = 1024 * 1024
# Bytes that stay free: a disk that a backup filled would stop the database.
SPARE = 300 * MB
# Those that an upgrade makes, below the others' directory, so that those of each night are not thinned out for them.
BEFORE = "before-upgrade"


@dataclass(frozen=True)
class Backup:
    """A backup on the disk: its bytes, and when it was made (seconds since 1970)."""

    path: str
    size: int
    made: int
    encrypted: bool


def create(now: Session, directory: str, *, media: bool, transfer: Transfer, noted: bool = True) -> Backup:
    """Make one, read it again, and only then give it its name. Raises `Error`, and then leaves nothing behind.

    `noted` is one that `status` and `doctor` count as the last.
    """
    config = now.site.config
    made = int(time.time())
    name = f"{config.server_name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(made))}.tar.zst"
    place, part = f"{directory}/{name}", f"{directory}/.{name}.part"
    if now.host.node(directory) is None:
        now.host.mkdir(directory, 0o700)
    clear(now.host, directory)
    data = collected(now, media=media)
    room(now, directory, data)
    try:
        about = written(now, part, data, made, transfer)
        whole(now.host, part, transfer)
        if config.backup.encrypt_to:
            place += encryption.ENDINGS[encryption.kind(config.backup.encrypt_to)]
            sealed(now.host, part, config.backup.encrypt_to, transfer)
        now.host.rename(part, place)
    except BaseException:
        with contextlib.suppress(OSError, Error):
            clear(now.host, directory)
        raise
    done = Backup(place, now.host.path(place).stat().st_size, made, bool(config.backup.encrypt_to))
    if noted:
        backup_log.succeeded(now.host, {**asdict(done), "id": about["id"], "media": media})
    return done


def collected(now: Session, *, media: bool) -> Data:
    """What it has to hold. The config is the one that the server was made of, wherever it was read from."""
    whole = components.data(now.site)
    trees = {name: tree for name, tree in whole.trees.items() if media or name != "media"}
    return replace(whole, trees=trees)


def written(now: Session, part: str, data: Data, made: int, transfer: Transfer) -> dict[str, Any]:
    """Write the archive; what its table of contents says."""
    host, site = now.host, now.site
    with opened(host, part) as file, packed(host, file) as sink:
        writer = Writer(sink)
        links = dict(put(host, writer, data))
        rows = {}
        # Rows before media: an upload between the two is a file too many, the other way round a message whose
        # picture is gone.
        for name, store in data.stores.items():
            rows[name] = {"kind": store.kind, "version": store.version(host), "size": store.size(host)}
            rows[name]["counted"] = store.copy.counted(host)
            streamed(host, writer, name, store.copy.dump(host), transfer)
        for name, tree in data.trees.items():
            streamed(host, writer, name, packing(host, tree), transfer, ok=(0, 1))
        about = {
            "id": secrets.token_hex(8),
            "server_name": site.config.server_name,
            "made": made,
            "release": __version__,
            "debian": site.facts.release,
            "synapse": site.versions.synapse.version,
            "stores": rows,
            "trees": {name: tree.path for name, tree in data.trees.items()},
            "links": links,
            "key": signing_key(host),
        }
        writer.finish(about)
    return about


def signing_key(host: Host) -> str:
    """Which key the server signs with: its id and its public half. Nothing where there is none."""
    try:
        return " ".join(federation.public_key(host.text(CREDENTIALS["signing_key"]) or ""))
    except federation.Unsound:
        return ""


def streamed(
    host: Host, writer: Writer, name: str, command: tuple[str, ...], transfer: Transfer, ok: tuple[int, ...] = (0,)
) -> None:
    """What a program prints, into the archive."""
    transfer.begin(f"pack {name}")
    try:
        with host.run.reading(*command, ok=ok) as source:
            for size in writer.stream(name, source):
                transfer.add(size)
    except Failed as error:
        raise Error(f"{name} can't be read: {error.message}", hint="matrix-baremetal status") from None
    transfer.end()


def packing(host: Host, tree: Tree) -> tuple[str, ...]:
    """The program that prints a tree as a tar. A file that goes meanwhile (1) is one that somebody took away."""
    parts = [part for part in tree.parts if host.node(f"{tree.path}/{part}")]
    where = ("--directory", str(host.path(tree.path)))
    # Empty, it is still a tar.
    return (*as_user(tree.user), "tar", "--create", "--file=-", *where, "--files-from=/dev/null", *parts)


def put(host: Host, writer: Writer, data: Data) -> Iterator[tuple[str, str]]:
    """The files that are declared into the archive, each once: one part's may lie in a directory of another's.

    Yields certbot's links, which go into its table of contents. Of an operator's own it is what they lead to that
    counts, and a restore makes files of them; but not where a service could have put them.
    """
    for path, node in dict(below(host, (*data.files, *data.theirs))).items():
        linked = node.kind == "link"
        if linked and path.startswith(("/etc/letsencrypt/", "/var/lib/")) and path not in data.theirs:
            yield path, host.target(path) or ""
        elif linked and (found := host.read(path)) is not None:
            its = path.startswith("/etc/matrix-synapse/")
            writer.file(path, found, 0o640 if its else 0o600, "root", USER if its else "root")
        elif node.kind == "file" and (found := host.read(path)) is not None:
            writer.file(path, found, node.mode & 0o777, node.owner, node.group)


def below(host: Host, paths: Iterable[str]) -> Iterator[tuple[str, Node]]:
    """What is at these paths, and of directories all that is in them."""
    for path in paths:
        node = host.node(path)
        if node and node.kind == "directory":
            yield from below(host, (f"{path}/{name}" for name in host.names(path)))
        elif node:
            yield path, node


@contextlib.contextmanager
def opened(host: Host, path: str) -> Iterator[BinaryIO]:
    """A new file for root alone, on the disk for good when this ends. Raises `Error` where the disk takes no more."""
    with said_of(path):
        handle = os.open(host.path(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb", 0) as file:
            yield file
            os.fsync(file.fileno())


@contextlib.contextmanager
def packed(host: Host, sink: BinaryIO) -> Iterator[BinaryIO]:
    """Where what is written comes out of `sink` compressed, by all processors."""
    try:
        with host.run.writing("zstd", "-q", "-T0", "--check", "-c", sink=sink) as into:
            yield into
    except Failed as error:
        if error.result.err.rstrip().endswith("No space left on device"):
            raise Error("the disk is full, and the backup was taken away again", hint="df -h; df -i") from None
        raise


def whole(host: Host, path: str, transfer: Transfer) -> None:
    """Read what was written from the disk, against zstd's checksum of all that it was given. Raises `Error`.

    To make the members' own once more takes ten times as long, and would tell no more of the disk.
    """
    transfer.begin("read it again")
    with transfer.ticking():
        done = host.run("zstd", "--test", "-q", str(host.path(path)), ok=range(256))
    if done.status:
        raise Error(f"the disk did not keep what was written: {done.last_words}", hint="dmesg | tail; smartctl -a")
    transfer.end()


def sealed(host: Host, part: str, recipient: str, transfer: Transfer) -> None:
    """Put an encrypted one in place of one that was read: what is on the disk is held against what was written."""
    transfer.begin("encrypt it")
    sent, came = hashlib.sha256(), hashlib.sha256()
    fresh = part + "2"
    with (
        host.path(part).open("rb") as source,
        opened(host, fresh) as file,
        encryption.encrypted(host, recipient, source) as out,
    ):
        for data in pieces(out):
            file.write(data)
            sent.update(data)
            transfer.add(len(data))
    with host.path(fresh).open("rb") as again:
        for data in pieces(again):
            came.update(data)
    if sent.digest() != came.digest():
        raise Error("the disk did not keep what was written to it", hint="dmesg | tail; smartctl -a")
    host.rename(fresh, part)
    transfer.end()


def room(now: Session, directory: str, data: Data) -> None:
    """Hold that it will fit: by the last one's size where there is one, else by what it is made of.

    Raises `Error`. What is compressed takes a third of what a database does, which has indexes too.
    """
    host = now.host
    last = backup_log.read(host).get("last", {}).get("size", 0)
    trees = sum(weight(host, f"{tree.path}/{part}") for tree in data.trees.values() for part in tree.parts)
    rows = sum(store.size(host) // 3 for store in data.stores.values())
    size = max(int(last * 1.2), trees + rows) * (2 if now.site.config.backup.encrypt_to else 1)
    for store in data.stores.values():
        size += store.copy.needed(host)
    free = host.space(directory).size
    if free < size + SPARE:
        raise Error(
            f"{directory} has {free // MB} MB free; a backup may need {size // MB} MB, and {SPARE // MB} MB to spare",
            hint=f"make room, or say another place: --to DIR; see: du -xh {directory} | sort -h | tail",
        )


def weight(host: Host, path: str) -> int:
    """The bytes of the files below a directory; links are not followed."""
    size = 0
    for folder, _, names in os.walk(host.path(path)):
        for name in names:
            with contextlib.suppress(OSError):
                size += os.lstat(os.path.join(folder, name)).st_size
    return size


def there(host: Host, directory: str, server_name: str) -> list[Backup]:
    """The backups of a server in a directory, the newest first. What was cut off has another name.

    One of tomorrow was made before the clock was put right, and so before all others.
    """
    found = []
    for name in host.names(directory):
        match = re.fullmatch(rf"{re.escape(server_name)}-(\d{{8}}T\d{{6}})Z\.tar\.zst(\.age|\.gpg)?", name)
        if match:
            # A name with no such day is none of ours, and another run may take one away at any time.
            with contextlib.suppress(OSError, ValueError):
                made = calendar.timegm(time.strptime(match[1], "%Y%m%dT%H%M%S"))
                size = host.path(f"{directory}/{name}").stat().st_size
                found.append(Backup(f"{directory}/{name}", size, made, bool(match[2])))
    now = time.time()
    return sorted(found, key=lambda each: (each.made <= now, each.made), reverse=True)


def thinned(host: Host, directory: str, server_name: str, keep: int) -> list[Backup]:
    """Take away all but the newest; those that went."""
    old = there(host, directory, server_name)[keep:]
    for each in old:
        host.remove(each.path)
    return old


def clear(host: Host, directory: str) -> None:
    """Take away what was cut off."""
    for name in host.names(directory):
        if re.fullmatch(r"\..+\.tar\.zst\.part2?", name):
            host.remove(f"{directory}/{name}")
