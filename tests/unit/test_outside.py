"""Another address outside: who was told the old one is started again, and nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix_baremetal import calls_start, turn_start
from matrix_baremetal.components.component import FOLLOWS
from matrix_baremetal.converge import converge
from matrix_baremetal.errors import Error
from matrix_baremetal.outside import NOTES, follow, seen, told
from tests.fakes import MINIMAL, FakeHost, Machine, a_session
from tests.unit.test_calls import ON as CALLS

TURN, LIVEKIT, _ = NOTES
BOTH = f"{CALLS}turn: {{enabled: true}}\n"


def bring(machine: Machine, text: str) -> list[str]:
    now = a_session(machine, text)
    return [f"{c.verb} {c.title}" for c in converge(now.resources, now.host, now.manifest) if c.ended]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine at home, with both servers for calls running."""
    machine = Machine(tmp_path)
    machine.addressed("192.168.1.9")
    lead(machine, "8.8.4.4")
    bring(machine, BOTH)
    host = FakeHost(machine)
    turn_start.prepare(host)
    calls_start.prepare(host)
    machine.started.clear()
    return machine


def lead(machine: Machine, *addresses: str) -> None:
    """What the names lead to."""
    machine.resolved |= {"matrix.example.org": addresses, "matrix-rtc.example.org": addresses}


def restarted(machine: Machine) -> list[str]:
    """Who is started again."""
    machine.started.clear()
    list(follow(FakeHost(machine)))
    return [started.argv[-1] for started in machine.started]


def test_the_same_address_restarts_nobody(machine: Machine) -> None:
    assert told(FakeHost(machine), TURN) == told(FakeHost(machine), LIVEKIT) == ("8.8.4.4",)
    assert restarted(machine) == []


def test_another_one_restarts_those_who_were_told_the_old_one(machine: Machine) -> None:
    machine.resolved["matrix.example.org"] = ("9.9.9.9",)
    sentences = list(follow(FakeHost(machine)))
    assert sentences == [f"{TURN} goes by 9.9.9.9 now, and went by 8.8.4.4"]
    assert [started.argv for started in machine.started] == [("systemctl", "try-restart", TURN)]
    turn_start.prepare(FakeHost(machine))
    assert restarted(machine) == []
    lead(machine, "9.9.9.9")
    assert restarted(machine) == [LIVEKIT]


@pytest.mark.parametrize("leads", [(), ("192.168.1.9",), ("2001:db8::9",)])
def test_where_none_can_be_known_the_old_one_stays(leads: tuple[str, ...], machine: Machine) -> None:
    lead(machine, *leads)
    assert restarted(machine) == []


def test_what_does_not_run_is_left_alone(machine: Machine) -> None:
    lead(machine, "9.9.9.9")
    machine.at(NOTES[TURN]).unlink()
    machine.put(NOTES[LIVEKIT], "")
    assert restarted(machine) == []


def test_a_public_address_of_its_own_is_followed_too(machine: Machine) -> None:
    machine.addressed("9.9.9.9", "192.168.1.9", "2001:db8::9")
    assert seen(FakeHost(machine), "matrix.example.org") == ("9.9.9.9",)
    assert restarted(machine) == [TURN, LIVEKIT]


def test_one_that_is_given_is_what_others_see(machine: Machine) -> None:
    bring(machine, BOTH.replace("turn: {", "turn: {external_ip: 8.8.8.8, "))
    turn_start.prepare(FakeHost(machine))
    lead(machine, "9.9.9.9")
    assert told(FakeHost(machine), TURN) == ("8.8.8.8",)
    assert restarted(machine) == [LIVEKIT]


def test_the_timer_is_there_while_either_of_them_is(machine: Machine) -> None:
    turn = f"{MINIMAL}turn: {{enabled: true}}\n"
    assert f"remove {FOLLOWS.unit}" not in bring(machine, turn)
    assert machine.unit(FOLLOWS.unit).active
    assert bring(machine, turn) == []
    assert f"remove {FOLLOWS.unit}" in bring(machine, MINIMAL)
    assert not machine.unit(FOLLOWS.unit).active


def test_one_that_does_not_start_keeps_nobody_else(machine: Machine) -> None:
    lead(machine, "9.9.9.9")
    machine.unit(TURN).broken = True
    told_of = follow(FakeHost(machine))
    assert next(told_of) == f"{LIVEKIT} goes by 9.9.9.9 now, and went by 8.8.4.4"
    with pytest.raises(Error):
        next(told_of)
