"""Roles and databases: ours are made and marked, somebody else's are neither adopted nor changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from matrix_baremetal.errors import Error
from matrix_baremetal.resources.clusters import SEEN
from matrix_baremetal.resources.postgres import MAKE_DATABASE, OURS, Database, Role, query
from tests.fake_postgres import Base
from tests.fakes import FakeHost, Machine

NAME = "matrix-synapse"
ROLE, DATABASE = Role(NAME), Database(NAME, owner=NAME)


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(Machine(tmp_path))


def test_what_is_made_carries_our_mark_and_the_c_locale(host: FakeHost) -> None:
    ROLE.make(host, None)
    DATABASE.make(host, None)
    assert host.machine.postgres.roles[NAME] == OURS
    assert host.machine.postgres.bases[NAME] == Base(NAME, "UTF8", "C", "C", OURS)
    assert "TEMPLATE template0" in MAKE_DATABASE
    assert "LOCALE_PROVIDER libc" in MAKE_DATABASE


def test_a_role_without_our_mark_is_left_alone(host: FakeHost) -> None:
    host.machine.postgres.roles[NAME] = "theirs"
    with pytest.raises(Error, match=f"has a role {NAME} already that matrix-baremetal did not make") as caught:
        ROLE.make(host, ROLE.find(host))
    assert caught.value.hint
    assert host.machine.postgres.roles[NAME] == "theirs"


@pytest.mark.parametrize(
    "theirs",
    [
        Base(NAME, tables=3),
        Base(NAME, comment="the shop's"),
        Base("shop"),
        Base(NAME, encoding="SQL_ASCII"),
        Base(NAME, collate="en_US.UTF-8", ctype="en_US.UTF-8"),
        Base(NAME, collate="C", ctype="en_US.UTF-8"),
        Base(NAME, provider="i"),
    ],
)
def test_a_database_of_somebody_else_is_left_alone(theirs: Base, host: FakeHost) -> None:
    host.machine.postgres.bases[NAME] = replace(theirs)
    with pytest.raises(Error, match=f"has a database {NAME} already"):
        DATABASE.make(host, DATABASE.find(host))
    assert host.machine.postgres.bases[NAME] == theirs


def test_an_empty_one_that_a_killed_run_made_is_marked(host: FakeHost) -> None:
    host.machine.postgres.bases[NAME] = Base(NAME)
    DATABASE.make(host, DATABASE.find(host))
    assert DATABASE.find(host) == DATABASE


@pytest.mark.parametrize("wanted", [ROLE, DATABASE])
def test_while_postgres_is_down_nobody_knows_and_nothing_can_be_made(wanted: Role | Database, host: FakeHost) -> None:
    host.machine.unit("postgresql@15-main.service").active = False
    found = wanted.find(host)
    assert found == replace(wanted, known=False)
    assert (wanted.verb(found), wanted.verb(None)) == ("check", "create")
    assert wanted.foreign(host) is None
    with pytest.raises(Error, match="Postgres is not reachable on port 5432") as caught:
        wanted.make(host, found)  # type: ignore[arg-type]
    assert caught.value.hint == "pg_lsclusters"


def test_where_postgres_is_not_installed_there_is_nothing_yet(tmp_path: Path) -> None:
    host = FakeHost(Machine(tmp_path, packages=("nginx",)))
    assert (ROLE.find(host), DATABASE.find(host)) == (None, None)
    assert query(host, 5432, SEEN) == []
    with pytest.raises(Error, match="Postgres is not installed") as caught:
        ROLE.make(host, None)
    assert caught.value.hint == "apt install postgresql"
    assert host.machine.started == []


def test_who_must_have_an_answer_does_not_take_silence_for_none(host: FakeHost) -> None:
    assert query(host, 5432, SEEN, must=True) == [["150013", "0", "0"]]
    host.machine.unit("postgresql@15-main.service").active = False
    assert query(host, 5432, SEEN) == []
    with pytest.raises(Error, match="Postgres is not reachable on port 5432"):
        query(host, 5432, SEEN, must=True)


def test_a_database_that_only_calls_its_locale_c_is_told_apart(host: FakeHost) -> None:
    host.machine.postgres.bases[NAME] = Base(NAME, comment=OURS, provider="i")
    found = DATABASE.find(host)
    assert found
    assert found.locale == "C/C (i)"


def test_in_a_folder_nobody_is_asked(tmp_path: Path) -> None:
    host = FakeHost(Machine(tmp_path), live=False)
    assert query(host, 5432, "SELECT 1;") == []
    assert host.machine.started == []


def test_a_statement_and_its_values_are_never_put_together_by_us(host: FakeHost) -> None:
    nasty = "'; DROP DATABASE x; --"
    Role(nasty).make(host, None)
    [started] = host.machine.started
    assert nasty not in (started.input or "")
    assert f"name={nasty}" in started.argv
    assert nasty in host.machine.postgres.roles


def test_the_port_of_the_cluster_is_the_one_that_is_asked(host: FakeHost) -> None:
    Role(NAME, port=5433).find(host)
    argv = host.machine.started[-1].argv
    assert argv[argv.index("-p") + 1] == "5433"
