"""doctor --fix: what needs no thought is mended after a look, causes first, and then looked at again."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

import pytest

from matrix_baremetal.checks.check import Check
from matrix_baremetal.commands import doctor as command
from matrix_baremetal.commands import doctor_fix
from matrix_baremetal.commands.init import Unanswered
from matrix_baremetal.converge import converge
from matrix_baremetal.doctor import examine
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.shell import Result
from tests.check_breaks import SITE, a_machine
from tests.fakes import FakeHost, Machine, a_session

YES = Namespace(yes=True, json=False, config="/srv/other.yaml")


@dataclass(frozen=True)
class Lamp(Check):
    """Whether a file is there."""

    form = "lamp.{0.name}"
    asks = "a lamp is lit"
    name: str
    fix: str

    def look(self, host: Host) -> Finding:
        path = f"/lamps/{self.name}"
        return self.fine("lit") if host.node(path) else self.failed("dark", next="look", fix=self.fix)


def lamps(*rows: tuple[str, str]) -> list[Check]:
    return [Lamp(name, fix) for name, fix in rows]


def mended(machine: Machine, checks: list[Check], args: Namespace = YES) -> dict[str, str]:
    host = FakeHost(machine)
    findings = examine(checks, host)
    return {each.id: each.state for each in doctor_fix.mended(host, checks, findings, args)}


def test_a_site_is_mended_by_our_own_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine = a_machine(tmp_path, SITE)
    ran: list[tuple[str, ...]] = []

    def ourselves(words: tuple[str, ...]) -> Result:
        ran.append(words)
        now = a_session(machine, SITE)
        list(converge(now.resources, now.host, now.manifest))
        return Result(0, "", "")

    machine.ourselves = ourselves
    machine.put("/etc/matrix-synapse/log.yaml", "version: 2\n")
    machine.unit("nginx.service").active = False
    checks = command.of(a_session(machine, SITE))
    host = FakeHost(machine)
    after = doctor_fix.mended(host, checks, examine(checks, host), YES)
    assert [each for each in after if each.state == "fail"] == []
    assert ran == [("apply", "--config", "/srv/other.yaml")]
    said = capsys.readouterr().out
    assert "matrix-baremetal apply" in said and "drift" in said and "units.nginx" in said
    assert "done" in said


def test_nobody_agreed_so_nothing_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine = Machine(tmp_path)
    with pytest.raises(Unanswered):
        mended(machine, lamps(("a", "systemctl restart a")), Namespace(yes=False, json=False, config=None))
    assert machine.changing() == []
    assert "systemctl restart a  lamp.a" in capsys.readouterr().out


def test_what_its_cause_has_mended_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine = Machine(tmp_path)

    def ourselves(words: tuple[str, ...]) -> Result:
        machine.put("/lamps/a", "")
        machine.put("/lamps/b", "")
        return Result(0, "", "")

    machine.ourselves = ourselves
    checks = lamps(("a", "matrix-baremetal apply"), ("b", "systemctl restart b"), ("c", ""))
    assert mended(machine, checks) == {"lamp.c": "fail", "lamp.a": "pass", "lamp.b": "pass"}
    assert not [argv for argv in machine.changing() if "restart" in argv]
    assert "not needed any more: systemctl restart b" in capsys.readouterr().out


def test_one_that_fails_is_said_and_the_others_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine = Machine(tmp_path)

    def ourselves(words: tuple[str, ...]) -> Result:
        machine.put("/lamps/b", "")
        return Result(3, "", "")

    machine.ourselves = ourselves
    checks = lamps(("a", "systemctl restart nobody"), ("b", "matrix-baremetal apply"))
    assert mended(machine, checks) == {"lamp.a": "fail", "lamp.b": "pass"}
    said = capsys.readouterr().out
    assert "systemctl restart nobody: failed: " in said
    assert "matrix-baremetal apply: done" in said


def test_where_nothing_needs_no_thought_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert mended(Machine(tmp_path), lamps(("a", ""))) == {"lamp.a": "fail"}
    assert "nothing was found that doctor can mend by itself" in capsys.readouterr().out
