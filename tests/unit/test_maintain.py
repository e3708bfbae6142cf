"""database maintain: what is worth doing, in which order, and the homeserver back whatever happens on the way."""

from __future__ import annotations

import json
import sqlite3
from argparse import Namespace
from pathlib import Path

import pytest

from matrix_baremetal import maintain
from matrix_baremetal.commands import database
from matrix_baremetal.commands.init import Unanswered
from matrix_baremetal.converge import converge
from matrix_baremetal.errors import Error
from matrix_baremetal.resources.upkeep import MORTAL
from matrix_baremetal.session import Session
from matrix_baremetal.shell import Result
from matrix_baremetal.transfer import Transfer
from tests.backups import QUIET, SQLITE, a_server
from tests.fakes import MINIMAL, FakeHost, Killed, Machine, a_session

Captured = pytest.CaptureFixture[str]
GIB, MB = 1 << 30, 1 << 20
FILE = "/var/lib/matrix-synapse/database/homeserver.db"
UNIT = "matrix-synapse.service"
PARTS = {
    "state": ("table", "state", 2 * GIB, GIB, 900_000, 1_000_000),
    "state_id": ("index", "state", GIB, GIB // 2, 0, 0),
    "events": ("table", "events", GIB, 9 * MB, 200, 1_000_000),
    "events_id": ("index", "events", 100 * MB, 60 * MB, 0, 0),
    "users": ("table", "users", 8192, 0, 5, 10),
}


@pytest.fixture
def now(tmp_path: Path) -> Session:
    """A homeserver with a table that is half empty, and an index of another that is."""
    made = a_server(tmp_path)
    machine(made).postgres.parts = dict(PARTS)
    machine(made).postgres.half = ["events_id_ccnew"]
    return made


def machine(now: Session) -> Machine:
    assert isinstance(now.host, FakeHost)
    return now.host.machine


def words(**more: bool) -> Namespace:
    return Namespace(**{"full": False, "check": False, "yes": True, "json": False, "quiet": True, **more})


def run(now: Session, **more: bool) -> tuple[maintain.Outlook, float]:
    """What the command does with a session."""
    outlook = maintain.look(now)
    return outlook, database.done(now, outlook, words(**more), QUIET)


def test_beside_the_server_rows_are_cleared_and_bloated_indexes_made_anew(now: Session) -> None:
    outlook, away = run(now)
    tended = machine(now).postgres.tended
    assert tended == [
        ("remove", "events_id_ccnew"),
        ("vacuum", "state"),
        ("reindex", "state_id"),
        ("reindex", "events_id"),
    ]
    assert away == 0
    assert not machine(now).ran("systemctl", "stop", UNIT)
    assert "\n".join(database.told(outlook, 1, away)).count("To have them back on the disk") == 1
    assert "1.5 GiB are empty inside" in "\n".join(database.told(outlook, 1, away))


def test_in_full_a_table_goes_with_its_indexes_while_the_server_stands_still(now: Session) -> None:
    outlook, away = run(now, full=True)
    assert machine(now).postgres.tended == [
        ("remove", "events_id_ccnew"),
        ("rewrite", "state"),
        ("reindex", "events_id"),
    ]
    assert machine(now).postgres.parts["state"] == ("table", "state", GIB, 0, 0, 1_000_000)
    assert machine(now).units[UNIT].active
    assert away > 0
    assert not maintain.cut_off(now.host)
    statements = [s for s in machine(now).started if s.input and "VACUUM" in s.input]
    assert [s.argv[0:2] for s in statements] == [("setpriv", "--reuid=matrix-synapse")], "by its owner"
    assert MORTAL in statements[0].argv
    assert "client_connection_check_interval" in statements[0].env["PGOPTIONS"]
    assert "To have" not in "\n".join(database.told(outlook, 1, away))


@pytest.mark.parametrize("way", ["apply", "the same command"])
def test_killed_at_any_operation_the_next_run_has_the_server_back(tmp_path: Path, way: str) -> None:
    at = 0
    while True:
        at += 1
        made = a_server(tmp_path / str(at))
        machine(made).postgres.parts = dict(PARTS)
        host = FakeHost(machine(made), at)
        dying = Session(host, made.site, made.needs, made.resources, made.manifest)
        try:
            run(dying, full=True)
        except Killed:
            pass
        else:
            break
        again = a_session(machine(made), MINIMAL)
        if way == "apply":
            list(converge(again.resources, again.host, again.manifest))
            assert machine(made).units[UNIT].active, at
        if maintain.cut_off(again.host):
            maintain.answering(again, QUIET)
        assert machine(made).units[UNIT].active, at
        run(again, full=True)
        assert machine(made).postgres.parts["state"][3] == 0
        assert machine(made).units[UNIT].active
    assert at > 8


class Refusing(Machine):
    """A machine whose Postgres refuses to write a table anew."""

    def start(self, argv: tuple[str, ...], input: str | None, env: dict[str, str]) -> Result:
        """Start a program."""
        if input and input.startswith("VACUUM (FULL"):
            return Result(3, "", "ERROR:  could not extend file: No space left on device")
        return super().start(argv, input, env)


def test_where_a_statement_fails_the_server_is_back_and_it_is_said(now: Session) -> None:
    machine(now).__class__ = Refusing
    with pytest.raises(Error, match="Postgres did not rewrite state: ERROR:  could not extend file"):
        run(now, full=True)
    assert machine(now).units[UNIT].active
    assert not maintain.cut_off(now.host)
    machine(now).units[UNIT].broken = True
    with pytest.raises(Error, match="and the homeserver did not come back") as caught:
        run(now, full=True)
    assert caught.value.hint == "matrix-baremetal apply"
    assert maintain.cut_off(now.host)


def test_what_does_not_fit_is_refused_before_anything_stops(now: Session) -> None:
    machine(now).spares["/var/lib/postgresql"] = 2 * GIB
    with pytest.raises(Error, match=r"2\.0 GiB free, and to rewrite state takes up to 3\.6 GiB for a while"):
        run(now, full=True)
    assert machine(now).postgres.tended == []
    assert machine(now).units[UNIT].active
    run(now)


def test_nobody_is_away_without_a_yes_and_for_how_long_is_said(now: Session) -> None:
    with pytest.raises(
        Unanswered, match=r"example\.org is away while 1 table of 3\.0 GiB is written anew: about 3 min"
    ):
        run(now, full=True, yes=False)
    assert machine(now).postgres.tended == []


def test_a_server_that_somebody_stopped_stays_so(now: Session) -> None:
    machine(now).units[UNIT].active = False
    _, away = run(now, full=True)
    assert not machine(now).units[UNIT].active
    assert away == 0
    assert ("rewrite", "state") in machine(now).postgres.tended


def test_the_page_names_what_is_worth_it_and_json_has_the_same(now: Session, capsys: Captured) -> None:
    outlook = maintain.look(now)
    page = database.page(now, outlook)
    assert "The database of example.org (postgres) takes 8.0 MiB; 1.6 GiB of that are empty." in page
    assert "2.0 GiB    1.0 GiB empty    900,000 dead rows  table state" in page
    assert "half made by a run that was killed: events_id_ccnew" in page
    assert "users" not in page
    assert "\n".join(database.checked(outlook)).endswith("for some 173 s: matrix-baremetal database maintain --full")
    rows = json.loads(json.dumps(database.document(now, outlook, 1, 0.0)))
    assert [row["verb"] for row in rows["worth"]] == ["remove", "vacuum", "reindex", "reindex", "rewrite"]
    machine(now).postgres.parts, machine(now).postgres.half = {}, []
    nothing, away = run(now, full=True)
    assert database.checked(nothing) == ["There is nothing worth doing."]
    assert database.told(nothing, 1, away) == ["There was nothing worth doing."]


def test_sqlite_is_written_anew_while_the_server_stands_still(tmp_path: Path) -> None:
    now = a_server(tmp_path, SQLITE)
    place = machine(now).at(FILE)
    base = sqlite3.connect(place)
    base.executescript("CREATE TABLE fat (body TEXT);")
    base.executemany("INSERT INTO fat VALUES (?)", [("x" * 4000,)] * 4000)
    base.execute("DELETE FROM fat")
    base.commit()
    base.close()
    before = place.stat().st_size
    run(now)
    assert place.stat().st_size == before > 12 * MB
    machine(now).spares["/var/lib/matrix-synapse/database"] = before
    with pytest.raises(Error, match="takes up to"):
        run(now, full=True)
    machine(now).spares.clear()
    outlook, _ = run(now, full=True)
    assert place.stat().st_size < MB
    assert [work.verb for work, _ in outlook.done] == ["rewrite"]
    assert machine(now).units[UNIT].active
    place.write_bytes(b"no database at all" * 100_000)
    with pytest.raises(Error, match="SQLite did not rewrite"):
        maintain.upkeep(now).carry_out(now.host, outlook.rewrites[0])


def test_what_is_drawn_goes_on_while_a_statement_runs(capsys: Captured) -> None:
    transfer = Transfer(quiet=False)
    transfer.drawn = True
    transfer.begin("rewrite state")
    import time

    with transfer.ticking():
        time.sleep(0.7)
    assert capsys.readouterr().out.count("rewrite state") >= 2
    assert transfer.end() >= 0.7
