"""Synapse's admin API, asked as an administrator of ours who is there no longer than that takes."""

from __future__ import annotations

import re
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from matrix_baremetal.errors import Error
from matrix_baremetal.net import Answer
from matrix_baremetal.resources import admin_api
from matrix_baremetal.resources.admin_api import LIFETIME, PASSING, AdminApi, Refusal, of_user, pages
from matrix_baremetal.resources.clusters import Cluster
from matrix_baremetal.resources.postgres import literal
from matrix_baremetal.resources.postgres_store import PostgresStore
from tests.fake_net import FakeNet
from tests.fake_postgres import Base
from tests.fakes import FakeHost, Machine


class Heard(FakeNet):
    """The homeserver, and what it was asked with which token."""

    def __init__(self, host: FakeHost) -> None:
        super().__init__(host.machine)
        self.heard: list[tuple[str, str, str | None]] = []

    def ask(
        self,
        method: str,
        port: int,
        path: str,
        body: dict[str, Any] | None = None,
        token: str | None = None,
        timeout: float = 20,
    ) -> Answer:
        """Note, and answer."""
        self.heard.append((method, path, token))
        return super().ask(method, port, path, body, token, timeout)


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    """A machine where Synapse runs."""
    machine = Machine(tmp_path)
    machine.unit("matrix-synapse.service").start()
    machine.asked = 1
    machine.postgres.bases["matrix-synapse"] = Base("matrix-synapse")
    machine.postgres.accounts["@alice:example.org"] = True
    found = FakeHost(machine)
    found.net = Heard(found)
    return found


def opened(host: FakeHost) -> AdminApi:
    return AdminApi(host, "example.org", PostgresStore("matrix-synapse", Cluster("15", "main", 5432)))


def tokens(host: FakeHost) -> list[str | None]:
    """Those that the homeserver was asked with."""
    assert isinstance(host.net, Heard)
    return [token for _, _, token in host.net.heard]


def test_nothing_is_left_when_it_is_closed_and_the_homeserver_has_forgotten_the_token(host: FakeHost) -> None:
    before = host.machine.tree()
    with opened(host) as api:
        assert api.ask("GET", "/v1/registration_tokens") == {"registration_tokens": []}
        [(token, (user, until))] = host.machine.postgres.access.items()
        assert user.startswith(PASSING)
        assert user.endswith(":example.org")
        assert 0 < until / 1000 - time.time() <= LIFETIME
    assert host.machine.postgres.access == {}
    assert host.machine.postgres.forgotten == {token}
    assert host.machine.tree() == before
    with pytest.raises(Refusal, match="Invalid access token"):
        api.ask("GET", "/v1/registration_tokens")


def test_the_token_is_no_word_of_a_program_and_no_part_of_its_environment(host: FakeHost) -> None:
    with opened(host) as api:
        api.ask("GET", "/v1/registration_tokens")
    [token] = set(tokens(host))
    assert token
    assert len(token) >= 40
    assert not any(token in word for s in host.machine.started for word in (*s.argv, *s.env.values()))


def test_it_is_another_user_and_another_token_each_time(host: FakeHost) -> None:
    seen = set()
    for _ in range(3):
        with opened(host):
            seen |= {*host.machine.postgres.access.items()}
    assert len({token for token, _ in seen}) == len({user for _, (user, _) in seen}) == 3


def test_work_that_takes_long_gets_a_new_token_in_time(host: FakeHost) -> None:
    with opened(host) as api:
        api.ask("GET", "/v1/registration_tokens")
        api._opened -= LIFETIME / 2
        api.ask("GET", "/v1/registration_tokens")
    assert len(set(tokens(host))) == 2
    assert host.machine.postgres.access == {}
    assert len(host.machine.postgres.forgotten) == 2


def test_whatever_goes_wrong_it_is_closed_and_what_went_wrong_is_what_is_told(host: FakeHost) -> None:
    host.machine.refuses = "The disk is full"
    with pytest.raises(Refusal, match="the homeserver refused: The disk is full"), opened(host) as api:
        api.ask("PUT", f"/v1{of_user('@alice:example.org')}/admin", {"admin": False})
    assert host.machine.postgres.access == {}
    with pytest.raises(Refusal, match="not found"), opened(host) as api:
        host.machine.units["postgresql@15-main.service"].active = False
        api.ask("GET", f"/v2{of_user('@nobody:example.org')}")


def test_without_a_database_it_is_not_opened(host: FakeHost) -> None:
    host.machine.units["postgresql@15-main.service"].active = False
    with pytest.raises(Error, match="Postgres is not reachable"), opened(host):
        pass
    assert tokens(host) == []


def test_what_a_killed_run_left_is_cleared_once_it_is_of_no_use(host: FakeHost) -> None:
    tables, now = host.machine.postgres, int(time.time() * 1000)
    old, working = f"{PASSING}1:example.org", f"{PASSING}2:example.org"
    tables.access = {"old": (old, now - 1), "at work": (working, now + 60_000)}
    tables.passing = {old, working}
    with opened(host):
        assert len(tables.access) == 2
    assert (list(tables.access), tables.passing) == (["at work"], {working})


def test_without_an_answer_to_the_logout_the_token_has_no_user_and_is_of_no_use(host: FakeHost) -> None:
    with opened(host):
        host.machine.unit("matrix-synapse.service").active = False
    assert len(host.machine.postgres.access) == 1
    assert host.machine.postgres.passing == set()


def test_only_names_that_nobody_can_register_are_cleared() -> None:
    assert PASSING.startswith("@_")
    assert f"substr(user_id, 1, {len(PASSING)}) = '{PASSING}'" in admin_api.CLEAR
    assert f"substr(name, 1, {len(PASSING)}) = '{PASSING}'" in admin_api.REMOVE_USERS


def test_each_statement_stands_alone_and_does_to_real_tables_what_it_says() -> None:
    """On SQLite, which is at hand: the columns are those of Synapse's own schema."""
    base = sqlite3.connect(":memory:", isolation_level=None)
    base.execute(
        "CREATE TABLE users (name TEXT, admin SMALLINT DEFAULT 0 NOT NULL, user_type TEXT, creation_ts BIGINT)"
    )
    base.execute("CREATE TABLE access_tokens (id BIGINT, user_id TEXT, token TEXT UNIQUE, valid_until_ms BIGINT)")
    for number, (user, until) in enumerate((("@alice:a", None), (f"{PASSING}old:a", 5), (f"{PASSING}busy:a", 5000))):
        base.execute("INSERT INTO users (name) VALUES (?)", [user])
        base.execute("INSERT INTO access_tokens VALUES (?, ?, ?, ?)", [number, user, user, until])
    values = {"id": "-7", "name": f"{PASSING}new:a", "token": "t", "now": "1", "moment": "1000", "until": "2000"}

    def does(sql: str) -> None:
        base.execute(re.sub(r":'(\w+)'", r":\1", sql), values)

    for sql in (admin_api.CLEAR, admin_api.ADD_TOKEN, admin_api.ADD_USER):
        does(sql)
    found = [row[0] for row in base.execute("SELECT user_id FROM access_tokens ORDER BY id")]
    assert found == [f"{PASSING}new:a", "@alice:a", f"{PASSING}busy:a"]
    assert list(base.execute("SELECT admin, user_type, creation_ts FROM users WHERE name LIKE '%new%'")) == [
        (1, "support", 1)
    ]
    assert list(base.execute("SELECT typeof(id), typeof(valid_until_ms) FROM access_tokens WHERE token = 't'")) == [
        ("integer", "integer")
    ]
    does(admin_api.REMOVE_USERS)
    assert [row[0] for row in base.execute("SELECT name FROM users")] == ["@alice:a", f"{PASSING}busy:a"]


def test_all_pages_of_an_answer_are_read(host: FakeHost) -> None:
    with opened(host) as api:
        rows = list(pages(api, f"/v1{of_user('@alice:example.org')}/media", "media"))
    assert rows == [{"media_length": 1 << 20}] * 2


def test_a_user_is_one_part_of_a_path_whatever_is_in_the_name() -> None:
    assert of_user("@a/../b?c#d:example.org") == "/users/%40a%2F..%2Fb%3Fc%23d%3Aexample.org"


@pytest.mark.parametrize(
    ("value", "written"), [("$2b$12$a./", "'$2b$12$a./'"), ("it's", "'it''s'"), ("a\\b", "'a\\\\b'")]
)
def test_a_value_is_quoted_as_psql_reads_it(value: str, written: str) -> None:
    assert literal(value) == written
