"""Another web server that answers under one of our names: what is as good as a certificate, and for how long."""

from __future__ import annotations

import json
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from matrix_baremetal import preflight, session, status
from matrix_baremetal.commands import certificates
from matrix_baremetal.converge import converge, plan
from matrix_baremetal.errors import Pending
from matrix_baremetal.net import Answer
from matrix_baremetal.resources import elsewhere
from matrix_baremetal.resources.certificates import Certificate
from matrix_baremetal.resources.elsewhere import Elsewhere, holds, look
from matrix_baremetal.resources.pending import PENDING
from tests.fake_net import FakeNet
from tests.fakes import FakeHost, Machine, a_session

SERVER, CLIENT = "/.well-known/matrix/server", "/.well-known/matrix/client"
DOCUMENTS = ((SERVER, '{"m.server": "a:443"}'), (CLIENT, '{"m.homeserver": {"base_url": "https://a"}}'))
GOOD = {
    f"https://example.org{SERVER}": Answer(200, {"m.server": "a:443"}),
    f"https://example.org{CLIENT}": Answer(200, {"m.homeserver": {"base_url": "https://a"}, "m.other": {}}),
}
SITE = {
    f"https://example.org{SERVER}": Answer(200, {"m.server": "matrix.example.org:443"}),
    f"https://example.org{CLIENT}": Answer(200, {"m.homeserver": {"base_url": "https://matrix.example.org"}}),
}
CERTIFICATE = Certificate("example.org", "https://ca.example/dir", webroot="/srv", elsewhere=DOCUMENTS)
LIVE = "/etc/letsencrypt/live/matrix-baremetal-example.org"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("found", "wanted", "enough"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, True),
        ({"a": {"b": 2}}, {"a": {"b": 1}}, False),
        ({}, {"a": 1}, False),
        ({"a": "x"}, {"a": {"b": 1}}, False),
        ("a", {"a": 1}, False),
        ([1], [1], True),
    ],
)
def test_an_answer_that_says_more_is_as_good(found: Any, wanted: Any, enough: bool) -> None:
    assert holds(found, wanted) == enough


@pytest.mark.parametrize(
    ("pages", "seen"),
    [
        ({}, Elsewhere(False)),
        (GOOD, Elsewhere(True)),
        (
            {**GOOD, f"https://example.org{CLIENT}": Answer(404, {})},
            Elsewhere(True, f"https://example.org{CLIENT} there gives status 404"),
        ),
        (
            {f"https://example.org{SERVER}": Answer(200, {"m.server": "b:443"})},
            Elsewhere(True, f'https://example.org{SERVER} there does not say {{"m.server": "a:443"}}'),
        ),
    ],
)
def test_what_is_there_and_what_is_wrong_with_it(pages: dict[str, Answer], seen: Elsewhere, machine: Machine) -> None:
    machine.pages = pages
    assert look(FakeNet(machine), "example.org", DOCUMENTS) == seen


@pytest.mark.parametrize("status", [200, 301, 404, 500])
def test_where_nothing_has_to_be_said_any_web_server_will_do(status: int, machine: Machine) -> None:
    assert not look(FakeNet(machine), "example.org", ()).there
    machine.pages["https://example.org/"] = Answer(status, {})
    assert look(FakeNet(machine), "example.org", ()) == Elsewhere(True)


def test_a_web_server_that_says_otherwise_is_pending_and_no_order_is_made(machine: Machine) -> None:
    machine.pages[f"https://example.org{SERVER}"] = Answer(404, {})
    with pytest.raises(Pending, match=r"another web server has this name, and .* gives status 404; see: matrix-bare"):
        CERTIFICATE.make(FakeHost(machine), None)
    assert machine.started == []
    assert machine.at(f"{PENDING}/example.org").exists()
    machine.pages = GOOD
    CERTIFICATE.make(FakeHost(machine), None)
    assert CERTIFICATE.find(FakeHost(machine)) == CERTIFICATE
    assert machine.started == []
    assert not machine.at(f"{PENDING}/example.org").exists()


def test_where_no_other_web_server_is_there_is_an_order(machine: Machine) -> None:
    CERTIFICATE.make(FakeHost(machine), None)
    assert machine.at(f"{LIVE}/fullchain.pem").exists()
    assert not machine.at(f"{elsewhere.NOTES}/example.org").exists()


def test_what_has_to_be_said_has_changed_and_it_is_asked_again(machine: Machine) -> None:
    machine.pages = GOOD
    CERTIFICATE.make(FakeHost(machine), None)
    moved = Certificate("example.org", "https://ca.example/dir", elsewhere=((SERVER, '{"m.server": "b:443"}'),))
    here = Certificate("example.org", "https://ca.example/dir")
    assert moved.find(FakeHost(machine)) is None
    assert here.find(FakeHost(machine)) is None


def test_a_certificate_that_is_good_stays_whoever_else_answers(machine: Machine) -> None:
    """The answers could be our own."""
    machine.certificate(LIVE, ["example.org"])
    machine.pages = GOOD
    CERTIFICATE.make(FakeHost(machine), CERTIFICATE.find(FakeHost(machine)))
    assert machine.at(f"{LIVE}/fullchain.pem").exists()


def test_a_certificate_that_has_ended_goes_with_its_renewals_when_the_name_has_moved_away(machine: Machine) -> None:
    machine.certificate(LIVE, ["example.org"], days=-1)
    machine.pages = GOOD
    CERTIFICATE.make(FakeHost(machine), CERTIFICATE.find(FakeHost(machine)))
    assert machine.ran("certbot", "delete")
    assert not machine.ran("certbot", "certonly")
    assert CERTIFICATE.find(FakeHost(machine)) == CERTIFICATE


def test_an_answer_is_good_for_a_day_and_then_asked_for_anew(machine: Machine) -> None:
    machine.pages = GOOD
    host = FakeHost(machine)
    CERTIFICATE.make(host, None)
    assert not CERTIFICATE.due(host)
    row = json.loads(machine.at(f"{elsewhere.NOTES}/example.org").read_text())
    machine.put(f"{elsewhere.NOTES}/example.org", json.dumps(row | {"seen": time.time() - elsewhere.DAY - 1}))
    assert CERTIFICATE.due(host)
    assert CERTIFICATE.find(host) == CERTIFICATE, "a plan has nothing to say yet"
    elsewhere.doubt(host, "example.org")
    assert CERTIFICATE.due(host), "a kill here does not keep it from being asked"
    assert CERTIFICATE.find(host) is None
    machine.pages = {}
    CERTIFICATE.make(host, None)
    assert machine.at(f"{LIVE}/fullchain.pem").exists()
    assert not CERTIFICATE.due(host)


def test_after_a_failure_it_is_waited_as_after_any_other(machine: Machine) -> None:
    host = FakeHost(machine)
    machine.pages = GOOD
    CERTIFICATE.make(host, None)
    elsewhere.doubt(host, "example.org")
    machine.pages = {f"https://example.org{SERVER}": Answer(503, {})}
    with pytest.raises(Pending):
        CERTIFICATE.make(host, None)
    assert not CERTIFICATE.due(host)


@pytest.mark.parametrize("names", [["example.org"], ["*.org"]])
def test_answers_that_may_be_our_own_are_not_asked_for(names: list[str], machine: Machine) -> None:
    """A pair of the operator's own goes on being served while a certificate is ordered."""
    machine.certificate("/tls/files", names)
    machine.at("/tls/current").symlink_to("files")
    machine.pages = GOOD
    host = FakeHost(machine)
    assert elsewhere.ask(host, "example.org", DOCUMENTS, "/tls/current") == Elsewhere(False)
    machine.certificate("/tls/files", names, days=-1)
    assert elsewhere.ask(host, "example.org", DOCUMENTS, "/tls/current").there
    machine.certificate("/tls/files", ["matrix.example.org"])
    assert elsewhere.ask(host, "example.org", DOCUMENTS, "/tls/current").there


def test_a_pair_of_ones_own_need_not_be_for_a_name_that_is_elsewhere(machine: Machine) -> None:
    machine.certificate("/srv/tls", ["matrix.example.org"])
    files = "{mode: files, certificate: /srv/tls/fullchain.pem, key: /srv/tls/privkey.pem}"
    text = f"server_name: example.org\ntls: {files}\n"
    now = a_session(machine, text)
    [wrong] = preflight.key_pair(now.site, now.needs, now.host)
    assert "is not for example.org" in wrong.message
    machine.pages[f"https://example.org{SERVER}"] = Answer(404, {})
    assert list(preflight.key_pair(now.site, now.needs, now.host)) == []
    changes = list(converge(now.resources, now.host, now.manifest))
    [pending] = {change.reason for change in changes if change.outcome == "pending"}
    assert pending
    assert "gives status 404; see: matrix-baremetal show well-known" in pending
    machine.pages = SITE
    again = a_session(machine, text)
    assert not [c for c in converge(again.resources, again.host, again.manifest) if c.outcome == "pending"]
    again.host.net.ask("GET", 8008, "/_matrix/client/v3/directory/room/x")
    last = a_session(machine, text)
    assert list(plan(last.resources, last.host, last.manifest)) == []
    seen = status.read(last)
    assert seen.faults == []
    assert [row["state"] for row in seen.certificates] == ["valid", "elsewhere"]


def test_a_site_whose_name_is_elsewhere_has_no_fault_and_nothing_to_do(machine: Machine) -> None:
    machine.pages = SITE
    now = a_session(machine)
    changes = list(converge(now.resources, now.host, now.manifest))
    assert not [change for change in changes if change.outcome == "pending"]
    now.host.net.ask("GET", 8008, "/_matrix/client/v3/directory/room/x")
    again = a_session(machine)
    assert list(converge(again.resources, again.host, again.manifest)) == []
    seen = status.read(again)
    assert seen.faults == []
    assert {row["domain"]: row["state"] for row in seen.certificates} == {
        "matrix.example.org": "valid",
        "example.org": "elsewhere",
    }


def test_the_retry_leaves_alone_what_was_asked_today(tmp_path: Path) -> None:
    """It runs for real on a folder, where no certificate is live: what is due is what matters here."""
    file = tmp_path / "etc/matrix-baremetal/config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("server_name: example.org\n")
    note = tmp_path / f"{elsewhere.NOTES}/example.org".lstrip("/")
    note.parent.mkdir(parents=True)
    args = Namespace(root=str(tmp_path), config=None)
    for age, due in ((0, False), (elsewhere.DAY + 1, True)):
        text = json.dumps({"documents": "[]", "seen": int(time.time()) - age})
        note.write_text(text)
        found = [r.domain for r in certificates.due(args) if isinstance(r, Certificate)]
        assert (found == ["example.org"]) == due
        assert (note.read_text() == text) != due


@pytest.mark.parametrize("seen", ["4102444800", '"x"', "null"])
def test_an_answer_of_the_future_is_asked_for_anew(seen: str, machine: Machine) -> None:
    machine.put(f"{elsewhere.NOTES}/example.org", f'{{"documents": "x", "seen": {seen}}}')
    assert elsewhere.old(FakeHost(machine), "example.org")


def test_the_session_of_a_folder_reads_no_network(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("server_name: example.org\n")
    now = session.begin(str(tmp_path), str(file))
    assert [r.find(now.host) for r in now.resources if isinstance(r, Certificate)] == [None, None]
