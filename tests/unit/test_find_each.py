"""What a kind finds of several of its things by one look, and how long that holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import pytest

from matrix_baremetal.converge import converge, plan
from matrix_baremetal.host import Host
from matrix_baremetal.manifest import Manifest
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.services import Service
from tests.fakes import FakeHost, Machine

UNIT = "matrix-synapse.service"


@dataclass(frozen=True)
class Alone(Resource):
    """A file that finds itself."""

    path: str

    def find(self, host: Host) -> Self | None:
        return None if host.node(self.path) is None else self

    def make(self, host: Host, found: Self | None) -> None:
        host.write(self.path, "", 0o644)


@dataclass(frozen=True)
class Together(Alone):
    """A file that is found with others of its kind; its path is added to /looks where it looked by itself."""

    @classmethod
    def find_each(cls, wanted: Sequence[Self], host: Host) -> Sequence[Self | None]:
        return [super(Together, each).find(host) for each in wanted]

    def find(self, host: Host) -> Self | None:
        host.write("/looks", f"{host.text('/looks') or ''}{self.path} ", 0o644)
        return super().find(host)


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    """A machine with a running unit, and three of four files."""
    machine = Machine(tmp_path, packages=())
    for path in ("/etc/conf", "/a", "/b", "/c"):
        machine.put(path, "one")
    host = FakeHost(machine)
    Service(UNIT, reads=("/etc/conf",)).make(host, None)
    machine.started.clear()
    return host


def test_where_nothing_changes_nobody_looks_alone(host: FakeHost) -> None:
    things = [Alone("/a"), Together("/b"), Together("/c"), Together("/b")]
    assert list(plan(things, host, Manifest())) == []
    assert list(converge(things, host, Manifest())) == []
    assert host.text("/looks") is None


def test_a_plan_changes_nothing_and_needs_no_second_look(host: FakeHost) -> None:
    things = [Together("/b"), Alone("/d"), Together("/c")]
    assert [change.name for change in plan(things, host, Manifest())] == ["/d"]
    assert host.text("/looks") is None


def test_what_comes_after_a_change_looks_at_its_turn(host: FakeHost) -> None:
    things = [Together("/b"), Alone("/d"), Together("/d"), Together("/c")]
    assert {change.name for change in converge(things, host, Manifest())} == {"/d"}
    assert host.text("/looks") == "/d /c "


def test_systemd_is_asked_once_about_all_units(host: FakeHost) -> None:
    running = Service(UNIT, reads=("/etc/conf",))
    wanted = [running, Service("nginx.service"), Service("matrix-turn.service"), replace(running, reads=())]
    host.machine.put("/etc/conf", "two")
    alone = [each.find(host) for each in wanted]
    assert [found and found.stale for found in alone] == [True, None, False, False]
    host.machine.started.clear()
    assert Service.find_each(wanted, host) == alone
    assert len(host.machine.started) == 1


def test_in_a_folder_nothing_is_asked_of_systemd(tmp_path: Path) -> None:
    host = FakeHost(Machine(tmp_path), live=False)
    assert Service.find_each([Service(UNIT)], host) == ()
    assert host.machine.started == []
