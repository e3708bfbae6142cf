"""What an operator reads of versions: before an upgrade, of one, and in status, plan and doctor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from matrix_baremetal import report, status
from matrix_baremetal.checks.homeserver import Version
from matrix_baremetal.commands import upgrade as command
from matrix_baremetal.errors import Obstacle
from matrix_baremetal.net import Answer
from matrix_baremetal.release import Release, write
from matrix_baremetal.session import Session
from matrix_baremetal.versions import Known
from tests.fakes import Machine, a_homeserver

Captured = pytest.CaptureFixture[str]
OLD, NEW = "1.162.0", "1.163.2"


@pytest.fixture
def now(tmp_path: Path) -> Session:
    """A session of a machine that is to run the older version."""
    made = a_homeserver(Machine(tmp_path))
    return replace(made, site=replace(made.site, versions=made.site.versions.running(OLD)))


def test_the_page_of_what_there_is(now: Session, capsys: Captured) -> None:
    command.looked(now, [])
    out = capsys.readouterr().out
    assert f"Synapse {OLD} runs here; this matrix-baremetal has {NEW}." in out
    assert f"  {NEW}  security release" in out
    assert out.splitlines()[-1] == "To have it: matrix-baremetal upgrade"
    command.looked(now, [Obstacle("something is in the way", "move it")])
    assert "✗ something is in the way\n  next: move it" in capsys.readouterr().out
    found = command.outlook(now, [Obstacle("a", "b")])
    assert (found["runs"], found["newest"], found["rollback"]) == (OLD, NEW, None)
    assert found["newer"] == [{"version": NEW, "security": True}]
    assert found["obstacles"] == [{"message": "a", "hint": "b"}]


def test_how_an_upgrade_ended(capsys: Captured) -> None:
    rows = {"server_name": "example.org", "from": OLD, "to": NEW, "seconds": 12.3, "changes": [], "rollback": OLD}
    command.told({**rows, "backup": "/a/backup"})
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"example.org runs Synapse {NEW} now, {OLD} before, after 12 s.",
        "What the database was before: /a/backup",
        "To go back: matrix-baremetal rollback",
    ]
    command.told({**rows, "to": OLD, "backup": None})
    assert "already. There is nothing to do" in capsys.readouterr().out


def test_status_and_plan_say_that_there_is_something_newer(now: Session, capsys: Captured) -> None:
    assert status.read(now).newer == [{"version": NEW, "security": True}]
    report.plan(now.site, [], [], json=False, verbose=False)
    assert f"Synapse {OLD} runs here, and {NEW}, which mends security holes, is there" in capsys.readouterr().out
    newest = replace(now.site, versions=now.site.versions.running(NEW))
    assert report.newer(newest) == ""


def test_status_says_that_an_upgrade_was_cut_off(now: Session) -> None:
    write(now.host, Release(OLD, trial=NEW))
    assert f"an upgrade to Synapse {NEW} did not come to its end" in [row["fault"] for row in status.read(now).faults]


@pytest.mark.parametrize(
    ("newer", "state"), [((), "pass"), ((Known("9.0"),), "info"), ((Known("9.1"), Known("9.0", True)), "warn")]
)
def test_doctor_warns_of_holes_that_a_newer_one_mends(now: Session, newer: tuple[Known, ...], state: str) -> None:
    finding = Version(NEW, "1.157.2", newer).look(now.host)
    assert (finding.state, finding.next) == (state, "matrix-baremetal upgrade" if newer else "")


def test_below_the_minimum_the_way_out_is_an_upgrade(now: Session) -> None:
    machine = now.host.machine  # type: ignore[attr-defined]
    machine.internet.synapse["/_synapse/admin/v1/server_version"] = Answer(200, {"server_version": "1.150.0"})
    finding = Version("1.150.0", "1.157.2").look(now.host)
    assert (finding.state, finding.next) == ("fail", "matrix-baremetal upgrade")
