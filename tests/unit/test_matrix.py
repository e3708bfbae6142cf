"""What only a homeserver has: a config that it approves of, readiness, and accounts by its shared secret."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix_baremetal.connections import POOL
from matrix_baremetal.errors import Error
from matrix_baremetal.net import Answer, Net
from matrix_baremetal.resources.clusters import Cluster
from matrix_baremetal.resources.matrix import (
    CHECK,
    Account,
    Homeserver,
    HomeserverConfig,
    register,
    users,
)
from matrix_baremetal.resources.postgres_store import PostgresStore
from tests.fake_postgres import Base
from tests.fakes import FakeHost, Machine

SECRET_FILE = "/etc/secret"
CONFIG = HomeserverConfig(
    "/etc/homeserver.yaml",
    "server_name: example.org\nkey: /run/credentials/matrix-synapse.service/signing_key\n",
    0o640,
    unit="matrix-synapse.service",
    python="/venv/bin/python",
    credentials=("signing_key:/signing.key",),
    more=("/etc/conf.d",),
)


class Script(Net):
    """A homeserver that gives these answers, and notes what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, dict[str, Any] | None]] = []

    def ask(
        self,
        method: str,
        port: int,
        path: str,
        body: dict[str, Any] | None = None,
        token: str | None = None,
        timeout: float = 20,
    ) -> Answer:
        self.asked.append((method, path, body))
        return self.answers.pop(0)


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    machine = Machine(tmp_path)
    machine.put(SECRET_FILE, "shared\n", 0o600)
    return FakeHost(machine)


def test_an_account_is_made_by_a_nonce_and_an_hmac_over_it(host: FakeHost) -> None:
    net = Script(Answer(200, {"nonce": "n0nce"}), Answer(200, {}))
    host.net = net
    register(host, "alice", "pässword", True, SECRET_FILE)
    [_, (method, path, body)] = net.asked
    assert (method, path) == ("POST", "/_synapse/admin/v1/register")
    words = b"n0nce\0alice\0p\xc3\xa4ssword\0admin"
    mac = hmac.new(b"shared", words, hashlib.sha1).hexdigest()
    words_sent = {"nonce": "n0nce", "username": "alice", "password": "pässword", "admin": True, "mac": mac}
    assert body == {**words_sent, "inhibit_login": True}


def test_someone_who_is_no_administrator_is_none_in_the_hmac_too(host: FakeHost) -> None:
    net = Script(Answer(200, {"nonce": "n"}), Answer(200, {}))
    host.net = net
    register(host, "bob", "p", False, SECRET_FILE)
    body = net.asked[1][2]
    assert body
    assert body["mac"] == hmac.new(b"shared", b"n\0bob\0p\0notadmin", hashlib.sha1).hexdigest()


def test_synapses_own_sentence_reaches_the_operator_and_the_password_does_not(host: FakeHost) -> None:
    host.net = Script(Answer(200, {"nonce": "n"}), Answer(400, {"error": "User ID already taken."}))
    with pytest.raises(Error, match="made no account alice: User ID already taken") as caught:
        register(host, "alice", "hunter2", True, SECRET_FILE)
    assert "hunter2" not in str(caught.value)


def test_an_answer_without_a_sentence_is_told_by_its_status() -> None:
    assert Answer(500, {}).error == "status 500"
    assert Answer(0, {}).error == "nobody answers"
    assert Answer(403, {"error": "no"}).error == "no"


@pytest.mark.parametrize(
    ("status", "code", "ready"),
    [
        (404, "M_NOT_FOUND", True),
        (404, "M_UNRECOGNIZED", False),
        (404, None, False),
        (200, "M_NOT_FOUND", False),
        (500, "M_UNKNOWN", False),
        (502, None, False),
        (0, None, False),
    ],
)
def test_ready_means_that_an_alias_that_nobody_has_is_not_found(
    status: int, code: str | None, ready: bool, host: FakeHost
) -> None:
    answer = Answer(status, {"errcode": code} if code else {})
    net = Script(*[answer] * 2 * POOL)
    host.net = net
    wanted = Homeserver("example.org")
    assert wanted.find(host) == replace(wanted, ready=ready)
    wanted.find(host)
    assert net.asked[0][1].startswith("/_matrix/client/v3/directory/room/%23nobody-")
    assert net.asked[0][1].endswith("%3Aexample.org")
    assert net.asked[0][1] != net.asked[1][1], "Synapse could answer the same alias from its cache"


def test_it_waits_until_the_homeserver_is_ready(host: FakeHost) -> None:
    good = [Answer(404, {"errcode": "M_NOT_FOUND"})]
    net = Script(Answer(0, {}), Answer(502, {}), Answer(404, {}), *good, Answer(500, {}), *good * POOL)
    host.net = net
    Homeserver("example.org").make(host, None)
    assert net.answers == []


def test_one_good_answer_is_not_enough_while_other_connections_to_the_database_are_dead(host: FakeHost) -> None:
    good = Answer(404, {"errcode": "M_NOT_FOUND"})
    host.net = Script(good, good, Answer(500, {}))
    assert Homeserver("example.org").find(host) == Homeserver("example.org", ready=False)


def test_a_config_is_checked_by_synapse_with_credentials_of_the_checking_unit(host: FakeHost) -> None:
    CONFIG.make(host, None)
    asked = [s.argv[0] for s in host.machine.started if "matrix-synapse-check.service" in " ".join(s.argv)]
    assert asked == ["systemctl", "systemd-run"], "the check of a run that was killed is in the way of another"
    [started] = [s for s in host.machine.started if s.argv[0] == "systemd-run"]
    line = " ".join(started.argv)
    for words in (
        "--unit=matrix-synapse-check.service",
        "--property=LoadCredential=signing_key:/signing.key",
        f"-m synapse.config -c {CHECK}/homeserver.yaml -c /etc/conf.d --no-secrets-in-config",
    ):
        assert words in line
    assert host.text("/etc/homeserver.yaml") == CONFIG.content
    assert host.node(CHECK) is None


def test_a_config_that_synapse_refuses_leaves_the_old_one_and_says_why(host: FakeHost) -> None:
    host.write("/etc/homeserver.yaml", "old", 0o640)
    host.machine.says["systemd-run"] = "Error in configuration at 'max_upload_size'"
    with pytest.raises(
        Error, match=r"does not accept the new .* the old one stays: Error in configuration at"
    ) as caught:
        CONFIG.make(host, CONFIG.find(host))
    assert "synapse.settings" in (caught.value.hint or "")
    assert host.text("/etc/homeserver.yaml") == "old"
    assert host.node(CHECK) is None


def test_in_a_folder_there_is_no_synapse_to_ask(tmp_path: Path) -> None:
    host = FakeHost(Machine(tmp_path), live=False)
    CONFIG.make(host, None)
    assert host.machine.started == []


@pytest.mark.parametrize("text", [None, "", "\n", "\r\n"])
def test_an_account_needs_a_password_in_its_file(text: str | None, host: FakeHost) -> None:
    if text is not None:
        host.machine.put("/password", text)
    with pytest.raises(Error, match="no password in /password"):
        Account("@alice:example.org", password_file="/password").make(host, None)


def test_a_password_in_another_encoding_is_none(host: FakeHost) -> None:
    host.machine.put("/password", "")
    host.machine.at("/password").write_bytes("pässword\n".encode("latin-1"))
    with pytest.raises(Error, match="/password should hold a password in UTF-8"):
        Account("@alice:example.org", password_file="/password").make(host, None)


STORE = PostgresStore("matrix-synapse", Cluster("15", "main", 5432))
ALICE = Account(
    "@alice:example.org",
    True,
    store=STORE,
    secret_file=SECRET_FILE,
    password_file="/secrets/passwords/alice",
    invent=lambda: "made-up",
)


def with_accounts(host: FakeHost, **accounts: bool) -> None:
    """The homeserver's database, with these accounts."""
    host.machine.postgres.bases["matrix-synapse"] = Base("matrix-synapse")
    host.machine.postgres.accounts |= {f"@{name}:example.org": admin for name, admin in accounts.items()}
    runs(host)


def runs(host: FakeHost) -> None:
    """Synapse runs, and has been asked before."""
    host.machine.unit("matrix-synapse.service").start()
    host.machine.asked = 1


def test_an_account_that_exists_is_promoted_where_it_should_be_an_administrator(host: FakeHost) -> None:
    with_accounts(host, alice=False, bob=False)
    ALICE.make(host, ALICE.find(host))
    assert ALICE.find(host) == ALICE
    assert host.machine.postgres.accounts == {"@alice:example.org": True, "@bob:example.org": False}
    assert host.node("/secrets") is None, "its password is its own"


def test_an_administrator_is_never_made_less(host: FakeHost) -> None:
    with_accounts(host, alice=True)
    wanted = replace(ALICE, admin=False)
    wanted.make(host, wanted.find(host))
    assert host.machine.postgres.accounts == {"@alice:example.org": True}


HASH = "$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"
BY_HASH = replace(ALICE, password_file="", invent=None, password_hash=HASH)


def test_an_account_with_a_hash_has_no_password_until_it_has_that(host: FakeHost) -> None:
    with_accounts(host)
    BY_HASH.make(host, BY_HASH.find(host))
    assert BY_HASH.find(host) == BY_HASH
    assert host.machine.postgres.accounts == {"@alice:example.org": True}
    assert host.machine.postgres.hashes == {"@alice:example.org": HASH}
    assert host.machine.passwords == {}
    words = [word for started in host.machine.started for word in (*started.argv, *started.env.values())]
    assert not any(HASH in word for word in words)
    assert HASH not in repr(BY_HASH) + str(BY_HASH.differences(None))


@pytest.mark.parametrize("hashed", [True, False])
def test_whoever_has_a_password_or_is_deactivated_keeps_that_whatever_the_hash(hashed: bool, host: FakeHost) -> None:
    with_accounts(host, alice=True)
    user, tables = "@alice:example.org", host.machine.postgres
    if hashed:
        tables.hashes[user] = "of another password"
    else:
        tables.deactivated.add(user)
    assert BY_HASH.find(host) == BY_HASH
    BY_HASH.make(host, replace(BY_HASH, admin=False))
    assert tables.hashes == ({user: "of another password"} if hashed else {})


def test_a_password_file_that_everybody_may_read_is_said(host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    with_accounts(host)
    wanted = replace(ALICE, password_file="/alice", invent=None)
    host.machine.put("/alice", "hunter2\n", 0o644)
    host.net = Script(Answer(200, {"nonce": "n"}), Answer(200, {}))
    wanted.make(host, None)
    err = capsys.readouterr().err
    assert "warning: the mode of /alice lets every user of this machine read the password: chmod 600 /alice" in err
    assert "hunter2" not in err


def test_a_password_is_made_up_when_the_account_is_and_kept_for_root_alone(host: FakeHost) -> None:
    net = Script(*(Answer(200, {"nonce": "n"}), Answer(500, {}), Answer(200, {"nonce": "n"}), Answer(200, {})))
    host.net = net
    assert "made-up" not in repr(ALICE)
    with pytest.raises(Error):
        ALICE.make(host, None)
    again = replace(ALICE, invent=lambda: "another")
    again.make(host, None)
    assert [body["password"] for _, _, body in net.asked if body] == ["made-up", "made-up"]
    assert host.text("/secrets/passwords/alice") == "made-up"
    modes = [host.path(path).stat().st_mode & 0o777 for path in ("/secrets/passwords", "/secrets/passwords/alice")]
    assert modes == [0o700, 0o600]


def test_all_accounts_are_listed(host: FakeHost) -> None:
    host.machine.postgres.bases["matrix-synapse"] = Base("matrix-synapse")
    host.machine.postgres.accounts |= {"@alice:example.org": True, "@bob:example.org": False}
    rows = users(host, STORE)
    assert [(row["user"], row["admin"], row["deactivated"]) for row in rows] == [
        ("@alice:example.org", True, False),
        ("@bob:example.org", False, False),
    ]
    assert users(host, replace(STORE, database="not-yet")) == []
