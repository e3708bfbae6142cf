"""What takes the disk, by name: from both kinds of database, and of names that others chose only what is one."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from matrix_baremetal import largest
from matrix_baremetal.commands import status_space
from matrix_baremetal.resources.postgres_store import quoted
from tests.backups import SQLITE, a_server
from tests.fakes import FakeHost

FILE = "/var/lib/matrix-synapse/database/homeserver.db"
TABLES = """
CREATE TABLE state_groups_state (state_group INTEGER, room_id TEXT);
INSERT INTO state_groups_state VALUES (1, '!a:b'), (2, '!a:b'), (3, '!c:d');
CREATE TABLE local_media_repository (user_id TEXT, media_length INTEGER);
INSERT INTO local_media_repository VALUES ('@alice:example.org', 3000000), (NULL, 5);
CREATE TABLE remote_media_cache (media_origin TEXT, media_length INTEGER);
INSERT INTO remote_media_cache VALUES ('elsewhere.org', 7), ('bad' || char(27) || '[2J', 900);
"""


def test_of_sqlite_by_its_own_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = a_server(tmp_path, SQLITE)
    assert isinstance(now.host, FakeHost)
    base = sqlite3.connect(now.host.machine.at(FILE))
    base.executescript(TABLES)
    base.close()
    tables, rooms, ours, theirs = largest.read(now)
    assert ("users", 4096) in tables.rows
    assert rooms.rows == (("!a:b", 2), ("!c:d", 1))
    assert ours.rows == (("@alice:example.org", 3000000), ("(nobody)", 5))
    assert theirs.rows == (("elsewhere.org", 7),), "an escape is no name"
    status_space.told(now, json=False)
    page = capsys.readouterr().out
    assert "Largest people here, by what they uploaded:\n  2.9 MiB  @alice:example.org\n" in page
    assert "\n  2 rows  !a:b\n" in page


def test_of_postgres_and_what_it_does_not_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = a_server(tmp_path)
    assert isinstance(now.host, FakeHost)
    says = now.host.machine.postgres.says
    says[quoted(largest.TABLES["postgres"])] = [["event_json", "70000000"], ["odd"]]
    for question in (largest.STATE, largest.OURS, largest.THEIRS):
        says[quoted(question)] = [["x", "1"]]
    status_space.told(now, json=True)
    page = json.loads(capsys.readouterr().out)
    assert page["largest"][0]["rows"] == [{"name": "event_json", "size": 70000000}]
    assert page["largest"][1]["unit"] == "rows"
    now.host.machine.postgres.superuser = "FATAL: no more connections"
    first, *_ = largest.read(now)
    assert first.rows == ()
