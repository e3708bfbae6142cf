"""A database of Postgres: what is in the way of it, said before anything changes, and why it can't be used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from matrix_baremetal.errors import Obstacle
from matrix_baremetal.resources.clusters import Cluster
from matrix_baremetal.resources.postgres import OURS
from matrix_baremetal.resources.postgres_store import PostgresStore, quoted
from tests.fake_postgres import Base, FakePostgres
from tests.fakes import FakeHost, Machine

NAME = "matrix-synapse"
STORE = PostgresStore(NAME, Cluster("15", "main", 5432, server=150013, ours=False))


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    machine = Machine(tmp_path)
    machine.users.append(NAME)
    return FakeHost(machine)


def obstacles(host: FakeHost, store: PostgresStore = STORE, processes: int = 1) -> list[Obstacle]:
    before = host.machine.tree()
    found = list(store.obstacles(host, processes=processes, least=15))
    assert host.machine.tree() == before
    assert host.machine.changing() == []
    assert all(obstacle.hint for obstacle in found)
    return found


def test_a_cluster_as_debian_makes_it_is_in_nobodys_way(host: FakeHost) -> None:
    assert obstacles(host) == []


def test_what_we_made_is_not_in_our_way_nor_what_a_killed_run_left(host: FakeHost) -> None:
    host.machine.postgres.roles[NAME] = OURS
    host.machine.postgres.bases[NAME] = Base(NAME)
    assert obstacles(host) == []
    host.machine.postgres.bases[NAME] = Base(NAME, comment=OURS, tables=170, version=True)
    assert obstacles(host) == []


@pytest.mark.parametrize("comment", ["", "theirs"])
def test_a_role_of_somebody_else_is_told(comment: str, host: FakeHost) -> None:
    host.machine.postgres.roles[NAME] = comment
    [found] = obstacles(host)
    assert f"has a role {NAME} already" in found.message


@pytest.mark.parametrize(
    "theirs",
    [
        Base(NAME, tables=3),
        Base(NAME, comment="the shop's"),
        Base("shop"),
        Base("shop", comment=OURS),
        Base(NAME, encoding="SQL_ASCII"),
        Base(NAME, encoding="LATIN1", comment=OURS),
        Base(NAME, collate="en_US.UTF-8", ctype="en_US.UTF-8"),
        Base(NAME, collate="C", ctype="en_US.UTF-8"),
        Base(NAME, provider="i"),
        Base(NAME, provider="b", collate="C.UTF-8", ctype="C.UTF-8"),
    ],
)
def test_a_database_of_somebody_else_is_told(theirs: Base, host: FakeHost) -> None:
    host.machine.postgres.bases[NAME] = replace(theirs)
    [found] = obstacles(host)
    assert f"has a database {NAME} already" in found.message


@pytest.mark.parametrize(("server", "old"), [(150013, False), (140011, True), (170005, False)])
def test_the_release_that_runs_counts_and_not_the_name_of_its_directory(
    server: int, old: bool, host: FakeHost
) -> None:
    found = obstacles(host, replace(STORE, cluster=replace(STORE.cluster, server=server)))
    assert [o.message for o in found] == (
        ["Synapse needs Postgres 15 or newer; that of 15/main on port 5432 is 14"] if old else []
    )


def test_one_that_is_down_is_judged_by_its_directory(host: FakeHost) -> None:
    host.machine.unit("postgresql@15-main.service").active = False
    assert obstacles(host, PostgresStore(NAME, Cluster("15", "main", 5432))) == []
    [found] = obstacles(host, PostgresStore(NAME, Cluster("13", "main", 5432)))
    assert found.hint == "pg_upgradecluster 13 main"


@pytest.mark.parametrize(("rule", "good"), [((96, "peer"), True), ((3, "trust"), True), ((3, "md5"), False)])
def test_the_line_of_pg_hba_that_keeps_us_out_is_told_with_the_one_to_write(
    rule: tuple[int, str], good: bool, host: FakeHost
) -> None:
    host.machine.postgres.rule = rule
    found = obstacles(host)
    assert bool(found) != good
    if found:
        file = "/etc/postgresql/15/main/pg_hba.conf"
        assert f"line 3 of {file} asks for md5, not for peer" in found[0].message
        assert f"into {file}" in found[0].hint
        assert "local matrix-synapse matrix-synapse peer" in found[0].hint


def test_a_pg_hba_without_any_line_for_us_is_told(host: FakeHost) -> None:
    host.machine.postgres.rule = (0, "")
    [found] = obstacles(host)
    assert "no line of /etc/postgresql/15/main/pg_hba.conf is for it" in found.message


def test_a_server_that_does_not_let_its_own_superuser_in_is_told(host: FakeHost) -> None:
    host.machine.postgres.superuser = "fe_sendauth: no password supplied"
    [found] = obstacles(host, PostgresStore(NAME, Cluster("15", "main", 5432)))
    assert "does not let its superuser in" in found.message
    assert "no password supplied" in found.message
    assert "local all postgres peer" in found.hint


def test_connections_that_would_not_be_enough_are_told_with_the_number_that_is(host: FakeHost) -> None:
    host.machine.postgres.connections = (20, 3, 5)
    assert obstacles(host) == []
    [found] = obstacles(host, processes=2)
    assert "takes 20 connections at once, 3 of them" in found.message
    assert "others have 5 now, and Synapse may need 21" in found.message
    assert "set max_connections 29;" in found.hint
    assert obstacles(host, replace(STORE, pool=11)) == []
    assert len(obstacles(host, replace(STORE, pool=12))) == 1


def test_without_a_cluster_that_is_all_there_is_to_say(host: FakeHost) -> None:
    lost = replace(STORE, lost=Obstacle("gone", "look"))
    assert obstacles(host, lost) == [Obstacle("gone", "look")]
    assert lost.trouble(host) == Obstacle("gone", "look")
    assert host.machine.started == []


def the_trouble(host: FakeHost) -> str:
    found = STORE.trouble(host)
    assert host.machine.changing() == []
    if found is None:
        return ""
    assert found.hint
    return found.message


def ours(host: FakeHost) -> FakePostgres:
    """A server with our database."""
    host.machine.postgres.bases[NAME] = Base(NAME, comment=OURS, version=True)
    return host.machine.postgres


def test_a_sound_database_is_no_trouble(host: FakeHost) -> None:
    ours(host)
    assert the_trouble(host) == ""


def test_one_that_is_not_installed_is_in_nobodys_way_and_told(tmp_path: Path) -> None:
    host = FakeHost(Machine(tmp_path, packages=("nginx",)))
    assert obstacles(host) == []
    assert the_trouble(host) == "Postgres is not installed"


def test_one_that_is_down_is_told(host: FakeHost) -> None:
    host.machine.unit("postgresql@15-main.service").active = False
    assert the_trouble(host) == "Postgres does not run on port 5432"


def test_one_without_connections_is_told_whatever_the_language_of_its_words(host: FakeHost) -> None:
    base = ours(host)
    base.refusal, base.connections = "FATAL:  Verbindungen sind aufgebraucht", (20, 3, 17)
    assert the_trouble(host) == (
        "Postgres has no connection left: 17 are in use, of 20 with 3 kept for its superusers"
    )


def test_one_that_a_line_of_pg_hba_closed_is_told(host: FakeHost) -> None:
    base = ours(host)
    base.refusal, base.rule = "FATAL:  Peer-Authentifizierung fehlgeschlagen", (7, "scram-sha-256")
    assert "line 7 of" in the_trouble(host)


@pytest.mark.parametrize("superuser", ["", "FATAL:  sorry, too many clients already"])
def test_else_postgres_says_it_itself(superuser: str, host: FakeHost) -> None:
    base = ours(host)
    base.refusal, base.superuser = "FATAL:  role is not permitted to log in", superuser
    assert the_trouble(host).endswith("does not let matrix-synapse in: psql: error: " + base.refusal)


def test_one_that_takes_no_writes_is_told(host: FakeHost) -> None:
    base = ours(host)
    base.read_only = True
    assert "is read-only" in the_trouble(host)
    base.standby = True
    assert "is a standby" in the_trouble(host)


def test_one_whose_port_was_changed_is_told_until_synapse_knows(host: FakeHost) -> None:
    ours(host)
    found = replace(STORE, used_port=5440).trouble(host)
    assert found == Obstacle("it is looked for on port 5440 of Postgres, and is on 5432", "matrix-baremetal apply")
    assert replace(STORE, used_port=5432).trouble(host) is None


def test_values_are_quoted_by_psql_and_casts_are_none() -> None:
    assert quoted("SELECT a::text FROM t WHERE a = :name AND b=:b;") == (
        "SELECT a::text FROM t WHERE a = :'name' AND b=:'b';"
    )


def test_our_rows_go_by_the_socket_without_a_password() -> None:
    args = replace(STORE, pool=30).settings["args"]
    assert args == {
        "user": NAME,
        "dbname": NAME,
        "host": "/var/run/postgresql",
        "port": 5432,
        "cp_min": 5,
        "cp_max": 30,
    }


def test_before_there_is_a_database_it_has_no_rows_no_tables_and_no_size(host: FakeHost) -> None:
    assert (STORE.rows(host, "SELECT x;"), STORE.tables(host), STORE.size(host), STORE.used(host)) == (
        [],
        0,
        0,
        False,
    )
    ours(host)
    assert (STORE.size(host), STORE.used(host)) == (8388608, True)
