"""The database moves to another major release of Postgres: what stands in the way, and cut off anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix_baremetal import facts, postgres_major, preflight, standing
from matrix_baremetal.checks import postgres_release
from matrix_baremetal.checks.postgres_release import Release
from matrix_baremetal.converge import converge
from matrix_baremetal.errors import Error
from matrix_baremetal.resources import cluster_move, clusters
from matrix_baremetal.resources.cluster_move import ClusterMove
from matrix_baremetal.resources.clusters import Cluster
from matrix_baremetal.session import Session
from matrix_baremetal.transfer import Transfer
from tests.fake_clusters import NEW, OLD, STEPS, Clustered, unit
from tests.fake_postgres import Base
from tests.fakes import FakeHost, Killed, a_homeserver, a_session

QUIET = Transfer(quiet=True)
THEIRS = "work_mem = 7MB\n"


@pytest.fixture
def machine(tmp_path: Path) -> Clustered:
    """A homeserver on Postgres 15, beside which 17 has come; a setting of somebody's is in its conf.d."""
    made = Clustered(tmp_path)
    now = a_homeserver(made)
    now.manifest.server_name = "example.org"
    now.manifest.write(now.host)
    made.postgres.bases["matrix-synapse"].version = True
    made.second()
    made.put(f"/etc/postgresql/{OLD}/conf.d/99-own.conf", THEIRS)
    return made


def begun(machine: Clustered) -> Session:
    """What a command begins with, on the cluster that is chosen now."""
    host = FakeHost(machine)
    chosen = clusters.choose(clusters.read(host), facts.used_port(host))
    assert isinstance(chosen, Cluster), chosen
    return a_session(machine, host=host, cluster=chosen)


def obstacles(machine: Clustered, *, with_others: bool = False) -> str:
    """What stands in the way."""
    now = begun(machine)
    move = postgres_major.planned(now)
    assert move
    return "; ".join(o.message for o in postgres_major.obstacles(now, move, with_others=with_others))


def moved(machine: Clustered) -> list[str]:
    """What the command does, from wherever the last run ended."""
    host = FakeHost(machine)
    move = cluster_move.pending(host)
    if move is None:
        now = begun(machine)
        move = postgres_major.planned(now)
        assert move
        assert not [*postgres_major.obstacles(now, move, with_others=False)]
        move.write(host)
    left = []
    if not move.moved:
        postgres_major.carry_out(host, move, QUIET)
        left = postgres_major.held(begun(machine), move, QUIET)
    now = begun(machine)
    preflight.refuse([*standing.moving(host)])
    list(converge(now.resources, now.host, now.manifest))
    cluster_move.forget(host)
    return left


def arrived(machine: Clustered) -> None:
    """The new cluster has the port, the database and our settings; the old one is as it was, and waits."""
    now = begun(machine)
    assert now.site.cluster.version == "17"
    assert (machine.port(NEW), machine.port(OLD)) == (5432, 5433)
    assert machine.servers[NEW].bases.keys() == machine.servers[OLD].bases.keys() == {"matrix-synapse"}
    assert machine.at(f"/etc/postgresql/{OLD}/start.conf").read_text() == "manual\n"
    assert machine.at(f"/etc/postgresql/{NEW}/conf.d/50-matrix-baremetal.conf").exists()
    assert machine.at(f"/etc/postgresql/{NEW}/conf.d/99-own.conf").read_text() == THEIRS
    assert machine.units["matrix-synapse.service"].active
    assert machine.units[unit(NEW)].active
    assert not machine.at(cluster_move.NOTE).exists()
    assert not list(converge(now.resources, now.host, now.manifest))
    assert postgres_major.planned(now) is None


def test_the_whole_way(machine: Clustered) -> None:
    assert moved(machine) == []
    arrived(machine)
    found = Release("17", "main").look(FakeHost(machine))
    assert found.state == "pass"


@pytest.mark.parametrize("step", range(STEPS))
def test_cut_off_anywhere_in_it_the_same_again_ends_in_the_same(machine: Clustered, step: int) -> None:
    machine.cut = step
    with pytest.raises(Killed):
        moved(machine)
    assert machine.at(cluster_move.NOTE).exists()
    assert Release("15", "main").look(FakeHost(machine)).state == "fail"
    with pytest.raises(Error, match="was cut off"):
        preflight.refuse([*standing.moving(FakeHost(machine))])
    # What somebody wrote meanwhile is there: to the old one where that has the port, or to the new one.
    inhabited = machine.servers[NEW if machine.port(NEW) == 5432 != machine.port(OLD) else OLD]
    inhabited.accounts["alice"] = False
    moved(machine)
    arrived(machine)
    assert "alice" in machine.servers[NEW].accounts


def test_a_cluster_that_was_made_by_half_is_no_hindrance(machine: Clustered) -> None:
    machine.cut = 2
    with pytest.raises(Killed):
        moved(machine)
    machine.at(f"/etc/postgresql/{NEW}/postgresql.conf").unlink()
    machine.boot()
    moved(machine)
    arrived(machine)


def test_where_it_fails_all_is_as_it_was(machine: Clustered) -> None:
    machine.fails = "pg_upgrade run failed. Logfiles are in /var/log/postgresql/x"
    with pytest.raises(Error, match="all is as it was: pg_upgrade run failed"):
        moved(machine)
    assert not machine.at(cluster_move.NOTE).exists()
    assert not machine.at(f"/etc/postgresql/{NEW}").exists()
    assert machine.units[unit(OLD)].active
    assert machine.units["matrix-synapse.service"].active
    assert begun(machine).site.cluster.version == "15"
    machine.fails = ""
    moved(machine)
    arrived(machine)


def test_what_did_not_come_along_is_said_with_the_way_back(machine: Clustered) -> None:
    machine.cut = 6
    with pytest.raises(Killed):
        moved(machine)
    machine.servers[NEW].bases["matrix-synapse"] = Base("matrix-synapse", comment="made by matrix-baremetal")
    with pytest.raises(Error, match="the tables of database") as error:
        moved(machine)
    assert "pg_conftool 15 main set port 5432" in str(error.value.hint)


def test_a_setting_of_somebodys_that_the_new_one_refuses_is_put_aside(machine: Clustered) -> None:
    host = FakeHost(machine)
    move = postgres_major.planned(begun(machine))
    assert move
    machine.made(5432)
    machine.refused = refused = f"/etc/postgresql/{NEW}/conf.d/99-own.conf"
    assert move.settings(host) == [f"{refused}.refused"]
    assert host.text(f"{refused}.refused") == THEIRS


def test_databases_of_others_move_only_where_somebody_says_so(machine: Clustered) -> None:
    machine.postgres.bases["shop"] = Base("keeper")
    assert "databases of others too, and moves as a whole: shop (of keeper)" in obstacles(machine)
    assert obstacles(machine, with_others=True) == ""


def test_all_that_is_in_the_way_is_said_before(machine: Clustered) -> None:
    assert obstacles(machine) == ""
    machine.servers[NEW].bases["wiki"] = Base("wiki")
    machine.spares["/var/lib/postgresql"] = 9 << 20
    machine.postgres.says[postgres_major.TABLESPACES] = [["fast"]]
    said = obstacles(machine)
    assert "17/main on port 5433 is in the way: somebody has put databases or roles into it" in said
    assert "/var/lib/postgresql has 9 MB free, and the copy may need 9 MB" in said
    assert "tablespaces, which need a person's eye: fast" in said
    machine.units[unit(NEW)].active = False
    assert "does not say what is in it, as it is down" in obstacles(machine)
    machine.at("/usr/lib/postgresql/15/bin/postgres").unlink()
    assert "the programs of Postgres 15 are gone" in obstacles(machine)


def test_files_without_a_cluster_are_somebodys(machine: Clustered) -> None:
    machine.at(f"/etc/postgresql/{NEW}/postgresql.conf").unlink()
    assert "/var/lib/postgresql/17/main is in the way" in obstacles(machine)


def test_doctor_says_when_it_is_time(machine: Clustered) -> None:
    host = FakeHost(machine)
    found = Release("15", "main").look(host)
    assert (found.state, found.next) == ("warn", "matrix-baremetal migrate postgres-major")
    assert found.message == "Postgres 15 has the database, and Debian has brought Postgres 17"
    machine.put(
        f"/etc/postgresql/{OLD}/start.conf", "# This cluster was upgraded to a newer major version.\nmanual\n"
    )
    found = Release("17", "main").look(host)
    assert found.state == "info"
    assert found.next == "pg_dropcluster --stop 15 main, once you are sure"


def test_the_end_of_a_releases_maintenance_is_said_in_time(tmp_path: Path) -> None:
    machine = Clustered(tmp_path)
    left = (postgres_release.ENDS[13] - postgres_release.today()).days
    assert left < 0, "13 has ended, and this test is about one that has"
    found = Release("13", "main").look(FakeHost(machine))
    assert found.state == "warn"
    machine.at("/usr/lib/postgresql/15").rename(machine.at("/usr/lib/postgresql/13"))
    found = Release("13", "main").look(FakeHost(machine))
    assert "the maintenance of Postgres 13 ended on 2025-11-13" in found.message


def test_a_note_that_makes_no_sense_is_none(machine: Clustered) -> None:
    machine.put(cluster_move.NOTE, "{}")
    assert cluster_move.pending(FakeHost(machine)) is None
    ClusterMove("15", "17", "main", 5432).write(FakeHost(machine))
    assert cluster_move.pending(FakeHost(machine)) == ClusterMove("15", "17", "main", 5432)


def test_where_it_can_not_be_undone_the_same_again_does_it(machine: Clustered) -> None:
    machine.fails, machine.stuck = "No space left on device", True
    with pytest.raises(Error, match="pg_dropcluster"):
        moved(machine)
    assert machine.at(cluster_move.NOTE).exists()
    machine.fails, machine.stuck = "", False
    moved(machine)
    arrived(machine)
