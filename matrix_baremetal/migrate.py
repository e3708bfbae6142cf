"""Take over an existing Synapse: another way to come by the data that a restore brings.

What it has is read from its own files and presented as a backup would be (`Taken`), so that all else is `restore`'s:
loaded beside what is here, held against what was counted, and put in place in one step. The source is only read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from matrix_baremetal import backup, config, dump
from matrix_baremetal.components.component import DATA, ETC, STATE
from matrix_baremetal.components.homeserver_yaml import CREDENTIALS, USER
from matrix_baremetal.config import Config
from matrix_baremetal.dump import Seen
from matrix_baremetal.errors import ConfigError, Error, Obstacle
from matrix_baremetal.host import DISPLACED, Host
from matrix_baremetal.resources.accounts import as_user
from matrix_baremetal.resources.sqlite_store import SqliteStore
from matrix_baremetal.restore import NOTE, Held
from matrix_baremetal.session import Session
from matrix_baremetal.shell import pieces
from matrix_baremetal.source import ETC as THEIRS
from matrix_baremetal.source import MADE_BY_US, MEDIA, Source
from matrix_baremetal.takeover import CONF_D, Takeover
from matrix_baremetal.transfer import Transfer

# Copies of what can't be read where it is; they go at the end.
SCRATCH = f"{STATE}/migrate"
# Debian's config, from when ours takes its place until all is done.
ASIDE = f"{STATE}/from-debian"
COPY = SqliteStore(f"{SCRATCH}/homeserver.db", USER)
MB = 1024 * 1024


@dataclass(frozen=True)
class Rows:
    """The rows of a source as they were found: `kind` is postgres or sqlite, `dump` the file with them, if any."""

    kind: str
    seen: Seen
    dump: str | None = None
    database: str = ""


@dataclass(frozen=True)
class Taken(Held):
    """A source as a restore wants it."""

    source: Source
    rows: Rows
    takeover: Takeover

    @contextlib.contextmanager
    def streams(self, host: Host, wanted: Collection[str]) -> Iterator[Iterator[tuple[str, Iterator[bytes]]]]:
        """Rows, then media: what was uploaded meanwhile is a file too many, and no message lacks its picture."""
        yield self._streams(host, wanted)

    def _streams(self, host: Host, wanted: Collection[str]) -> Iterator[tuple[str, Iterator[bytes]]]:
        if "database" in wanted and self.rows.dump:
            with dump.plain(host, self.rows.dump, USER) as source:
                yield "database", dump.statements(source, self.rows.database, Seen())
        elif "database" in wanted:
            with host.run.reading(*COPY.copy.dump(host)) as out:
                yield "database", pieces(out)
        if "media" in wanted:
            with host.run.reading(*packing(host, self.source.media), ok=(0, 1)) as out:
                yield "media", pieces(out)


def packing(host: Host, folder: str) -> tuple[str, ...]:
    """The program that prints the media as a tar. Root's: they belong to a user that this machine may not have."""
    parts = [part for part in MEDIA if host.node(f"{folder}/{part}")]
    where = ("--directory", str(host.path(folder))) if parts else ()
    return ("tar", "--create", "--file=-", *where, "--files-from=/dev/null", *parts)


def held(host: Host, source: Source, rows: Rows, takeover: Takeover, text: str, wanted: Config) -> Taken:
    """The source as a restore wants it; `text` is the config that is to be written, empty where there is one."""
    files = {CREDENTIALS["signing_key"]: (source.key(host) or "").encode()}
    files |= {CREDENTIALS[name]: value.encode() for name, value in source.secrets(host).items()}
    files |= {path: f"{value}\n".encode() for path, value in takeover.files.items()}
    if text:
        files[f"{ETC}/config.yaml"] = text.encode()
    members = [member(f"files{path}", len(data), group=path.startswith(CONF_D)) for path, data in files.items()]
    weight = sum(backup.weight(host, f"{source.media}/{part}") for part in MEDIA)
    # Debian's package has them where we do.
    trees = {} if source.media == f"{DATA}/media" else {"media": f"{DATA}/media"}
    members += [member(f"streams/{name}/000000", weight, group=False) for name in trees]
    store = {"kind": wanted.database, "size": rows.seen.size, "counted": rows.seen.counted, "script": bool(rows.dump)}
    # Its own statements, and so any Postgres that takes them will do.
    version = {"postgres": "0", "sqlite": "3"}[wanted.database]
    manifest: dict[str, Any] = {
        "id": mark(host, source, rows),
        "server_name": source.server_name,
        "members": members,
        "links": {},
        "trees": trees,
        "media": weight,
        "stores": {"database": {**store, "version": version}},
    }
    return Taken(source.folder, None, manifest, files, wanted, source, rows, takeover)


def member(name: str, size: int, *, group: bool) -> dict[str, Any]:
    """A row of a table of contents."""
    mode, owner = (0o640, USER) if group else (0o600, "root")
    return {"name": name, "size": size, "mode": mode, "owner": "root", "group": owner}


def mark(host: Host, source: Source, rows: Rows) -> str:
    """The same for the same source, so that a run that was cut off goes on; another for one that went on living."""
    place = host.path(rows.dump or source.file).stat()
    told = [source.folder, source.server_name, rows.seen.counted, place.st_size, place.st_mtime_ns]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def looked(host: Host, source: Source, dumped: str | None, transfer: Transfer) -> Rows:
    """Read its rows from the first to the last, to know what is there and whether it is whole. Raises `Error`."""
    if dumped is None:
        copied(host, source.file, transfer)
        return Rows("sqlite", sqlite_seen(host))
    transfer.begin(f"read {dumped}")
    size = 0
    for seen in dump.look(host, dumped, source.database, USER):
        transfer.add(seen.size - size)
        size = seen.size
    transfer.end()
    return Rows("postgres", seen, dumped, source.database)


def copied(host: Host, file: str, transfer: Transfer) -> None:
    """Copy an SQLite file with what its journal has: even to read it where it is would leave files beside it."""
    if not host.path(file).is_file():
        raise Error(
            f"its rows should be in {file}, as its config says, and there is no such file",
            hint="name the folder that has it, or put it there",
        )
    host.mkdir(SCRATCH, 0o700, owner=USER, group=USER)
    transfer.begin(f"copy {file}")
    for ending in ("-wal", ""):
        host.remove(COPY.path + ending)
        if host.node(file + ending) is None:
            continue
        target = f"of={host.path(COPY.path + ending)}"
        with (
            host.path(file + ending).open("rb") as source,
            host.run.writing(*as_user(USER), "dd", target, "bs=1M", "status=none") as into,
        ):
            transfer.carry(pieces(source), into)
    transfer.end()


def sqlite_seen(host: Host) -> Seen:
    """What the copy has."""
    counted = COPY.copy.counted(host)
    seen = Seen(int(counted.get("schema", 0)), tables=int(counted.get("tables", 0)), whole=bool(counted))
    seen.size = COPY.size(host)
    for (compat,) in COPY.rows(host, "SELECT compat_version FROM schema_compat_version;"):
        seen.compat = int(compat)
    for server, number in COPY.rows(host, USERS):
        seen.users[server] = int(number)
    return seen


USERS = "SELECT substr(name, instr(name, ':') + 1), count(*) FROM users GROUP BY 1;"


def obstacles(host: Host, now: Session, taken: Taken) -> Iterator[Obstacle]:
    """What is in the way of taking it over, beyond what is in the way of any restore."""
    seen, ours = taken.rows.seen, now.site.versions.synapse
    what = taken.rows.dump or taken.source.file
    yield from taken.takeover.obstacles
    yield from taken.source.obstacles(host)
    if seen.inserts:
        yield Obstacle(f"{what} has its rows as INSERT statements", "make it without --inserts: pg_dump -Fc")
    elif not seen.whole or not seen.schema:
        yield Obstacle(
            f"{what} has no whole database of Synapse's", f"make it again, and look at its end: tail -n 3 {what}"
        )
    if seen.compat > ours.schema:
        yield Obstacle(
            f"its database is of a newer Synapse (schema {seen.compat}) than {ours.version} (up to {ours.schema})",
            "take a newer matrix-baremetal: apt update && apt install matrix-baremetal",
        )
    if seen.users and taken.source.server_name not in seen.users:
        there = max(seen.users, key=lambda name: seen.users[name])
        yield Obstacle(
            f"the accounts in {what} are of {there}, and homeserver.yaml says {taken.source.server_name}",
            "name the dump of this server",
        )
    if taken.rows.dump is None:
        for holder in host.holders(what):
            yield Obstacle(f"{holder} still has {what} open", "stop it for good: docker stop synapse")
    if taken.config.database != taken.rows.kind:
        yield Obstacle(
            f"{ETC}/config.yaml says database: {taken.config.database}, and {what} is of {taken.rows.kind}",
            f"set database: {taken.rows.kind} there, and run the same command again",
        )
    if taken.config.server_name != taken.source.server_name:
        yield Obstacle(
            f"{ETC}/config.yaml is of {taken.config.server_name}, and this is {taken.source.server_name}",
            f"mv {ETC}/config.yaml {ETC}/config.yaml.old; then run the same command again",
        )


def decoded(host: Host, text: str) -> Config:
    """The config that is here, or the one that is to be. Raises `Error` where theirs don't fit into it."""
    if host.node(f"{ETC}/config.yaml"):
        return config.load(host.path(f"{ETC}/config.yaml"))
    try:
        return config.decode(text, "the new config.yaml")
    except ConfigError as error:
        raise Error(
            f"its settings can't be taken over as they are: {error.message}",
            hint="mend homeserver.yaml in a copy of the folder, or write /etc/matrix-baremetal/config.yaml yourself",
        ) from None


def set_aside(host: Host, folder: str) -> None:
    """Keep a copy of Debian's config, which is read from then on, and make room for ours where it was."""
    if host.node(ASIDE) is None:
        host.mkdir(STATE, 0o755)
        host.remove_tree(f"{ASIDE}.new")
        host.run("cp", "--archive", str(host.path(folder)), str(host.path(f"{ASIDE}.new")))
        host.rename(f"{ASIDE}.new", ASIDE)
    if folder != THEIRS:
        return
    for name in host.names(f"{folder}/conf.d"):
        if name.endswith(".yaml"):
            host.remove(f"{folder}/conf.d/{name}")
    for name in host.names(folder):
        if name == "homeserver.yaml" or name.endswith(".signing.key"):
            host.remove(f"{folder}/{name}")


def make_ready(host: Host) -> None:
    """Its user may have no group of its own, and since the package went, its unit is masked and a link of the package
    has ours count as enabled: until the package is purged, which takes the link away.
    """
    host.run("systemd-sysusers", "/usr/lib/sysusers.d/matrix-baremetal.conf")
    host.run("usermod", f"--gid={USER}", USER)
    mask, link = (f"/etc/systemd/system/{place}matrix-synapse.service" for place in ("", "multi-user.target.wants/"))
    if host.target(mask) == "/dev/null":
        host.remove(mask)
    host.remove(link)
    host.run("systemctl", "daemon-reload")


def kept(host: Host) -> str:
    """Where Debian's config is from now on."""
    place = f"{DISPLACED}/{time.strftime('%Y%m%dT%H%M%S')}-from-debian"
    host.mkdir(DISPLACED, 0o700)
    host.rename(ASIDE, place)
    return place


def ended(host: Host) -> bool:
    """Whether a run was cut off when all was done but to put Debian's config by: to begin again would bring back the
    old rows over what has been said since.
    """
    ours = (host.read(f"{THEIRS}/homeserver.yaml") or b"").startswith(MADE_BY_US)
    return ours and host.node(ASIDE) is not None and host.node(NOTE) is None


def packages(host: Host) -> tuple[str, ...]:
    """The old package, as long as dpkg has notes of it: purged, it takes along what is ours now under its names."""
    known = ("matrix-synapse", "matrix-synapse-py3")
    return tuple(name for name in known if host.node(f"/var/lib/dpkg/info/{name}.list"))


def forget(host: Host) -> None:
    """Take the copies away."""
    host.remove_tree(SCRATCH)
