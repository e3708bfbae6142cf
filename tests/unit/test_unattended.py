"""Registration that is open while an administrator looks in: what counts, what closes it, and what opens it again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from matrix_baremetal import closing, status
from matrix_baremetal.checks.registration import Registration
from matrix_baremetal.commands import apply
from matrix_baremetal.commands.status import registers
from matrix_baremetal.commands.token import of_use
from matrix_baremetal.converge import converge, plan
from matrix_baremetal.errors import Error
from matrix_baremetal.findings import Finding
from matrix_baremetal.net import Answer
from matrix_baremetal.resources import opening
from matrix_baremetal.resources.postgres_store import PostgresStore
from matrix_baremetal.resources.sqlite_store import SqliteStore
from matrix_baremetal.session import Session
from matrix_baremetal.shell import Result
from matrix_baremetal.standing import remarks
from tests.fakes import MINIMAL, FakeHost, Machine, a_homeserver, a_session

DOOR = "/_matrix/client/v3/register"
WATCHED = f"{MINIMAL}registration: {{mode: token, unattended_days: 14}}\n"
DAY = 86400


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """People may register with a token while an administrator looks in, and Synapse goes by the note."""
    machine = Machine(tmp_path)
    a_homeserver(machine, WATCHED)
    machine.internet.synapse[DOOR] = Answer(401, {"flows": [{"stages": ["m.login.registration_token"]}]})

    def systemctl(words: tuple[str, ...]) -> Result:
        if words[0] in ("try-restart", "restart"):
            machine.internet.synapse.pop(DOOR, None)
            if not machine.at(opening.UNATTENDED).exists():
                machine.internet.synapse[DOOR] = Answer(401, {"flows": [{"stages": ["m.login.registration_token"]}]})
        return machine._systemctl(words)

    machine.more["systemctl"] = systemctl
    machine.started.clear()
    return machine


def at(seconds: float) -> str:
    """A moment that is so many seconds away, as notes have it."""
    return opening.written(datetime.fromtimestamp(time.time() + seconds, UTC))


def opened_long_ago(machine: Machine) -> None:
    machine.put(opening.OPENED, f"14 days from {at(-30 * DAY)}\n")


def seen(machine: Machine, days: float) -> None:
    """An administrator was here so many days ago."""
    machine.postgres.says[opening.NEWEST] = [[str(int((time.time() - days * DAY) * 1000))]]


def look(now: Session) -> Finding:
    store = now.site.store("matrix-synapse")
    return Registration(days=14, store=store).look(now.host)


def restarts(machine: Machine) -> int:
    return sum("restart" in word for words in machine.changing() for word in words[1:2])


def test_who_has_just_installed_it_need_not_have_logged_in(machine: Machine) -> None:
    assert closing.close(FakeHost(machine)) is None
    assert not machine.at(opening.UNATTENDED).exists()
    finding = look(a_session(machine, WATCHED))
    assert (finding.state, "unless an administrator looks in" in finding.message) == ("info", True)


def test_an_administrator_who_looks_in_keeps_it_open(machine: Machine) -> None:
    opened_long_ago(machine)
    seen(machine, 13.9)
    assert closing.close(FakeHost(machine)) is None
    assert restarts(machine) == 0


def test_without_one_it_closes_once_and_says_how_to_open_it(machine: Machine) -> None:
    opened_long_ago(machine)
    seen(machine, 14.1)
    late = look(a_session(machine, WATCHED))
    assert (late.state, late.fix) == ("fail", "systemctl start matrix-baremetal-registration")
    assert closing.close(FakeHost(machine)) == (
        "registration is closed, as no administrator has looked in for 14 days; to open it again, log in as an "
        "administrator, then run: matrix-baremetal apply"
    )
    assert restarts(machine) == 1
    assert closing.close(FakeHost(machine)) is None
    assert restarts(machine) == 1
    finding = look(a_session(machine, WATCHED))
    assert (finding.state, finding.next) == ("warn", "log in as an administrator, then: matrix-baremetal apply")


def test_nobody_ever_counts_from_the_opening(machine: Machine) -> None:
    opened_long_ago(machine)
    assert closing.close(FakeHost(machine)) is not None


def test_a_kill_after_the_note_is_made_good_by_the_next_run(machine: Machine) -> None:
    machine.put(opening.UNATTENDED, f"{at(-60)}\n")
    finding = look(a_session(machine, WATCHED))
    assert (finding.state, finding.fix) == ("fail", "systemctl restart matrix-synapse")
    assert closing.close(FakeHost(machine)) is not None
    assert restarts(machine) == 1


def test_a_database_that_does_not_answer_closes_nothing(machine: Machine) -> None:
    opened_long_ago(machine)
    machine.postgres.superuser = "the database system is starting up"
    with pytest.raises(Error, match="does not say when an administrator was here"):
        closing.close(FakeHost(machine))
    assert not machine.at(opening.UNATTENDED).exists()
    assert look(a_session(machine, WATCHED)).state == "info"


def test_nothing_opens_it_before_an_administrator_is_back(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    opened_long_ago(machine)
    first = a_session(machine, WATCHED)
    list(converge(first.resources, first.host, first.manifest))
    closing.close(FakeHost(machine))
    now = a_session(machine, WATCHED)
    assert list(plan(now.resources, now.host, now.manifest)) == []
    [remark] = [each for each in remarks(now.site, now.host) if "registration" in each]
    assert "no administrator looked in for 14 days" in remark
    capsys.readouterr()
    assert apply.bring(now, json=False, quiet=False) == []
    assert "log in as one first" in " ".join(capsys.readouterr().err.split())
    seen(machine, 0)
    machine.put(opening.UNATTENDED, f"{at(-60)}\n")
    again = a_session(machine, WATCHED)
    finding = look(again)
    assert (finding.fix, finding.evidence) == ("matrix-baremetal apply", ("an administrator has been here since",))
    planned = [change.kind for change in plan(again.resources, again.host, again.manifest)]
    assert planned == ["Opening", "Service"]
    list(converge(again.resources, again.host, again.manifest))
    assert not machine.at(opening.UNATTENDED).exists()
    last = a_session(machine, WATCHED)
    assert list(plan(last.resources, last.host, last.manifest)) == []
    assert look(last).state == "info"


def test_another_number_of_days_is_another_opening(machine: Machine) -> None:
    opened_long_ago(machine)
    closing.close(FakeHost(machine))
    now = a_session(machine, WATCHED.replace("14", "30"))
    list(converge(now.resources, now.host, now.manifest))
    assert not machine.at(opening.UNATTENDED).exists()
    assert opening.opened(now.host)[0] == 30


def test_without_the_key_nothing_of_it_stays(machine: Machine) -> None:
    opened_long_ago(machine)
    closing.close(FakeHost(machine))
    now = a_session(machine, f"{MINIMAL}registration: {{mode: token, until: 2099-01-01T00:00Z}}\n")
    list(converge(now.resources, now.host, now.manifest))
    assert list(machine.at(opening.PLACE).iterdir()) == []
    assert closing.close(FakeHost(machine)) is None


@pytest.mark.parametrize(
    ("note", "text"),
    [(opening.OPENED, "nonsense"), (opening.OPENED, "14 days from sometime\n"), (opening.UNATTENDED, "nonsense")],
)
def test_a_note_that_nobody_can_read_opens_nothing(note: str, text: str, machine: Machine) -> None:
    machine.put(note, text)
    assert closing.close(FakeHost(machine)) is not None


def test_the_page_of_status_and_tokens_know_it(machine: Machine) -> None:
    of_use(a_session(machine, WATCHED))
    opened_long_ago(machine)
    closing.close(FakeHost(machine))
    now = a_session(machine, WATCHED)
    page = status.registration(now)
    assert (page["unattended_days"], page["closed"]) == (14, True)
    assert abs(page["unattended_since"] - time.time()) < 60
    assert registers(now, page).endswith(", as no administrator looked in")
    with pytest.raises(Error, match="nobody could use a token"):
        of_use(now)


def test_the_rows_are_where_synapse_has_them(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    a_homeserver(machine, WATCHED)
    theirs, ours = closing.used(FakeHost(machine)), a_session(machine, WATCHED).site.store("matrix-synapse")
    assert isinstance(theirs, PostgresStore)
    assert theirs.settings["args"]["port"] == ours.settings["args"]["port"]
    machine.put(closing.HOMESERVER, "database: {name: sqlite3, args: {database: /d/homeserver.db}}\n")
    assert closing.used(FakeHost(machine)) == SqliteStore("/d/homeserver.db", "matrix-synapse")


@pytest.mark.parametrize(
    ("row", "noted"), [("", True), (f"{closing.DAYS}: 14\n", False), (f"{closing.DAYS}: 14\n", True)]
)
def test_what_starts_goes_by_the_note_and_by_the_config(row: str, noted: bool, tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "units/start-synapse"
    place, note = tmp_path / "synapse/app", tmp_path / "unattended"
    place.mkdir(parents=True)
    (tmp_path / "synapse/__init__.py").touch()
    (place / "__init__.py").touch()
    (place / "homeserver.py").write_text("import json, sys\ndef main(): print(json.dumps(sys.argv[1:]))\n")
    text = script.read_text()
    assert opening.UNATTENDED in text
    here = tmp_path / "start-synapse"
    here.write_text(text.replace(opening.UNATTENDED, str(note)))
    if noted:
        note.write_text("2026-01-01 00:00:00 UTC\n")
    config = tmp_path / "homeserver.yaml"
    config.write_text(f"server_name: example.org\n{row}")
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-B", "-P", here, "-c", config], capture_output=True, check=True, env=env)
    closed = str(tmp_path / "registration-closed.yaml")
    assert json.loads(done.stdout) == ["-c", str(config), *(["-c", closed] if row and noted else [])]
