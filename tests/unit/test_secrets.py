"""Secrets are listed and renewed, and never shown."""

from __future__ import annotations

import io
import json
from argparse import Namespace
from pathlib import Path

import pytest

from matrix_baremetal import components
from matrix_baremetal.checks.homeserver import Secrets
from matrix_baremetal.commands import secrets
from matrix_baremetal.components.homeserver_yaml import CREDENTIALS, SECRET_USES
from matrix_baremetal.converge import converge, plan
from matrix_baremetal.errors import Error
from matrix_baremetal.session import Session
from tests.fakes import MINIMAL, Machine, a_homeserver, a_session

Captured = pytest.CaptureFixture[str]
NAME = "macaroon_secret_key"


@pytest.fixture
def now(tmp_path: Path) -> Session:
    """A session on a machine after an install."""
    return a_homeserver(Machine(tmp_path))


def test_each_says_what_it_is_for_and_none_is_shown(now: Session, capsys: Captured) -> None:
    secrets.listed(now, json=True)
    text = capsys.readouterr().out
    rows = {row["name"]: row for row in json.loads(text)["secrets"]}
    assert {row["path"] for row in rows.values()} == set(CREDENTIALS.values())
    assert set(CREDENTIALS) == set(SECRET_USES)
    assert all(row["use"] and row["made"] for row in rows.values())
    assert [name for name, row in rows.items() if row["breaks"] is None] == ["signing.key"]
    secrets.listed(now, json=False)
    text += capsys.readouterr().out
    for path in CREDENTIALS.values():
        assert (now.host.text(path) or "").strip() not in text


def test_a_new_one_is_another_and_the_homeserver_is_started_with_it(now: Session) -> None:
    secret = secrets.asked_for(now, NAME)
    before = now.host.text(secret.path)
    secrets.still(now)
    secret.renew(now.host)
    assert now.host.text(secret.path) not in (before, "")
    again = a_session(now.host.machine, MINIMAL)  # type: ignore[attr-defined]
    done = [change for change in converge(again.resources, again.host, again.manifest) if change.ended]
    assert [change.verb for change in done] == ["restart", "wait"]
    assert list(plan(again.resources, again.host, again.manifest)) == []


@pytest.mark.parametrize("name", ["signing.key", "password", "../etc/shadow"])
def test_the_signing_key_and_what_is_none_are_refused(name: str, now: Session) -> None:
    with pytest.raises(Error) as refused:
        secrets.asked_for(now, name)
    assert refused.value.hint


def test_doctor_names_the_commands_that_end_with_a_good_one(now: Session) -> None:
    path = "/etc/matrix-baremetal/secrets/form_secret"
    [check] = [each for each in components.checks(now.site) if isinstance(each, Secrets)]
    assert check.look(now.host).state == "pass"
    now.host.write(path, "changeme", 0o600)
    assert check.look(now.host).next == "matrix-baremetal apply; matrix-baremetal secrets rotate form_secret"
    list(converge(now.resources, now.host, now.manifest))
    secrets.still(now)
    secrets.asked_for(now, "form_secret").renew(now.host)
    list(converge(now.resources, now.host, now.manifest))
    assert check.look(now.host).state == "pass"
    now.host.remove(path)
    assert check.look(now.host).next == "matrix-baremetal apply"


def test_one_that_was_never_made_is_for_apply(tmp_path: Path) -> None:
    fresh = a_session(Machine(tmp_path), MINIMAL)
    with pytest.raises(Error, match="not there yet"):
        secrets.asked_for(fresh, NAME)


def test_nothing_else_may_be_waiting_to_be_changed(now: Session) -> None:
    now.host.write("/etc/matrix-synapse/log.yaml", "level: DEBUG\n", 0o644)
    with pytest.raises(Error, match="not as its config says"):
        secrets.still(now)


def test_without_a_terminal_somebody_has_to_say_yes(now: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    with pytest.raises(Error, match="nobody is here"):
        secrets.agreed(secrets.asked_for(now, NAME))


def test_it_is_for_a_machine_that_runs(tmp_path: Path) -> None:
    words = Namespace(action="rotate", name=NAME, root=str(tmp_path), config=None)
    with pytest.raises(Error, match="by root"):
        secrets.run(words)
