"""A server to make a backup of, and what a restore does, on machines that are none."""

from __future__ import annotations

import io
import sqlite3
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from matrix_baremetal import backup, preflight, restore, session
from matrix_baremetal.converge import converge
from matrix_baremetal.session import Session
from matrix_baremetal.transfer import Transfer
from tests.fakes import MINIMAL, FakeHost, Machine, a_homeserver

DIRECTORY = "/var/lib/matrix-baremetal/backups"
CONFIG = "/etc/matrix-baremetal/config.yaml"
KEY = "/var/lib/matrix-synapse/signing.key"
MEDIA = "/var/lib/matrix-synapse/media"
QUIET = Transfer(quiet=True)
SQLITE = MINIMAL + "database: sqlite\n"
DUMP = b"PGDMP" + bytes(range(256)) * 50


def a_server(folder: Path, text: str = MINIMAL) -> Session:
    """A machine after an install, with a picture that somebody uploaded, and rows."""
    machine = Machine(folder / "machine")
    (folder / "dump").write_bytes(DUMP)
    now = a_homeserver(machine, text)
    machine.put(CONFIG, text, 0o600)
    machine.put(f"{MEDIA}/local_content/aa/bb/cc", "a picture")
    machine.put(f"{MEDIA}/remote_content/dd", "somebody else's")
    machine.put("/etc/matrix-synapse/conf.d/own.yaml", "a: b\n", 0o640)
    if "sqlite" in text:
        rows(machine.at("/var/lib/matrix-synapse/database/homeserver.db"))
    else:
        machine.postgres.bases["matrix-synapse"].tables, machine.postgres.bases["matrix-synapse"].version = 170, True
    now.manifest.server_name = now.site.config.server_name
    now.manifest.write(now.host)
    now.host.machine.started.clear()  # type: ignore[attr-defined]
    return now


def rows(path: Path, name: str = "@alice:example.org") -> None:
    """An SQLite file with an account and a one-time key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    base = sqlite3.connect(path)
    base.executescript(
        "PRAGMA journal_mode = WAL;"
        "CREATE TABLE schema_version (version INTEGER); INSERT INTO schema_version VALUES (93);"
        "CREATE TABLE users (name TEXT); CREATE TABLE e2e_one_time_keys_json (key_id TEXT);"
        f"INSERT INTO users VALUES ('{name}'); INSERT INTO e2e_one_time_keys_json VALUES ('used');"
    )
    base.close()


def create(now: Session, **more: Any) -> backup.Backup:
    return backup.create(now, DIRECTORY, transfer=QUIET, **{"media": True, **more})


def names(now: Session, path: str) -> dict[str, bytes]:
    """What tar and zstd themselves find in it."""
    plain = subprocess.run(["zstd", "-dcq", now.host.path(path)], stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        return {row.name: file.read() for row in tar if (file := tar.extractfile(row))}


def bring_back(host: FakeHost, path: str) -> tuple[str, list[str]]:
    """What the command does, without the network's part of preflight."""
    held = restore.read(host, path, None, QUIET)
    now = session.of(host, held.config)
    preflight.refuse([*restore.obstacles(now, held)])
    kept = restore.begun(host, held)
    list(restore.foundation(now))
    restore.bring(session.of(host, held.config), held, kept, QUIET)
    now = session.of(host, held.config)
    list(converge(now.resources, host, now.manifest))
    return kept, restore.end(now, kept)
