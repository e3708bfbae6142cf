"""user: what each action does to a homeserver that runs, what it says, and what it refuses."""

from __future__ import annotations

import io
import json
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from matrix_baremetal.commands import person, user
from matrix_baremetal.commands.init import Unanswered
from matrix_baremetal.commands.user_change import admin, deactivate, passwd
from matrix_baremetal.commands.user_show import shown
from matrix_baremetal.converge import plan
from matrix_baremetal.errors import Error
from matrix_baremetal.session import Session
from tests.fakes import MINIMAL, FakeHost, Machine, a_homeserver, a_session

Captured = pytest.CaptureFixture[str]
PASSWORDS = "/etc/matrix-baremetal/secrets/passwords"


@pytest.fixture
def now(tmp_path: Path) -> Session:
    """A homeserver."""
    return a_homeserver(Machine(tmp_path))


def the_machine(now: Session) -> Machine:
    assert isinstance(now.host, FakeHost)
    return now.host.machine


def words(**options: object) -> Namespace:
    """What was typed, with defaults for the rest."""
    usual = {"json": False, "quiet": False, "admin": False, "generate": True, "password_stdin": False}
    usual |= {"keep_devices": False, "revoke": False, "erase": False, "yes": True}
    return Namespace(**usual | options)


def test_an_account_with_an_invented_password_is_told_by_its_file_where_no_person_watches(
    now: Session, capsys: Captured
) -> None:
    assert user.added(now, words(name="bob")) == 0
    out = capsys.readouterr().out
    password = now.host.text("/etc/matrix-baremetal/secrets/passwords/bob") or ""
    assert the_machine(now).passwords["bob"] == password.strip()
    assert password.strip() not in out
    assert "/etc/matrix-baremetal/secrets/passwords/bob" in out


def test_quietly_an_account_is_made_and_nothing_is_said(now: Session, capsys: Captured) -> None:
    assert user.added(now, words(name="bob", quiet=True)) == 0
    assert "bob" in the_machine(now).passwords
    assert capsys.readouterr().out == ""


def test_an_account_that_exists_is_refused(now: Session) -> None:
    user.added(now, words(name="bob"))
    with pytest.raises(user.Exists, match="exists already"):
        user.added(now, words(name="bob"))


def test_accounts_are_listed_for_people_and_for_programs(now: Session, capsys: Captured) -> None:
    user.added(now, words(name="bob", admin=True))
    capsys.readouterr()
    user.listed(now, words())
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["USER", "ROLE", "STATE", "SINCE"]
    assert row.split()[:3] == ["@bob:example.org", "admin", "active"]
    user.listed(now, words(json=True))
    [shown] = json.loads(capsys.readouterr().out)["users"]
    assert (shown["user"], shown["admin"]) == ("@bob:example.org", True)


def test_who_is_not_answered_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(Error, match="does not answer"):
        person.ready(a_session(Machine(tmp_path)))


@pytest.fixture
def bob(now: Session) -> Session:
    """A homeserver with @bob:example.org, whose password was invented."""
    user.added(now, words(name="bob"))
    the_machine(now).postgres.about["@bob:example.org"] = {
        "displayname": "Bob",
        "devices": [
            {
                "device_id": "PHONE",
                "display_name": "Bob's",
                "last_seen_ts": 1700000000999,
                "last_seen_ip": "192.0.2.1",
            },
            {"device_id": "TABLET", "display_name": None, "last_seen_ts": None, "last_seen_ip": None},
        ],
        "threepids": [{"medium": "email", "address": "bob@example.net"}, {"medium": "msisdn", "address": "123"}],
        "last_seen_ts": 1700000000999,
    }
    return now


def test_all_that_is_known_of_somebody_is_shown(bob: Session, capsys: Captured) -> None:
    capsys.readouterr()
    shown(bob, words(name="bob", json=True))
    document = json.loads(capsys.readouterr().out)
    assert document == {
        "user": "@bob:example.org",
        "admin": False,
        "deactivated": False,
        "created": 1700000000,
        "displayname": "Bob",
        "emails": ["bob@example.net"],
        "erased": False,
        "locked": False,
        "suspended": False,
        "last_seen": 1700000000,
        "devices": [
            {"device": "PHONE", "name": "Bob's", "last_seen": 1700000000, "address": "192.0.2.1"},
            {"device": "TABLET", "name": None, "last_seen": None, "address": None},
        ],
        "rooms": 2,
        "media": {"files": 2, "bytes": 2 << 20},
    }
    shown(bob, words(name="@bob:example.org"))
    out = capsys.readouterr().out
    assert out.startswith("@bob:example.org\n  name       Bob\n  role       user\n  state      active\n")
    assert "PHONE, Bob's, last seen 20" in out
    assert "from 192.0.2.1" in out
    assert "TABLET, last seen never" in out


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("bobb", 1, "there is no @bobb:example.org; did you mean @bob:example.org?"),
        ("zzzzzz", 1, "there is no @zzzzzz:example.org"),
        ("@bob:elsewhere.org", 2, "is not of this server"),
        ("b ob", 2, "can't be a user"),
    ],
)
def test_who_is_not_there_is_said_with_the_nearest_name(name: str, status: int, said: str, bob: Session) -> None:
    for action in (shown, passwd, admin, deactivate):
        with pytest.raises(Error) as caught:
            action(bob, words(name=name))
        assert caught.value.message.startswith(said) or said in caught.value.message
        assert (caught.value.status, caught.value.hint) == (status, "matrix-baremetal user list")


def test_another_password_logs_all_devices_out_and_is_kept_for_root(bob: Session, capsys: Captured) -> None:
    old = the_machine(bob).passwords["bob"]
    capsys.readouterr()
    passwd(bob, words(name="bob"))
    new = the_machine(bob).passwords["bob"]
    out = capsys.readouterr().out
    assert new != old
    assert new not in out
    assert out == (f"@bob:example.org has another password. Devices logged out: 2.\nPassword: in {PASSWORDS}/bob\n")
    assert bob.host.text(f"{PASSWORDS}/bob") == new
    assert bob.host.names(PASSWORDS) == ("bob",)
    assert the_machine(bob).postgres.about["@bob:example.org"]["devices"] == []


def test_devices_stay_logged_in_where_that_is_said(bob: Session, capsys: Captured) -> None:
    capsys.readouterr()
    passwd(bob, words(name="bob", keep_devices=True, json=True))
    document = json.loads(capsys.readouterr().out)
    place = f"{PASSWORDS}/bob"
    assert document == {"user": "@bob:example.org", "devices_logged_out": 0, "password_file": place}
    assert len(the_machine(bob).postgres.about["@bob:example.org"]["devices"]) == 2


def test_a_password_from_stdin_replaces_what_was_kept(bob: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("hunter2 hunter2\n"))
    passwd(bob, words(name="bob", generate=False, password_stdin=True))
    assert the_machine(bob).passwords["bob"] == "hunter2 hunter2"
    assert bob.host.names(PASSWORDS) == ()


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_a_password_that_is_no_utf_8_is_a_sentence(
    errors: str, bob: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO("pässword\n".encode("latin-1"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(raw, "utf-8", errors))
    with pytest.raises(Unanswered, match="the password is not UTF-8"):
        passwd(bob, words(name="bob", generate=False, password_stdin=True))


def test_a_password_that_did_not_change_is_still_kept(bob: Session) -> None:
    old = bob.host.text(f"{PASSWORDS}/bob")
    the_machine(bob).refuses = "Password change disabled"
    with pytest.raises(Error, match="the homeserver refused: Password change disabled"):
        passwd(bob, words(name="bob"))
    assert bob.host.text(f"{PASSWORDS}/bob") == old == the_machine(bob).passwords["bob"]


def test_somebody_is_made_an_administrator_and_not_any_more(bob: Session, capsys: Captured) -> None:
    accounts = the_machine(bob).postgres.accounts
    capsys.readouterr()
    said = []
    for revoke, is_one in ((False, True), (False, True), (True, False), (True, False)):
        admin(bob, words(name="bob", revoke=revoke))
        assert accounts["@bob:example.org"] is is_one
        said.append(capsys.readouterr().out.removeprefix("@bob:example.org is ").strip())
    assert said == [
        "an administrator now.",
        "an administrator already.",
        "not an administrator any more.",
        "not an administrator anyway.",
    ]


def test_an_administrator_of_the_config_is_not_revoked_as_apply_would_undo_it(tmp_path: Path) -> None:
    now = a_homeserver(Machine(tmp_path), MINIMAL + "admins: [{name: alice}]\n")
    with pytest.raises(Error, match=r"the next apply would make @alice:example\.org one again") as caught:
        admin(now, words(name="alice", revoke=True))
    assert caught.value.hint
    assert the_machine(now).postgres.accounts == {"@alice:example.org": True}


def test_a_deactivated_account_is_closed_and_its_password_gone(bob: Session, capsys: Captured) -> None:
    capsys.readouterr()
    tables = the_machine(bob).postgres
    assert deactivate(bob, words(name="bob")) == 0
    assert (tables.deactivated, tables.erased) == ({"@bob:example.org"}, set())
    assert bob.host.names(PASSWORDS) == ()
    assert deactivate(bob, words(name="bob")) == 0, "it is what was asked for"
    deactivate(bob, words(name="bob", erase=True, json=True))
    out = capsys.readouterr().out.splitlines()
    assert out[:2] == ["@bob:example.org is deactivated."] * 2
    assert json.loads("\n".join(out[2:])) == {"user": "@bob:example.org", "deactivated": True, "erased": True}
    assert tables.erased == {"@bob:example.org"}
    for action in (passwd, admin):
        with pytest.raises(Error, match=r"@bob:example\.org is deactivated"):
            action(bob, words(name="bob"))


def test_a_deactivated_administrator_of_the_config_is_not_made_again(tmp_path: Path, capsys: Captured) -> None:
    text = MINIMAL + f"admins: [{{name: alice}}, {{name: carol, password_hash: $2b$12${'a' * 53}}}]\n"
    machine = Machine(tmp_path)
    now = a_homeserver(machine, text)
    for name in ("alice", "carol"):
        deactivate(now, words(name=name))
    assert capsys.readouterr().out.count("The config still lists it among its admins") == 2
    again = a_session(machine, text)
    assert list(plan(again.resources, again.host, again.manifest)) == []


def test_nobody_is_deactivated_where_nobody_can_be_asked(bob: Session) -> None:
    with pytest.raises(Unanswered, match=r"nobody said that @bob:example\.org is to be deactivated") as caught:
        deactivate(bob, words(name="bob", yes=False))
    assert (caught.value.status, caught.value.hint) == (2, "add --yes")
    assert the_machine(bob).postgres.deactivated == set()


class Terminal(io.StringIO):
    """What a person types, or sees."""

    def isatty(self) -> bool:
        """It is one."""
        return True


@pytest.mark.parametrize(
    ("answer", "meant"), [("y\n", True), ("YES\n", True), ("\n", False), ("n\n", False), ("", False)]
)
def test_whoever_is_asked_has_to_mean_it(
    answer: str, meant: bool, bob: Session, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys, "stdout", Terminal())
    if meant:
        deactivate(bob, words(name="bob", yes=False))
    else:
        with pytest.raises(Error, match="nothing was changed"):
            deactivate(bob, words(name="bob", yes=False))
    assert the_machine(bob).postgres.deactivated == ({"@bob:example.org"} if meant else set())
    assert "Deactivate it? [y/N]" in capsys.readouterr().err


def test_an_old_name_keeps_its_password_in_one_file() -> None:
    assert person.password_file("@a=b+c.d:example.org") == f"{PASSWORDS}/a=b+c.d"
    assert person.password_file("@../x:example.org") == f"{PASSWORDS}/..%2Fx"
