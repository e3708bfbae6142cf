"""Several Postgres clusters: which is ours, the same at every run, and said where nobody can know."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from matrix_baremetal.errors import Obstacle
from matrix_baremetal.resources import clusters
from matrix_baremetal.resources.clusters import Cluster, choose
from matrix_baremetal.resources.postgres import OURS
from tests.fake_postgres import Base
from tests.fakes import FakeHost, Machine

# Three that run, and have no database of ours.
OLD = Cluster("15", "main", 5432, server=150013, ours=False)
NEW = Cluster("17", "main", 5433, server=170005, ours=False)
SHOP = Cluster("17", "shop", 5434, server=170005, ours=False)


def down(cluster: Cluster) -> Cluster:
    """The same, without an answer."""
    return replace(cluster, server=0, ours=None)


def with_ours(cluster: Cluster) -> Cluster:
    """The same, with a database that we made."""
    return replace(cluster, ours=True)


@pytest.mark.parametrize(
    ("there", "best"),
    [
        ((OLD,), OLD),
        ((NEW,), NEW),
        ((down(NEW),), NEW),
        ((replace(NEW, boots=False),), NEW),
        # Debian's own, on the standard port.
        ((OLD, NEW, SHOP), OLD),
        ((SHOP, NEW, OLD), OLD),
        # An upgrade leaves the old one behind, which no boot starts.
        ((replace(OLD, port=5433, boots=False), replace(NEW, port=5432)), replace(NEW, port=5432)),
        ((NEW, replace(SHOP, boots=False)), NEW),
        # What an earlier run began goes on there.
        ((OLD, with_ours(NEW), SHOP), NEW),
        ((OLD, replace(NEW, tuned=True), SHOP), NEW),
    ],
)
def test_the_first_choice_is_what_nobody_can_take_for_another(there: tuple[Cluster, ...], best: Cluster) -> None:
    chosen = choose(there, None)
    assert isinstance(chosen, Cluster)
    assert (chosen.version, chosen.name) == (best.version, best.name)


@pytest.mark.parametrize(
    "there",
    [
        (NEW, SHOP),
        (OLD, replace(NEW, port=5432)),
        (with_ours(OLD), with_ours(NEW)),
        (replace(NEW, boots=False), replace(SHOP, boots=False)),
    ],
)
def test_where_two_are_as_good_none_is_chosen(there: tuple[Cluster, ...]) -> None:
    found = choose(there, None)
    assert isinstance(found, Obstacle)
    assert f"several Postgres clusters: {there[0].title} and {there[1].title}" in found.message
    assert "start.conf" in found.hint


def test_without_any_it_is_said() -> None:
    found = choose((), None)
    assert isinstance(found, Obstacle)
    assert "pg_createcluster" in found.hint


@pytest.mark.parametrize(
    ("there", "used", "best"),
    [
        ((OLD, with_ours(NEW), SHOP), 5433, NEW),
        # It is down, and will come back.
        ((OLD, down(NEW), SHOP), 5433, NEW),
        # After an upgrade the new one has the old one's port, and both have the database.
        ((with_ours(replace(OLD, port=5433)), with_ours(replace(NEW, port=5432))), 5432, NEW),
        # Its port was changed.
        ((with_ours(OLD),), 5440, OLD),
        ((with_ours(replace(NEW, port=5440)), OLD), 5433, NEW),
        # Two changed places.
        ((with_ours(replace(NEW, port=5432)), replace(OLD, port=5433)), 5433, NEW),
    ],
)
def test_what_synapse_uses_stays_whatever_else_there_is(there: tuple[Cluster, ...], used: int, best: Cluster) -> None:
    chosen = choose(there, used)
    assert isinstance(chosen, Cluster)
    assert (chosen.version, chosen.name) == (best.version, best.name)


@pytest.mark.parametrize(
    ("there", "used"),
    [
        ((OLD,), 5432),
        ((OLD, NEW), 5440),
        ((OLD, down(NEW)), 5432),
        ((down(NEW),), 5440),
        ((), 5432),
    ],
)
def test_what_is_gone_is_never_begun_anew_somewhere_else(there: tuple[Cluster, ...], used: int) -> None:
    found = choose(there, used)
    assert isinstance(found, Obstacle)
    assert f"in the Postgres cluster on port {used}, is gone" in found.message
    assert all(c.title in found.message for c in there)


def put(machine: Machine, version: str, name: str, text: str, start: str = "auto\n") -> None:
    """A cluster's files."""
    machine.put(f"/etc/postgresql/{version}/{name}/postgresql.conf", text)
    machine.put(f"/etc/postgresql/{version}/{name}/start.conf", start)


@pytest.mark.parametrize("line", ["port=5440", "port = '5440'", "port 5440"])
def test_all_are_read_with_their_last_port_and_whether_they_start(tmp_path: Path, line: str) -> None:
    machine = Machine(tmp_path)
    machine.at("/etc/postgresql/15/main/postgresql.conf").unlink()
    machine.at("/etc/postgresql/common").mkdir()
    put(machine, "15", "main", f"#port = 1\nport = 1\n {line} # the last one counts\n", "# auto\nmanual # not now\n")
    put(machine, "17", "main", "")
    machine.put("/etc/postgresql/17/main/conf.d/50-matrix-baremetal.conf", "")
    old, new = clusters.read(FakeHost(machine))
    assert (old.version, old.port, old.boots, old.tuned) == ("15", 5440, False, False)
    assert (new.version, new.port, new.boots, new.tuned) == ("17", 5432, True, True)


def test_databases_say_whose_a_cluster_is(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    [found] = clusters.read(FakeHost(machine))
    assert (found.server, found.major, found.shared, found.ours) == (150013, 15, False, False)
    machine.postgres.bases["matrix-synapse"] = Base("matrix-synapse", comment=OURS)
    [found] = clusters.read(FakeHost(machine))
    assert (found.shared, found.ours) == (False, True)
    # What a restore or a move left there.
    for name, mark in (("before-1", "kept by matrix-baremetal restore"), ("restored", f"{OURS} by a first pass")):
        machine.postgres.bases[f"matrix-synapse-{name}"] = Base("matrix-synapse", comment=mark)
    [found] = clusters.read(FakeHost(machine))
    assert (found.shared, found.ours) == (False, True)
    machine.postgres.bases["shop"] = Base("postgres")
    [found] = clusters.read(FakeHost(machine))
    assert (found.shared, found.ours) == (True, True)


def test_one_that_does_not_answer_counts_as_somebody_elses_too(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.unit("postgresql@15-main.service").active = False
    [found] = clusters.read(FakeHost(machine))
    assert (found.shared, found.ours, found.server, found.major) == (True, None, 0, 15)
