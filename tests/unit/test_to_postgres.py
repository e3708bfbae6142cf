"""From SQLite to Postgres: what stops it, that it is finished after a kill, and that it goes back where it must."""

from __future__ import annotations

import copy
import shutil
import sqlite3
from argparse import Namespace
from pathlib import Path

import pytest

from matrix_baremetal import migrate, restore, to_postgres
from matrix_baremetal.commands import to_postgres as command
from matrix_baremetal.converge import converge
from matrix_baremetal.errors import Error, Obstacle
from matrix_baremetal.resources import port
from matrix_baremetal.resources.matrix import MODULES
from matrix_baremetal.to_postgres import Move
from tests.backups import CONFIG, QUIET, a_server
from tests.fakes import MINIMAL, FakeHost, Killed, Machine

FILE = "/var/lib/matrix-synapse/database/homeserver.db"
TEXT = MINIMAL + "# which kind of database\ndatabase: sqlite   # as it is small\n"
COUNTS = """SELECT 'e2e_one_time_keys_json', count(*) FROM "e2e_one_time_keys_json" UNION ALL \
SELECT 'users', count(*) FROM "users";"""


def machine_with_sqlite(folder: Path, users: int = 1) -> Machine:
    """A server that runs with SQLite; so many users have arrived in Postgres."""
    folder.mkdir(exist_ok=True)
    machine: Machine = a_server(folder, TEXT).host.machine  # type: ignore[attr-defined]
    machine.postgres.says[port.TABLES] = [["users"], ["e2e_one_time_keys_json"], ["schema_version"]]
    machine.postgres.says[COUNTS] = [["e2e_one_time_keys_json", "1"], ["users", str(users)]]
    return machine


def move_of(host: FakeHost) -> Move:
    return to_postgres.begin(host, None)


def go(host: FakeHost) -> None:
    """What the command does."""
    if not to_postgres.switched(host):
        move = move_of(host)
        assert [*to_postgres.obstacles(host, move)] == []
        to_postgres.copied(host, move, QUIET)
        assert [*to_postgres.unfit(host, move)] == []
        list(restore.foundation(move.then))
        move = move_of(host)
        to_postgres.first_pass(host, move, QUIET)
        to_postgres.last_pass(host, move, QUIET)
        to_postgres.switch(host, move, to_postgres.noted(host, "before-then"))
    kept = to_postgres.noted(host, "")
    then = move_of(host).then
    list(converge(then.resources, host, then.manifest))
    to_postgres.end(host, move_of(host), kept)


def test_postgres_has_it_and_the_file_stays(tmp_path: Path) -> None:
    machine = machine_with_sqlite(tmp_path / "one")
    host = FakeHost(machine)
    go(host)
    assert host.text(CONFIG) == TEXT.replace("database: sqlite", "database: postgres")
    assert "name: psycopg2" in (host.text("/etc/matrix-synapse/homeserver.yaml") or "")
    assert host.node(FILE)
    assert set(machine.postgres.bases) == {"matrix-synapse"}
    assert (host.node(to_postgres.NOTE), host.node(migrate.SCRATCH)) == (None, None)
    assert to_postgres.done(host, move_of(host))
    assert f"--setenv=PYTHONPATH={MODULES}" in move_of(host).port.words("python", "config", ())


def test_killed_at_any_operation_the_same_again_finishes_it(tmp_path: Path) -> None:
    machine, count = machine_with_sqlite(tmp_path / "one"), 0
    for number in range(4, 300, 9):
        place = tmp_path / f"run-{number}/machine"
        shutil.copytree(machine.root, place, symlinks=True)
        again = Machine.__new__(Machine)
        again.__dict__.update({**machine.__dict__, "root": place, "owners": dict(machine.owners)})
        again.postgres, again.units = copy.deepcopy(machine.postgres), copy.deepcopy(machine.units)
        try:
            go(FakeHost(again, killed_at=number))
            break
        except Killed:
            count += 1
        if not to_postgres.done(FakeHost(again), move_of(FakeHost(again))) or to_postgres.switched(FakeHost(again)):
            go(FakeHost(again))
        assert "database: postgres" in (FakeHost(again).text(CONFIG) or ""), number
        assert FakeHost(again).node(FILE)
    assert count > 5


def test_rows_that_did_not_arrive_stop_it(tmp_path: Path) -> None:
    host = FakeHost(machine_with_sqlite(tmp_path / "one", users=0))
    with pytest.raises(Error, match="users: 1 rows, 0 in Postgres"):
        go(host)
    assert host.text(CONFIG) == TEXT


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        (
            "CREATE TABLE background_updates (update_name TEXT); INSERT INTO background_updates VALUES ('x');",
            "at work",
        ),
        ("DROP TABLE schema_version;", "nothing in SQLite"),
    ],
)
def test_what_stops_it_is_said(tmp_path: Path, sql: str, says: str) -> None:
    machine = machine_with_sqlite(tmp_path / "one")
    base = sqlite3.connect(machine.at(FILE))
    base.executescript(sql)
    base.close()
    assert says in next(to_postgres.obstacles(FakeHost(machine), move_of(FakeHost(machine)))).message


def test_text_that_postgres_does_not_take_is_found(tmp_path: Path) -> None:
    machine = machine_with_sqlite(tmp_path / "one")
    host = FakeHost(machine)
    base = sqlite3.connect(machine.at(FILE))
    base.execute("INSERT INTO users VALUES ('a' || char(0))")
    base.execute("INSERT INTO users VALUES (CAST(x'ff' AS TEXT))")
    base.execute("INSERT INTO users VALUES (x'00ff')")
    base.commit()
    base.close()
    to_postgres.copied(host, move_of(host), QUIET)
    found = [each.message for each in to_postgres.unfit(host, move_of(host))]
    assert found == [
        "users.name has a NUL byte in 1 rows, and Postgres takes no such text",
        "users.name is no UTF-8 in 1 rows, and Postgres takes no such text",
    ]


@pytest.mark.parametrize(
    "line", ["database: 'sqlite'", 'database: "sqlite"\r', "database:  sqlite # x", "database: sqlite"]
)
def test_the_config_changes_in_one_word(tmp_path: Path, line: str) -> None:
    host = FakeHost(Machine(tmp_path / "machine"))
    host.machine.put(CONFIG, f"a: b\n{line}\nc: d\n", 0o600)
    to_postgres.say(host, "postgres")
    text = host.text(CONFIG) or ""
    assert text.startswith("a: b\ndatabase:")
    assert text.endswith(f"{line[line.index('sqlite') + 6 :].lstrip(chr(39) + chr(34))}\nc: d\n")
    assert "postgres" in text


QUIETLY = Namespace(json=True, quiet=True, wheelhouse=None)


def test_killed_before_the_config_says_so_the_same_again_says_it(tmp_path: Path) -> None:
    machine = machine_with_sqlite(tmp_path / "one")
    host = FakeHost(machine)
    go(host)
    # All rows are there, and the word is still the old one.
    host.write(to_postgres.NOTE, '{"kept": "before-then", "switched": true}', 0o600)
    to_postgres.say(host, "sqlite")
    command.settled(host, QUIETLY)
    assert host.text(CONFIG) == TEXT.replace("database: sqlite", "database: postgres")


def test_killed_between_the_step_and_its_note_older_rows_do_not_pass_for_the_newest(tmp_path: Path) -> None:
    machine = machine_with_sqlite(tmp_path / "one")
    host = FakeHost(machine)
    move = move_of(host)
    list(restore.foundation(move.then))
    move = move_of(host)
    to_postgres.copied(host, move, QUIET)
    for tables in (98, 99):
        to_postgres.first_pass(host, move, QUIET)
        machine.postgres.bases["matrix-synapse-restored"].tables = tables
        if tables == 98:
            # Killed right after this; then people write to SQLite, and the same command is given again.
            move.port.copy.take(host, "before-then")
        else:
            to_postgres.switch(host, move, "before-then")
    assert machine.postgres.bases["matrix-synapse"].tables == 99
    assert to_postgres.switched(host)


def test_cut_off_on_its_way_back_it_is_not_done(tmp_path: Path) -> None:
    machine = machine_with_sqlite(tmp_path / "one")
    host = FakeHost(machine)
    go(host)
    assert to_postgres.done(host, move_of(host))
    host.write(to_postgres.NOTE, "{}\n", 0o600)
    assert not to_postgres.done(host, move_of(host))
    assert not to_postgres.switched(host)


def test_interrupted_while_it_stands_still_the_server_runs_again(tmp_path: Path) -> None:
    machine = machine_with_sqlite(tmp_path / "one")
    unit = machine.unit("matrix-synapse.service")
    unit.active = False
    with pytest.raises(KeyboardInterrupt), command.running_again(FakeHost(machine)):
        raise KeyboardInterrupt
    assert unit.active


def test_who_does_not_want_it_has_no_copy_of_the_rows_lying_about(tmp_path: Path) -> None:
    host = FakeHost(machine_with_sqlite(tmp_path / "one"))
    move = move_of(host)
    to_postgres.copied(host, move, QUIET)
    with pytest.raises(Error, match="too small"):
        command.wanted(move, [Obstacle("too small", "buy")], QUIETLY)
    assert host.node(migrate.SCRATCH) is None


def test_what_a_run_that_was_cut_off_has_copied_is_no_want_of_room(tmp_path: Path) -> None:
    machine = machine_with_sqlite(tmp_path / "one")
    host, machine.spare = FakeHost(machine), 0
    assert ["MB free" in each.message for each in to_postgres.obstacles(host, move_of(host))] == [True]
    to_postgres.copied(host, move_of(host), QUIET)
    assert [*to_postgres.obstacles(host, move_of(host))] == []
