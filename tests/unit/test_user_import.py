"""user import: the whole file is checked first, then the missing accounts are made, whatever cuts it off."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest

from matrix_baremetal.commands.user_import import IMPORTS, Unreadable, imported, kept
from matrix_baremetal.errors import ConfigError, Error
from matrix_baremetal.session import Session
from tests.fakes import MINIMAL, FakeHost, Killed, Machine, a_homeserver, a_session

Captured = pytest.CaptureFixture[str]
TEXT = "name,displayname,email,admin,password\nalice,Alice,alice@example.net,yes,\nbob,,,,given\neve,Eve,,no,\n"


@pytest.fixture
def now(tmp_path: Path) -> Session:
    """A homeserver."""
    return a_homeserver(Machine(tmp_path / "machine"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A list of three, for root alone."""
    path = tmp_path / "people.csv"
    path.write_text(TEXT)
    path.chmod(0o600)
    return path


def the_machine(now: Session) -> Machine:
    assert isinstance(now.host, FakeHost)
    return now.host.machine


def words(file: Path, **options: object) -> Namespace:
    return Namespace(**{"file": str(file), "json": False, "quiet": False} | options)


def passwords(now: Session) -> dict[str, str]:
    """What is kept of them."""
    lines = (now.host.text(f"{IMPORTS}/people.csv") or "").splitlines()
    return dict(line.split(",") for line in lines[1:])


def test_everybody_who_is_missing_is_made_with_what_the_file_says(now: Session, file: Path, capsys: Captured) -> None:
    assert imported(now, words(file)) == 0
    machine = the_machine(now)
    assert machine.postgres.accounts == {f"@{n}:example.org": n == "alice" for n in ("alice", "bob", "eve")}
    assert machine.postgres.about["@alice:example.org"] == {
        "displayname": "Alice",
        "threepids": [{"medium": "email", "address": "alice@example.net"}],
        "devices": [],
    }
    assert machine.passwords["bob"] == "given"
    assert passwords(now) == {name: machine.passwords[name] for name in ("alice", "eve")}
    place = now.host.path(f"{IMPORTS}/people.csv")
    assert [path.stat().st_mode & 0o777 for path in (place.parent, place)] == [0o700, 0o600]
    out, err = capsys.readouterr()
    assert "Made 3 accounts in" in out
    assert f"Invented passwords: in {IMPORTS}/people.csv" in out
    assert not any(password in out + err for password in machine.passwords.values())
    assert err == ""


def test_a_second_time_nothing_is_made_and_nobody_changed(now: Session, file: Path, capsys: Captured) -> None:
    imported(now, words(file))
    before, kept_before = dict(the_machine(now).passwords), passwords(now)
    the_machine(now).refuses = "nothing is to change"
    capsys.readouterr()
    assert imported(now, words(file, json=True)) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["made"] == []
    assert document["there_already"] == [f"@{n}:example.org" for n in ("alice", "bob", "eve")]
    assert document["password_file"] is None
    assert (the_machine(now).passwords, passwords(now)) == (before, kept_before)


def test_one_bad_line_and_no_account_is_made(now: Session, file: Path) -> None:
    file.write_text(TEXT + "Mallory,,,,\n")
    with pytest.raises(ConfigError, match=r"people\.csv:5:1: name: a user name is lower case"):
        imported(now, words(file))
    assert the_machine(now).postgres.accounts == {}
    assert now.host.names(IMPORTS) == ()


def test_an_address_of_somebody_else_stays_theirs(now: Session, file: Path) -> None:
    imported(now, words(file))
    file.write_text("name,email\nzoe,Alice@example.net\n")
    with pytest.raises(ConfigError, match=r"people\.csv:2:5: email: this address belongs to @alice:example\.org"):
        imported(now, words(file))
    assert "@zoe:example.org" not in the_machine(now).postgres.accounts


def test_when_the_homeserver_refuses_it_is_said_how_far_it_went(now: Session, file: Path) -> None:
    the_machine(now).refuses = "The server is over its limit"
    with pytest.raises(Error, match=r"no account @alice:example\.org: The server is over its limit; 0 of 3 are made"):
        imported(now, words(file))
    the_machine(now).refuses = ""
    first = passwords(now)
    imported(now, words(file))
    assert passwords(now) == first
    assert {name: the_machine(now).passwords[name] for name in first} == first


def test_killed_anywhere_the_same_command_goes_on_and_no_password_is_lost(tmp_path: Path, file: Path) -> None:
    whole = a_homeserver(Machine(tmp_path / "whole"))
    assert isinstance(whole.host, FakeHost)
    begun = whole.host.operations
    imported(whole, words(file))
    assert whole.host.operations > begun + 5
    for at in range(1, whole.host.operations - begun + 1):
        machine = Machine(tmp_path / str(at))
        a_homeserver(machine)
        dying = FakeHost(machine, at)
        with pytest.raises(Killed):
            imported(a_session(machine, MINIMAL, host=dying), words(file))
        again = a_session(machine)
        imported(again, words(file))
        assert sorted(machine.postgres.accounts) == sorted(the_machine(whole).postgres.accounts)
        assert passwords(again) == {n: p for n, p in machine.passwords.items() if n != "bob"}, f"killed at {at}"


def test_passwords_that_everybody_may_read_are_said(now: Session, file: Path, capsys: Captured) -> None:
    file.chmod(0o644)
    imported(now, words(file))
    assert (
        f"warning: the mode of {file} lets every user of this machine read its passwords" in capsys.readouterr().err
    )
    file.write_text("name\nzoe\n")
    imported(now, words(file))
    assert capsys.readouterr().err == ""


def test_a_file_that_is_not_there_is_wrong_usage(now: Session, tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(Unreadable, match="can't be read") as caught:
            imported(now, words(path))
        assert caught.value.status == 2


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("people.csv", "people"),
        ("/a/b c.csv", "b_c"),
        ("../../etc/passwd", "passwd"),
        (".csv", "accounts"),
        ("ü", "_"),
    ],
)
def test_the_passwords_of_a_file_are_kept_under_its_name(file: str, name: str) -> None:
    assert kept(file) == f"{IMPORTS}/{name}.csv"
