"""What is said of databases before the first change: none is left behind, nor somebody else's in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix_baremetal import preflight
from matrix_baremetal.converge import converge
from matrix_baremetal.errors import Obstacle
from matrix_baremetal.preflight import Refused
from matrix_baremetal.resources import clusters
from matrix_baremetal.resources.postgres import OURS
from matrix_baremetal.session import Session
from tests.fake_postgres import Base
from tests.fakes import MINIMAL, FakeHost, Machine, a_session

SQLITE = f"{MINIMAL}database: sqlite\n"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def one(obstacles: object) -> Obstacle:
    """The one obstacle that there is."""
    [obstacle] = list(obstacles)  # type: ignore[call-overload]
    assert isinstance(obstacle, Obstacle)
    assert obstacle.hint
    return obstacle


def databases(now: Session) -> list[Obstacle]:
    return list(preflight.databases(now.site, now.needs, now.host))


@pytest.mark.parametrize(("first", "second"), [(MINIMAL, SQLITE), (SQLITE, MINIMAL)])
def test_a_database_of_the_other_kind_is_refused_where_there_is_one_already(
    first: str, second: str, machine: Machine
) -> None:
    now = a_session(machine, first)
    list(converge(now.resources, now.host, now.manifest))
    assert list(preflight.same_store(now.site, now.host)) == []
    other = a_session(machine, second)
    obstacle = one(preflight.same_store(other.site, other.host))
    assert "would begin without any" in obstacle.message
    assert f"set database: {now.site.config.database}" in obstacle.hint
    before = machine.tree()
    with pytest.raises(Refused, match="would begin without any"):
        preflight.check(other.site, other.needs, other.host, other.manifest)
    assert machine.tree() == before


def test_a_database_of_the_other_kind_is_seen_with_synapses_config_lost_too(machine: Machine) -> None:
    machine.postgres.bases["matrix-synapse"] = Base("matrix-synapse", comment=OURS, version=True)
    now = a_session(machine, SQLITE)
    assert "keeps its accounts and messages in postgres" in one(preflight.same_store(now.site, now.host)).message
    now = a_session(machine)
    assert list(preflight.same_store(now.site, now.host)) == []


def test_all_that_postgres_has_in_our_way_is_told_before_the_first_change(machine: Machine) -> None:
    machine.postgres.server, machine.postgres.rule = 140011, (3, "md5")
    machine.postgres.roles["matrix-synapse"] = ""
    machine.postgres.connections = (10, 3, 0)
    [cluster] = clusters.read(FakeHost(machine))
    found = databases(a_session(machine, cluster=cluster))
    assert len(found) == 4
    assert databases(a_session(machine, SQLITE, cluster=cluster)) == []
