"""A folder of Postgres's own files, as a container leaves it, made into the dump that its Postgres would have given.

The folder is only read. A copy of it is started once, by the same major release of Postgres, for nobody but us: with
none of its own configuration, on a socket in a directory that only its user may enter.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from matrix_baremetal import backup
from matrix_baremetal.components.component import STATE
from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host, said_of
from matrix_baremetal.resources.accounts import as_user
from matrix_baremetal.resources.postgres import installed
from matrix_baremetal.shell import Failed, pieces
from matrix_baremetal.transfer import Transfer

# Beside the other copies of a migration, and so they go together.
SCRATCH = f"{STATE}/migrate"
PLACE = f"{SCRATCH}/postgres"
DATA = f"{PLACE}/data"
UNIT = "matrix-baremetal-old-postgres.service"
USER = "postgres"
MB = 1024 * 1024
# Where the files are below what a container has mounted: some put them one deeper.
BELOW = ("", "/data", "/pgdata")
# In place of its own files, which may name libraries and certificates that this machine does not have.
SETTINGS = """\
listen_addresses = ''
unix_socket_directories = '{place}'
hba_file = '{place}/pg_hba.conf'
ident_file = '{place}/pg_ident.conf'
"""
FILES = {"postgresql.conf": SETTINGS, "pg_hba.conf": "local all all trust\n", "pg_ident.conf": ""}
# What of the folder would speak to the copy: settings of its own, and what it was the standby of.
THEIRS = ("postgresql.auto.conf", "standby.signal", "recovery.signal")
# A name, and nothing that says where to connect to.
NAME = re.compile(r"\w[\w.-]*")
DUMP = "make a dump where it runs, and name it by --dump"


@dataclass(frozen=True)
class Cluster:
    """Postgres's files in a folder, and the major release that made them."""

    folder: str
    major: str


def cluster(host: Host, folder: str) -> Cluster:
    """What is in a folder. Raises `Error` where that is no Postgres, still runs, or needs what is not here."""
    places = (*BELOW, *(f"/{name}/docker" for name in host.names(folder)))
    found = next((f"{folder}{place}" for place in places if host.node(f"{folder}{place}/PG_VERSION")), None)
    if found is None:
        raise Error(
            f"there are no files of Postgres in {folder}",
            hint="name the folder that its container has mounted: docker inspect CONTAINER | grep -A9 Mounts",
        )
    if host.node(f"{found}/postmaster.pid"):
        raise Error(
            f"{found}/postmaster.pid says that its Postgres runs, or did not end well",
            hint="docker stop CONTAINER; where it is gone for good: take that file out of a copy of the folder",
        )
    if host.names(f"{found}/pg_tblspc"):
        raise Error(f"it has tablespaces, and their files are not in {found}", hint=DUMP)
    major = (host.text(f"{found}/PG_VERSION") or "").strip()
    here = installed(host)
    if major not in here:
        has = " and ".join(here) or "none"
        raise Error(
            f"{found} is of Postgres {major or '?'}, and this machine has {has}", hint=f"{DUMP}; any release will do"
        )
    return Cluster(found, major)


def dumped(host: Host, folder: str, role: str, database: str, transfer: Transfer) -> str:
    """The path of a dump of a database in there; the same one again as long as the folder is the same.

    Raises `Error` where its files can't be started, or have no such database.
    """
    for name in (role, database):
        if not NAME.fullmatch(name):
            raise Error(f"{name!r} is no name that a database has or connects by", hint=DUMP)
    old = cluster(host, folder)
    told = (host.read(f"{old.folder}/global/pg_control") or b"") + database.encode()
    path = f"{SCRATCH}/{hashlib.sha256(told).hexdigest()[:16]}.dump"
    if host.node(path):
        return path
    copy(host, old, transfer)
    transfer.begin(f"dump it by Postgres {old.major}")
    with running(host, old):
        words = ("--host", str(host.path(PLACE)), "--username", role, "--dbname", database)
        write(host, f"{path}.new", (program(old, "pg_dump"), "--format=custom", "--compress=1", *words), transfer)
    host.rename(f"{path}.new", path)
    host.remove_tree(PLACE)
    transfer.end()
    return path


def copy(host: Host, old: Cluster, transfer: Transfer) -> None:
    """Copy the folder and make it safe to start. Raises `Error` where there is no room."""
    # First, as what a run that was killed has left takes the room that this one needs.
    stop(host)
    host.remove_tree(PLACE)
    size, free = backup.weight(host, old.folder), host.space(STATE).size
    if free < 2 * size + backup.SPARE:
        raise Error(
            f"{STATE} has {free // MB} MB free; a copy of {old.folder} and a dump of it may take {2 * size // MB} MB",
            hint=f"make room: du -xh {STATE} | sort -h | tail; or {DUMP}",
        )
    host.mkdir(SCRATCH, 0o711)
    host.mkdir(PLACE, 0o700, owner=USER, group=USER)
    transfer.begin(f"copy {old.folder}")
    host.run("cp", "--archive", "--no-target-directory", str(host.path(old.folder)), str(host.path(DATA)))
    host.run("chown", "--recursive", "--no-dereference", f"{USER}:{USER}", str(host.path(DATA)))
    host.run("chmod", "0700", str(host.path(DATA)))
    transfer.add(size)
    transfer.end()
    for name in THEIRS:
        host.remove(f"{DATA}/{name}")
    for name, text in FILES.items():
        host.write(f"{PLACE}/{name}", text.format(place=host.path(PLACE)), 0o600, USER, USER)


@contextlib.contextmanager
def running(host: Host, old: Cluster) -> Iterator[None]:
    """While the copy answers. A run that is killed leaves it to the next one, or to systemd some hours later."""
    place = str(host.path(PLACE))
    rows = (
        "Type=notify",
        f"User={USER}",
        "UMask=0077",
        "NoNewPrivileges=yes",
        "PrivateTmp=yes",
        "PrivateNetwork=yes",
    )
    more = ("ProtectSystem=strict", f"ReadWritePaths={place}", "RuntimeMaxSec=6h")
    words = ("systemd-run", "--quiet", "--collect", f"--unit={UNIT}", *(f"--property={row}" for row in rows + more))
    try:
        host.run(
            *words, program(old, "postgres"), "-D", str(host.path(DATA)), f"--config-file={place}/postgresql.conf"
        )
    except Failed as error:
        raise Error(
            f"a copy of {old.folder} can't be started: {error.result.last_words or error.message}",
            hint=f"journalctl -u {UNIT}; or {DUMP}",
        ) from None
    try:
        yield
    finally:
        stop(host)


def write(host: Host, path: str, words: tuple[str, ...], transfer: Transfer) -> None:
    """Write what a program prints to a file of root's. Raises `Error` with the program's own last words."""
    host.write(path, b"", 0o600)
    try:
        with said_of(path), host.run.reading(*as_user(USER), *words) as out, host.path(path).open("wb") as into:
            transfer.carry(pieces(out), into)
            into.flush()
            os.fsync(into.fileno())
    except Failed as error:
        raise Error(f"its database can't be dumped: {error.result.last_words or error.message}", hint=DUMP) from None


def stop(host: Host) -> None:
    """Stop the copy, if it runs."""
    host.run("systemctl", "stop", UNIT, ok=range(256), timeout=120)


def program(old: Cluster, name: str) -> str:
    """A program of its own release."""
    return f"/usr/lib/postgresql/{old.major}/bin/{name}"
