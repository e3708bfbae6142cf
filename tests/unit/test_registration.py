"""Registration that has an end: what is declared, what closes it, and what says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from matrix_baremetal import closing, components, facts, status
from matrix_baremetal.checks.registration import Registration
from matrix_baremetal.commands.status import registers
from matrix_baremetal.commands.token import of_use
from matrix_baremetal.config_registration import end
from matrix_baremetal.converge import converge, plan
from matrix_baremetal.errors import Error
from matrix_baremetal.findings import Finding
from matrix_baremetal.net import Answer
from matrix_baremetal.resources import opening
from matrix_baremetal.resources.files import File
from matrix_baremetal.resources.services import Service
from matrix_baremetal.session import Session
from matrix_baremetal.shell import Result
from matrix_baremetal.standing import remarks
from tests.fakes import MINIMAL, FakeHost, Machine, a_homeserver, a_session, a_site

SCRIPT = Path(__file__).parents[2] / "units/start-synapse"
DOOR = "/_matrix/client/v3/register"
TIMER = "matrix-baremetal-registration.timer"
BERLIN = ZoneInfo("Europe/Berlin")
NEVER = {"unattended_days": None, "unattended_since": None}
PAST, FUTURE = "2026-01-01T00:00Z", "2099-01-01T00:00Z"


def until(moment: str, mode: str = "token") -> str:
    return f"{MINIMAL}registration: {{mode: {mode}, until: {moment!r}}}\n"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine where people may register with a token, as Synapse took it up while that was so."""
    machine = Machine(tmp_path)
    a_homeserver(machine, until(FUTURE))
    machine.internet.synapse[DOOR] = Answer(401, {"flows": [{"stages": ["m.login.registration_token"]}]})

    def systemctl(words: tuple[str, ...]) -> Result:
        if words[0] == "try-restart":
            machine.internet.synapse.pop(DOOR)  # start-synapse sees the end
        return machine._systemctl(words)

    machine.more["systemctl"] = systemctl
    return machine


def written(machine: Machine, moment: str) -> None:
    """Have another end in Synapse's config, as if the clock had come to it."""
    place = machine.at(closing.HOMESERVER)
    text = place.read_text().replace("2099-01-01 00:00:00 UTC", moment)
    place.write_text(text)


def look(machine: Machine, text: str) -> Finding:
    now = a_session(machine, text)
    ends = now.site.closes
    assert ends
    return Registration(opening.written(ends), now.site.here(ends)).look(now.host)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-12-24T18:00", "2026-12-24 17:00:00 UTC"),
        ("2026-07-24 18:00:30", "2026-07-24 16:00:30 UTC"),
        ("2026-12-24T18:00Z", "2026-12-24 18:00:00 UTC"),
        ("2026-12-24T18:00-05:00", "2026-12-24 23:00:00 UTC"),
        ("2026-10-25T02:30", "2026-10-25 00:30:00 UTC"),  # there are two of it, and this is the first
    ],
)
def test_a_moment_is_the_machines_own_unless_it_says_otherwise(text: str, utc: str) -> None:
    assert opening.written(end(text, BERLIN)) == utc


def test_the_machines_zone_is_read_and_not_the_callers(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert facts.read(FakeHost(machine)).zone is UTC
    machine.at("/etc/localtime").write_bytes(Path("/usr/share/zoneinfo/Europe/Berlin").read_bytes())
    zone = facts.read(FakeHost(machine)).zone
    assert a_site(until("2026-12-24T18:00"), zone=zone).closes == datetime(2026, 12, 24, 17, tzinfo=UTC)
    assert a_site(zone=zone).here(datetime(2026, 12, 24, 17, tzinfo=UTC)) == "2026-12-24 18:00 CET"
    machine.put("/etc/localtime", "nonsense")
    assert facts.read(FakeHost(machine)).zone is UTC


def test_the_end_is_in_synapses_config_and_in_the_timer_and_goes_with_it(machine: Machine) -> None:
    now = a_session(machine, until(FUTURE))
    files = {each.path: each.content for each in now.resources if isinstance(each, File)}
    assert f"\n{closing.KEY}: 2099-01-01 00:00:00 UTC\n" in files[closing.HOMESERVER]
    [drop_in] = [text for path, text in files.items() if TIMER in path]
    assert "\nOnCalendar=2099-01-01 00:00:00 UTC\n" in drop_in
    assert machine.units[TIMER].enabled
    closed = a_session(machine)
    list(converge(closed.resources, closed.host, closed.manifest))
    assert closing.KEY not in machine.at(closing.HOMESERVER).read_text()
    assert not machine.units[TIMER].enabled
    assert not machine.at(f"/etc/systemd/system/{TIMER}.d").exists()
    assert not machine.at(opening.PLACE).exists()


def test_without_an_end_there_is_no_timer() -> None:
    for text in (MINIMAL, f"{MINIMAL}registration: token\n"):
        site = a_site(text)
        assert site.closes is None
        assert [r for r in components.resources(site) if isinstance(r, Service) and r.unit == TIMER] == []


def test_nothing_differs_once_the_end_has_come(machine: Machine) -> None:
    """So nobody has to run anything then, and nobody's other edits are carried out by night."""
    now = a_session(machine, until(PAST))
    list(converge(now.resources, now.host, now.manifest))
    again = a_session(machine, until(PAST))
    assert list(plan(again.resources, again.host, again.manifest)) == []
    assert list(remarks(again.site, again.host)) == [
        "registration.until is 2026-01-01 00:00 UTC, which is past, so registration is closed"
    ]


def test_before_the_end_nothing_is_done(machine: Machine) -> None:
    machine.started.clear()
    assert closing.close(FakeHost(machine)) is None
    assert machine.changing() == []
    assert not machine.at(closing.CLOSED).exists()


def test_at_the_end_synapse_is_started_anew_once(machine: Machine) -> None:
    written(machine, "2026-01-01 00:00:00 UTC")
    machine.started.clear()
    assert closing.close(FakeHost(machine)) == "registration is closed since 2026-01-01 00:00:00 UTC"
    assert machine.changing() == [("systemctl", "try-restart", "matrix-synapse.service")]
    machine.started.clear()
    assert closing.close(FakeHost(machine)) is None
    assert machine.changing() == []


def test_a_clock_that_goes_back_opens_nothing(machine: Machine) -> None:
    machine.put(closing.CLOSED, "2099-01-01 00:00:00 UTC\n")
    assert closing.close(FakeHost(machine)) is not None
    finding = look(machine, until(FUTURE))
    assert (finding.state, finding.message) == ("pass", "registration is closed since 2099-01-01 00:00 UTC")


def test_a_homeserver_that_was_stopped_stays_so(machine: Machine) -> None:
    written(machine, "2026-01-01 00:00:00 UTC")
    machine.unit("matrix-synapse.service").active = False
    machine.started.clear()
    assert closing.close(FakeHost(machine)) is None
    assert machine.changing() == []


def test_an_end_that_nobody_can_read_has_come(machine: Machine) -> None:
    written(machine, "sometime")
    assert closing.close(FakeHost(machine)) is not None


def test_doctor_and_status_tell_until_when_and_that_it_is_open_still(machine: Machine) -> None:
    finding = look(machine, until(FUTURE))
    assert (finding.state, finding.message) == (
        "info",
        "people can register, through a gate, until 2099-01-01 00:00 UTC",
    )
    open_still = look(machine, until(PAST))
    assert (open_still.state, open_still.message, open_still.fix) == (
        "fail",
        "registration should be closed since 2026-01-01 00:00 UTC, and is open",
        "systemctl restart matrix-synapse",
    )
    [fault] = [row for row in status.read(a_session(machine, until(PAST))).faults if "registration" in row["fault"]]
    assert fault == {"fault": open_still.message, "next": open_still.fix}
    machine.internet.synapse.pop(DOOR)
    assert look(machine, until(PAST)).state == "pass"
    early = look(machine, until(FUTURE))
    assert (early.state, "nobody can register" in early.message) == ("warn", True)


@pytest.mark.parametrize(
    ("text", "page", "says"),
    [
        (MINIMAL, {"mode": "closed", "until": None, **NEVER, "closed": True}, ""),
        (
            f"{MINIMAL}registration: token\n",
            {"mode": "token", "until": None, **NEVER, "closed": False},
            "with a token is open",
        ),
        (
            until(FUTURE),
            {"mode": "token", "until": 4070908800, **NEVER, "closed": False},
            "; registration with a token is open until 2099-01-01 00:00 UTC",
        ),
        (
            until(PAST),
            {"mode": "token", "until": 1767225600, **NEVER, "closed": True},
            "; registration with a token is closed since 2026-01-01 00:00 UTC",
        ),
    ],
)
def test_the_page_of_status_has_it(text: str, page: dict[str, object], says: str, machine: Machine) -> None:
    now: Session = a_session(machine, text)
    assert status.registration(now) == page
    assert says in registers(now, status.registration(now))


def test_no_token_is_made_that_nobody_could_use(machine: Machine) -> None:
    of_use(a_session(machine, until(FUTURE)))
    with pytest.raises(Error) as caught:
        of_use(a_session(machine, until(PAST)))
    assert caught.value.message == "registration is closed since 2026-01-01 00:00 UTC, so nobody could use a token"


@pytest.fixture
def synapse(tmp_path: Path) -> Path:
    """A Synapse that says what it was started with."""
    place = tmp_path / "synapse/app"
    place.mkdir(parents=True)
    (tmp_path / "synapse/__init__.py").touch()
    (place / "__init__.py").touch()
    (place / "homeserver.py").write_text("import json, sys\ndef main(): print(json.dumps(sys.argv[1:]))\n")
    return tmp_path


@pytest.mark.parametrize(
    ("row", "shut"),
    [
        ("", False),
        (f"{closing.KEY}: 2099-01-01 00:00:00 UTC\n", False),
        (f"{closing.KEY}: '2099-01-01 00:00:00 UTC'\n", False),
        (f"{closing.KEY}: A SECOND AGO\n", True),
        (f"{closing.KEY}: nonsense\n", True),
    ],
)
def test_what_starts_after_the_end_starts_closed(row: str, shut: bool, synapse: Path) -> None:
    """As the timer may be late, and a machine may have been off."""
    config = synapse / "homeserver.yaml"
    row = row.replace("A SECOND AGO", opening.written(datetime.now(UTC) - timedelta(seconds=1)))
    config.write_text(f"server_name: example.org\n{row}")
    words = ["-c", str(config), "-c", "/etc/matrix-synapse/conf.d"]
    env = {**os.environ, "PYTHONPATH": str(synapse), "TZ": "America/New_York"}
    done = subprocess.run([sys.executable, "-B", "-P", SCRIPT, *words], capture_output=True, check=True, env=env)
    closes = SCRIPT.with_name("registration-closed.yaml")
    assert json.loads(done.stdout) == [*words, *(["-c", str(closes)] if shut else [])]
    assert closes.read_text().splitlines()[-1] == "enable_registration: false"


def test_both_read_and_write_the_same_places() -> None:
    script = SCRIPT.read_text()
    assert all(text in script for text in (closing.KEY, closing.CLOSED, opening.FORM))
    assert time.strptime("2026-12-24 17:00:00 UTC", opening.FORM)
