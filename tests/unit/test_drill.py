"""A backup loaded beside what runs, counted and taken away: nothing changes, also where it fails or is killed."""

from __future__ import annotations

import json
import shutil
import sqlite3
from argparse import Namespace
from pathlib import Path

import pytest

from matrix_baremetal import backup, backup_log, components, drill
from matrix_baremetal.errors import Error
from matrix_baremetal.session import Session
from tests.backups import KEY, QUIET, SQLITE, a_server, create
from tests.fakes import MINIMAL, FakeHost, Killed, a_session

pytestmark = pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed")
BASE = "/var/lib/matrix-synapse/database"


def ready(folder: Path, text: str) -> Session:
    """A server with a backup; with SQLite, one that has rooms."""
    now = a_server(folder, text)
    if text == SQLITE:
        base = sqlite3.connect(now.host.path(f"{BASE}/homeserver.db"))
        base.executescript("CREATE TABLE rooms (room_id TEXT); INSERT INTO rooms VALUES ('!a'), ('!b');")
        base.close()
    create(now)
    return now


def drilled(now: Session) -> drill.Drilled:
    [newest] = backup.there(now.host, "/var/lib/matrix-baremetal/backups", "example.org")
    held = drill.begin(now.host, newest.path, None, QUIET)
    drill.fitting(now, held)
    drill.space(now, held)
    return drill.run(now, held, QUIET)


@pytest.mark.parametrize(
    ("text", "counts"), [(MINIMAL, (2, 5, 170)), (SQLITE, (1, 2, 4))], ids=["postgres", "sqlite"]
)
def test_it_comes_back_in_numbers_and_nothing_is_changed(
    tmp_path: Path, text: str, counts: tuple[int, int, int]
) -> None:
    now = ready(tmp_path, text)
    machine = now.host.machine  # type: ignore[attr-defined]
    before = machine.tree()
    seen = drilled(now)
    assert (seen.users, seen.rooms, seen.tables, seen.schema) == (*counts, "93")
    assert seen.key == f"ed25519:{(now.host.text(KEY) or '').split()[1]}"
    assert machine.tree() == before
    assert set(machine.postgres.bases) <= {"matrix-synapse"}


@pytest.mark.parametrize("text", [MINIMAL, SQLITE], ids=["postgres", "sqlite"])
def test_killed_at_any_operation_the_next_one_takes_away_what_was_left(tmp_path: Path, text: str) -> None:
    now = ready(tmp_path, text)
    machine = now.host.machine  # type: ignore[attr-defined]
    before = machine.tree()
    for number in range(1, 60):
        try:
            drilled(a_session(machine, text, host=FakeHost(machine, killed_at=number)))
            break
        except Killed:
            continue
    assert 5 < number < 59
    drilled(now)
    assert set(machine.postgres.bases) <= {"matrix-synapse"}
    assert machine.tree() == before


def test_a_database_that_lacks_something_fails_and_is_taken_away(tmp_path: Path) -> None:
    now = ready(tmp_path, MINIMAL)
    [newest] = backup.there(now.host, "/var/lib/matrix-baremetal/backups", "example.org")
    held = drill.begin(now.host, newest.path, None, QUIET)
    held.manifest["stores"]["database"]["counted"]["tables"] = "171"
    with pytest.raises(Error, match="'tables': '170'}, and the backup says"):
        drill.run(now, held, QUIET)
    assert set(now.host.machine.postgres.bases) == {"matrix-synapse"}  # type: ignore[attr-defined]


def test_somebody_elses_database_of_that_name_is_left_alone(tmp_path: Path) -> None:
    now = ready(tmp_path, MINIMAL)
    bases = now.host.machine.postgres.bases  # type: ignore[attr-defined]
    bases["matrix-synapse-drill"] = type(bases["matrix-synapse"])("somebody", tables=3)
    with pytest.raises(Error, match="did not make, and it is left alone"):
        drilled(now)
    assert bases["matrix-synapse-drill"].owner == "somebody"


def test_what_does_not_fit_is_said_before_anything_is_loaded(tmp_path: Path) -> None:
    now = ready(tmp_path, MINIMAL)
    machine = now.host.machine  # type: ignore[attr-defined]
    [newest] = backup.there(now.host, "/var/lib/matrix-baremetal/backups", "example.org")
    held = drill.begin(now.host, newest.path, None, QUIET)
    machine.spare = 100 << 20
    with pytest.raises(Error, match="/var/lib has 100 MB"):
        drill.space(now, held)
    held.manifest["server_name"] = "other.org"
    with pytest.raises(Error, match=r"is of other.org, and this machine is example.org"):
        drill.fitting(now, held)
    with pytest.raises(Error, match="has a database of postgres, and this machine has sqlite"):
        drill.fitting(a_session(machine, SQLITE), drill.begin(now.host, newest.path, None, QUIET))


def test_the_key_has_to_be_the_one_that_the_backup_says(tmp_path: Path) -> None:
    now = ready(tmp_path, MINIMAL)
    [newest] = backup.there(now.host, "/var/lib/matrix-baremetal/backups", "example.org")
    held = drill.begin(now.host, newest.path, None, QUIET)
    assert held.manifest["key"].startswith(f"{drill.key(held)} ")
    del held.manifest["key"]
    assert drill.key(held)
    held.manifest["key"] = "ed25519:a_other xyz"
    with pytest.raises(Error, match="its table of contents says ed25519:a_other"):
        drill.key(held)
    held.files[KEY] = b"nonsense"
    with pytest.raises(Error, match="no signing key that can be used"):
        drill.key(held)


def test_how_it_went_is_noted_beside_the_last_backup_and_stays_with_the_next(tmp_path: Path) -> None:
    now = ready(tmp_path, MINIMAL)
    backup_log.failed(now.host, "no room")
    backup_log.drilled(now.host, "/b", {"users": 2})
    assert set(backup_log.read(now.host)) == {"last", "failed", "drill"}
    backup_log.succeeded(now.host, {"path": "/c", "size": 1, "made": 1})
    seen = backup_log.read(now.host)
    assert (set(seen), seen["drill"]["users"]) == ({"last", "drill"}, 2)
    assert json.dumps(seen)


def test_only_root_drills_and_only_where_something_runs(tmp_path: Path) -> None:
    from matrix_baremetal.commands import backup as command

    host = FakeHost(a_server(tmp_path).host.machine, live=False)  # type: ignore[attr-defined]
    with pytest.raises(Error, match="for a machine that runs"):
        command.drilled(host, Namespace())


@pytest.mark.parametrize("text", [MINIMAL, SQLITE], ids=["postgres", "sqlite"])
def test_what_a_killed_one_left_is_gone_before_the_room_is_measured(tmp_path: Path, text: str) -> None:
    now = ready(tmp_path, text)
    machine = now.host.machine  # type: ignore[attr-defined]
    [newest] = backup.there(now.host, "/var/lib/matrix-baremetal/backups", "example.org")
    held = drill.begin(now.host, newest.path, None, QUIET)
    components.data(now.site).stores["database"].copy.scratch.begin(now.host)
    machine.put(f"{BASE}/homeserver.db.drill", "half of it")
    machine.spare = 0
    with pytest.raises(Error, match="/var/lib has 0 MB"):
        drill.space(now, held)
    assert "matrix-synapse-drill" not in machine.postgres.bases
    assert text == MINIMAL or now.host.node(f"{BASE}/homeserver.db.drill") is None
