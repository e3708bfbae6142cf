"""token: invitations made, listed and taken back, and none where nobody could use one."""

from __future__ import annotations

import json
import re
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from matrix_baremetal.commands.person import admin_api
from matrix_baremetal.commands.token import CLIENT, create, invented, listed, of_use, revoke, row
from matrix_baremetal.errors import Error
from matrix_baremetal.session import Session
from matrix_baremetal.words import parser
from tests.fakes import MINIMAL, FakeHost, Machine, a_homeserver

Captured = pytest.CaptureFixture[str]
TOKEN = re.compile(r"[a-z2-9]{4}(-[a-z2-9]{4}){3}")


@pytest.fixture
def now(tmp_path: Path) -> Session:
    """A homeserver where registration is by token."""
    return a_homeserver(Machine(tmp_path), f"{MINIMAL}registration: token\n")


def the_machine(now: Session) -> Machine:
    assert isinstance(now.host, FakeHost)
    return now.host.machine


def typed(words: str) -> Namespace:
    return parser().parse_args(["token", *words.split()])


def made(now: Session, words: str) -> dict[str, Any]:
    """A token, as Synapse then has it."""
    before = set(the_machine(now).postgres.registration_tokens)
    with admin_api(now) as api:
        create(now, api, typed(f"create {words}"))
    [token] = set(the_machine(now).postgres.registration_tokens) - before
    return the_machine(now).postgres.registration_tokens[token]


def test_a_token_is_for_one_account_and_seven_days_and_comes_with_what_to_send(
    now: Session, capsys: Captured
) -> None:
    found = made(now, "")
    assert found["uses_allowed"] == 1
    assert abs(found["expiry_time"] / 1000 - time.time() - 7 * 86400) < 60
    assert TOKEN.fullmatch(found["token"])
    out = capsys.readouterr().out
    assert out.startswith(f"token  {found['token']}\nuses   1\nuntil  ")
    assert CLIENT in out
    assert "type example.org" in out
    assert "Element X can't make an account with a token" in out


@pytest.mark.parametrize(
    ("words", "uses", "seconds"),
    [
        ("--uses 30 --expires 12h", 30, 12 * 3600),
        ("--uses unlimited --expires 2w", None, 14 * 86400),
        ("--uses 2 --expires 90m", 2, 5400),
        ("--expires never", 1, None),
    ],
)
def test_for_how_many_and_how_long_can_be_said(
    words: str, uses: int | None, seconds: int | None, now: Session, capsys: Captured
) -> None:
    found = made(now, f"{words} --json")
    shown = json.loads(capsys.readouterr().out)
    assert shown == {
        "token": found["token"],
        "uses_allowed": uses,
        "expires": shown["expires"],
        "server_name": "example.org",
        "homeserver": "https://matrix.example.org",
        "link": CLIENT,
    }
    assert found["uses_allowed"] == uses
    if seconds is None:
        assert shown["expires"] is found["expiry_time"] is None
    else:
        assert abs(shown["expires"] - time.time() - seconds) < 60
        assert shown["expires"] == found["expiry_time"] / 1000


@pytest.mark.parametrize(("kind", "link"), [("element", "https://chat.example.org/#/register"), ("hydrogen", CLIENT)])
def test_the_link_leads_to_our_own_client_where_that_can_make_accounts(
    kind: str, link: str, tmp_path: Path, capsys: Captured
) -> None:
    now = a_homeserver(Machine(tmp_path), f"{MINIMAL}registration: token\nweb_client: {{kind: {kind}}}\n")
    for words in ("", "--json"):
        made(now, words)
        out = capsys.readouterr().out
        assert link in out
        assert ("press Edit" in out) == (link == CLIENT and not words)


def test_quietly_the_token_alone_is_said(now: Session, capsys: Captured) -> None:
    assert capsys.readouterr().out == f"{made(now, '-q')['token']}\n"[:0]
    token = made(now, "-q")["token"]
    assert capsys.readouterr().out.splitlines()[-1] == token


def test_no_two_tokens_are_alike_and_none_looks_like_an_option() -> None:
    tokens = {invented() for _ in range(100)}
    assert len(tokens) == 100
    assert all(TOKEN.fullmatch(token) for token in tokens)


@pytest.mark.parametrize(
    ("registration", "said"),
    [
        ("closed", "registration is closed, so nobody could use a token"),
        (
            "open\nsynapse: {settings: {registrations_require_3pid: [email], email: {notif_from: a@b.org}}}",
            "registration is open, so nobody needs a token",
        ),
    ],
)
def test_no_token_is_made_where_it_would_be_of_no_use(registration: str, said: str, tmp_path: Path) -> None:
    now = a_homeserver(Machine(tmp_path), f"{MINIMAL}registration: {registration}\n")
    with pytest.raises(Error, match=said) as caught:
        of_use(now)
    assert "registration: token" in str(caught.value.hint)


def test_no_token_is_made_before_the_config_is_applied(now: Session) -> None:
    of_use(now)
    the_machine(now).closed = True
    with pytest.raises(Error, match="still runs with registration closed") as caught:
        of_use(now)
    assert caught.value.hint == "matrix-baremetal apply"


@pytest.mark.parametrize(
    ("allowed", "pending", "completed", "seconds", "state"),
    [
        (1, 0, 0, 60, "valid"),
        (None, 3, 9, None, "valid"),
        (2, 1, 0, None, "valid"),
        (1, 1, 0, 60, "in use"),
        (1, 0, 1, 60, "used up"),
        (1, 0, 1, -60, "expired"),
        (None, 0, 0, -60, "expired"),
    ],
)
def test_whether_a_token_can_be_used(
    allowed: int | None, pending: int, completed: int, seconds: int | None, state: str
) -> None:
    expiry = None if seconds is None else int((time.time() + seconds) * 1000)
    token = {"token": "t", "uses_allowed": allowed, "pending": pending, "completed": completed, "expiry_time": expiry}
    assert row(token)["state"] == state


def test_tokens_are_listed_those_of_use_first(now: Session, capsys: Captured) -> None:
    with admin_api(now) as api:
        listed(now, api, typed("list"))
    assert capsys.readouterr().out == "There are no tokens. To make one: matrix-baremetal token create\n"
    used, ever, soon = made(now, ""), made(now, "--uses unlimited --expires never"), made(now, "--expires 1h")
    used["completed"] = 1
    capsys.readouterr()
    with admin_api(now) as api:
        listed(now, api, typed("list"))
        listed(now, api, typed("list --json"))
    out = capsys.readouterr().out
    table, document = out[: out.index("{")].splitlines(), json.loads(out[out.index("{") :])
    assert table[0].split() == ["TOKEN", "USES", "MADE", "UNTIL", "STATE"]
    assert [line.split()[0] for line in table[1:]] == [soon["token"], ever["token"], used["token"]]
    assert [line.split()[-1] for line in table[1:]] == ["valid", "valid", "up"]
    assert [one["state"] for one in document["tokens"]] == ["valid", "valid", "used up"]
    assert set(document["tokens"][0]) == {"token", "uses_allowed", "pending", "completed", "expires", "state"}


def test_a_token_is_taken_back_once(now: Session, capsys: Captured) -> None:
    token = made(now, "")["token"]
    capsys.readouterr()
    with admin_api(now) as api:
        revoke(now, api, typed(f"revoke {token}"))
        assert the_machine(now).postgres.registration_tokens == {}
        assert capsys.readouterr().out == f"Revoked {token}. Accounts that were made with it stay.\n"
        with pytest.raises(Error, match=f"there is no token {token}") as caught:
            revoke(now, api, typed(f"revoke {token}"))
    assert caught.value.hint == "matrix-baremetal token list"
