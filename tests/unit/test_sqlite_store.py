"""An SQLite file: real ones, read and written by the program that the server's user runs."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from matrix_baremetal.errors import Error
from matrix_baremetal.resources import admin_api, tally
from matrix_baremetal.resources.matrix import FIND_USER, SET_HASH, Account, users
from matrix_baremetal.resources.schema import Schema
from matrix_baremetal.resources.sqlite_store import SqliteStore
from tests.fakes import FakeHost, Machine

FILE = "/var/lib/matrix-synapse/database/homeserver.db"
STORE = SqliteStore(FILE, user="matrix-synapse")
SCHEMA = Schema("matrix-synapse", store=STORE, unit="matrix-synapse.service")
ALICE = Account("@alice:example.org", True, store=STORE)
# As Synapse makes them: small integers for truth.
TABLES = """
PRAGMA journal_mode = WAL;
CREATE TABLE users (name TEXT, admin SMALLINT DEFAULT 0, deactivated SMALLINT DEFAULT 0, creation_ts BIGINT,
is_guest SMALLINT DEFAULT 0, password_hash TEXT, user_type TEXT);
CREATE TABLE access_tokens (id BIGINT PRIMARY KEY, user_id TEXT, token TEXT, valid_until_ms BIGINT);
CREATE TABLE schema_version (version INTEGER);
"""


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    machine = Machine(tmp_path)
    machine.users.append("matrix-synapse")
    machine.at(FILE).parent.mkdir(parents=True)
    return FakeHost(machine)


def write(host: FakeHost, sql: str) -> None:
    """What Synapse has done."""
    base = sqlite3.connect(host.machine.at(FILE))
    base.executescript(sql)
    base.close()


def filled(host: FakeHost) -> None:
    """Tables that were used."""
    write(host, TABLES + "INSERT INTO schema_version VALUES (90);")
    alice, other = "('@alice:example.org', 0, 0, 1700000000, 0)", "('@o''x', 1, 1, 1, 0)"
    write(host, f"INSERT INTO users (name, admin, deactivated, creation_ts, is_guest) VALUES {alice}, {other};")


def test_before_there_is_a_file_it_has_no_rows_and_none_is_made(host: FakeHost) -> None:
    assert (STORE.rows(host, FIND_USER, name="x"), STORE.tables(host), STORE.size(host)) == ([], 0, 0)
    assert (STORE.used(host), STORE.version(host)) == (False, "none")
    assert host.node(FILE) is None
    assert host.machine.started == []


def test_it_is_asked_as_its_user_with_values_that_nobody_sees(host: FakeHost) -> None:
    filled(host)
    assert STORE.rows(host, FIND_USER, name="@o'x") == [["1", "1"]]
    [started] = host.machine.started
    assert started.argv[:4] == ("setpriv", "--reuid=matrix-synapse", "--regid=matrix-synapse", "--clear-groups")
    assert not any("@o'x" in word for word in started.argv)


def test_what_is_missing_gives_no_rows_and_what_is_wrong_is_said(host: FakeHost) -> None:
    write(host, "CREATE TABLE t (x);")
    assert STORE.rows(host, FIND_USER, name="x") == []
    with pytest.raises(Error, match=r"SQLite refused .*: no such column: y") as caught:
        STORE.rows(host, "SELECT y FROM t;")
    assert caught.value.hint
    with pytest.raises(Error, match="no such table: users"):
        STORE.rows(host, "UPDATE users SET admin = 1;")


def test_looking_leaves_nothing_beside_it(host: FakeHost) -> None:
    filled(host)
    before = host.machine.tree()
    assert STORE.used(host)
    assert STORE.tables(host) == 3
    assert STORE.trouble(host) is None
    assert host.machine.tree() == before


def test_accounts_are_found_given_a_password_and_listed_as_with_postgres(host: FakeHost) -> None:
    filled(host)
    hashed = replace(ALICE, password_hash="$2b$12$x")
    assert hashed.find(host) == replace(hashed, admin=False, has_password=False)
    STORE.rows(host, SET_HASH, {"hash": "$2b$12$x"}, name="@alice:example.org")
    assert hashed.find(host) == replace(hashed, admin=False)
    listed = [(row["user"], row["admin"], row["deactivated"]) for row in users(host, STORE)]
    assert listed == [("@o'x", True, True), ("@alice:example.org", False, False)]
    assert not any("$2b$" in word for started in host.machine.started for word in started.argv)


def test_who_asks_the_admin_api_comes_and_goes_as_with_postgres(host: FakeHost) -> None:
    filled(host)
    name = f"{admin_api.PASSING}x:example.org"
    STORE.rows(host, admin_api.ADD_TOKEN, {"token": "secret"}, id="-7", name=name, until="1000")
    STORE.rows(host, admin_api.ADD_USER, name=name, now="1")
    assert STORE.rows(host, FIND_USER, name=name) == [["1", "0"]]
    assert len(users(host, STORE)) == 2
    STORE.rows(host, admin_api.CLEAR, moment="1001")
    STORE.rows(host, admin_api.REMOVE_USERS, name="nobody", moment="1001")
    assert STORE.rows(host, FIND_USER, name=name) == []


def test_tables_that_were_left_half_made_go_with_their_journals(host: FakeHost) -> None:
    assert SCHEMA.find(host) == SCHEMA
    write(host, TABLES)
    host.machine.put(f"{FILE}-journal", "")
    found = SCHEMA.find(host)
    assert found == replace(SCHEMA, whole=False)
    host.machine.unit(SCHEMA.unit)
    SCHEMA.make(host, found)
    assert SCHEMA.find(host) == SCHEMA
    assert host.names(STORE.directory) == ()


def test_tables_that_were_used_stay_whoever_asks(host: FakeHost) -> None:
    filled(host)
    before = host.machine.tree()
    assert SCHEMA.find(host) == SCHEMA
    STORE.clear(host)
    assert host.machine.tree() == before


def test_a_file_that_is_none_is_told(host: FakeHost) -> None:
    host.machine.put(FILE, "nonsense, and more of it than a header of SQLite's has, a hundred bytes that is" * 2)
    found = STORE.trouble(host)
    assert found
    assert found.message == f"{FILE}: file is not a database"
    with pytest.raises(Error, match="file is not a database"):
        SCHEMA.find(host)
    assert host.node(FILE)


def test_a_file_that_is_not_there_is_told(host: FakeHost) -> None:
    found = STORE.trouble(host)
    assert found
    assert found.message == f"there is no {FILE}"


def test_one_that_somebody_keeps_locked_is_told(host: FakeHost) -> None:
    filled(host)
    other = sqlite3.connect(host.machine.at(FILE), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    found = STORE.trouble(host)
    assert found
    assert found.message.endswith("database is locked")
    other.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_one_that_can_not_be_written_is_told(host: FakeHost) -> None:
    filled(host)
    host.machine.at(FILE).chmod(0o400)
    found = STORE.trouble(host)
    assert found
    assert "readonly" in found.message


def test_its_size_is_that_of_its_journal_too(host: FakeHost) -> None:
    filled(host)
    alone = STORE.size(host)
    host.machine.put(f"{FILE}-wal", "x" * 1000)
    assert STORE.size(host) == alone + 1000


def test_in_a_folder_nobody_is_asked(tmp_path: Path) -> None:
    host = FakeHost(Machine(tmp_path), live=False)
    host.machine.put(FILE, "x")
    assert STORE.rows(host, "SELECT 1;") == []
    assert host.machine.started == []


def test_it_is_counted_as_with_postgres(host: FakeHost) -> None:
    filled(host)
    assert tally.read(host, STORE) is None
    write(
        host,
        "ALTER TABLE users ADD COLUMN appservice_id TEXT;"
        "CREATE TABLE local_current_membership (room_id TEXT, user_id TEXT, membership TEXT);"
        "INSERT INTO local_current_membership VALUES ('!a', '@a', 'join');"
        "INSERT INTO local_current_membership VALUES ('!a', '@b', 'join'), ('!b', '@a', 'leave');"
        "CREATE TABLE destinations (destination TEXT, retry_last_ts BIGINT, retry_interval BIGINT);"
        "INSERT INTO destinations VALUES ('one', 0, 0), ('two', NULL, NULL), ('three', 9999999999999, 600000);"
        "CREATE TABLE local_media_repository (media_length INTEGER);"
        "CREATE TABLE remote_media_cache (media_length INTEGER);"
        "INSERT INTO local_media_repository VALUES (5), (NULL), (2);",
    )
    assert tally.read(host, STORE) == tally.Tally(1, 1, 3, 1, 7, 0)


def test_another_servers_rows_are_known_by_its_own_table(tmp_path: Path) -> None:
    host = FakeHost(Machine(tmp_path))
    host.machine.users.append("matrix-bridge-whatsapp")
    place = host.path("/var/lib/matrix-bridge-whatsapp/database/bridge.db")
    place.parent.mkdir(parents=True)
    base = sqlite3.connect(place)
    base.execute("CREATE TABLE version (version INTEGER, compat INTEGER)")
    bridge = SqliteStore("/var/lib/matrix-bridge-whatsapp/database/bridge.db", "matrix-bridge-whatsapp", "version")
    assert (bridge.used(host), bridge.copy.counted(host)) == (False, {})
    base.execute("INSERT INTO version VALUES (27, 9)")
    base.commit()
    base.close()
    assert (bridge.used(host), bridge.copy.counted(host)) == (True, {"schema": "27", "tables": "1"})


def test_what_a_server_began_between_two_steps_of_a_restore_does_not_replace_what_is_kept(host: FakeHost) -> None:
    filled(host)
    host.machine.put(f"{FILE}.restored-0123456789abcdef", "of the backup")
    host.rename(FILE, f"{FILE}.before-then")
    # Killed here; then somebody ran `apply`, which starts the server.
    host.machine.put(FILE, "nothing yet")
    STORE.copy.take(host, "before-then")
    assert (host.text(FILE), host.text(f"{FILE}.before-then.anew")) == ("of the backup", "nothing yet")
    assert (host.read(f"{FILE}.before-then") or b"").startswith(b"SQLite format 3")
    assert STORE.copy.taken(host, "before-then")
