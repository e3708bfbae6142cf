"""Certificates: why one can't be had, when it is tried again, and which is served."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix_baremetal.errors import Pending
from matrix_baremetal.resources.certificates import Certificate
from matrix_baremetal.resources.pending import BACK_OFF, PENDING, note_of
from matrix_baremetal.resources.served import SelfSigned, Served
from matrix_baremetal.shell import Result, TimedOut
from tests.fakes import FakeHost, Machine

FAILED = """\
Some challenges have failed.
  Domain: matrix.example.org
  Type:   {kind}
  Detail: {detail}
"""
CERTIFICATE = Certificate("example.org", "https://ca.example/directory", webroot="/srv/acme", email="a@example.org")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.says["certbot"] = FAILED.format(kind="dns", detail="no such name")
    return machine


def test_each_failure_is_noted_with_its_reason_and_waited_for_longer(machine: Machine) -> None:
    host = FakeHost(machine)
    waits = []
    for failures in range(1, len(BACK_OFF) + 3):
        with pytest.raises(Pending, match="cannot find the name in DNS: no such name"):
            CERTIFICATE.make(host, None)
        row = note_of(host, f"{PENDING}/example.org")
        assert row["failures"] == failures
        assert "cannot find the name" in str(row["reason"])
        assert abs(float(row["last"]) - time.time()) < 5
        waits.append(int(row["next"]) - int(row["last"]))
        assert not CERTIFICATE.due(host)
    assert [round(wait, -1) for wait in waits] == [*BACK_OFF, BACK_OFF[-1], BACK_OFF[-1]]


def test_it_is_due_when_its_wait_is_over(machine: Machine) -> None:
    host = FakeHost(machine)
    assert not CERTIFICATE.due(host)
    for wait, due in ((60, False), (-1, True)):
        machine.put(f"{PENDING}/example.org", json.dumps({"next": time.time() + wait}))
        assert CERTIFICATE.due(host) == due
    machine.put(f"{PENDING}/example.org", "{")
    assert not CERTIFICATE.due(host)


def test_success_ends_the_waiting(machine: Machine) -> None:
    host = FakeHost(machine)
    with pytest.raises(Pending):
        CERTIFICATE.make(host, None)
    machine.says.clear()
    CERTIFICATE.make(host, None)
    assert host.node(f"{PENDING}/example.org") is None
    assert CERTIFICATE.find(host) == CERTIFICATE


def test_a_lost_note_is_written_again_and_nothing_is_ordered_for_it(machine: Machine) -> None:
    machine.says.clear()
    host = FakeHost(machine)
    CERTIFICATE.make(host, None)
    machine.started.clear()
    host.remove(CERTIFICATE.note)
    machine.put(f"{PENDING}/example.org", json.dumps({"next": 0, "reason": "of old"}))
    CERTIFICATE.make(host, CERTIFICATE.find(host))
    assert CERTIFICATE.find(host) == CERTIFICATE
    assert host.names(PENDING) == ()
    assert not machine.ran("certbot")


def test_what_is_not_asked_for_any_more_is_not_pending_any_more(machine: Machine) -> None:
    machine.says.clear()
    host = FakeHost(machine)
    CERTIFICATE.make(host, None)
    machine.says["certbot"] = FAILED.format(kind="dns", detail="no such name")
    other = replace(CERTIFICATE, directory="https://other.example/directory")
    with pytest.raises(Pending):
        other.make(host, other.find(host))
    machine.started.clear()
    assert CERTIFICATE.find(host) == replace(CERTIFICATE, waits=True)
    CERTIFICATE.make(host, CERTIFICATE.find(host))
    assert CERTIFICATE.find(host) == CERTIFICATE
    assert host.names(PENDING) == ()
    assert not machine.ran("certbot")


@pytest.mark.parametrize(
    "other",
    [
        {"directory": "https://other.example/directory"},
        {"dns_plugin": "rfc2136"},
        {"dns_plugin": "rfc2136", "dns_propagation": 20},
    ],
)
def test_another_directory_or_challenge_is_another_order(other: dict[str, Any], machine: Machine) -> None:
    machine.says.clear()
    host = FakeHost(machine)
    for before, after in ((CERTIFICATE, replace(CERTIFICATE, **other)), (replace(CERTIFICATE, **other), CERTIFICATE)):
        before.make(host, before.find(host))
        machine.started.clear()
        assert after.find(host) == before
        after.make(host, after.find(host))
        assert after.find(host) == after
        [started] = [s for s in machine.started if s.argv[0] == "certbot"]
        assert "--force-renewal" in started.argv


def test_a_plugin_is_told_where_its_credentials_are_and_nothing_of_a_web_server(machine: Machine) -> None:
    machine.says.clear()
    order = replace(CERTIFICATE, dns_plugin="rfc2136", dns_propagation=20, credentials="/secrets/dns-rfc2136")
    order.make(FakeHost(machine), None)
    [started] = [s for s in machine.started if s.argv[0] == "certbot"]
    line = " ".join(started.argv)
    assert "--authenticator dns-rfc2136 --dns-rfc2136-credentials /secrets/dns-rfc2136" in line
    assert "--dns-rfc2136-propagation-seconds 20" in line
    assert "webroot" not in line


@pytest.mark.parametrize(
    "left",
    [
        "renewal/matrix-baremetal-example.org.conf",
        "live/matrix-baremetal-example.org/README",
        "archive/matrix-baremetal-example.org/privkey1.pem",
    ],
)
def test_what_a_certbot_that_was_cut_off_left_is_cleared_before_an_order(left: str, machine: Machine) -> None:
    machine.says.clear()
    machine.put(f"/etc/letsencrypt/{left}", "")
    machine.certificate("/etc/letsencrypt/live/shop.org", ["shop.org"])
    machine.put("/etc/letsencrypt/renewal/shop.org.conf", "")
    host = FakeHost(machine)
    CERTIFICATE.make(host, CERTIFICATE.find(host))
    assert CERTIFICATE.find(host) == CERTIFICATE
    assert host.names("/etc/letsencrypt/live") == ("matrix-baremetal-example.org", "shop.org")
    assert host.node("/etc/letsencrypt/renewal/shop.org.conf")


def test_leftovers_stay_where_there_is_a_certificate(machine: Machine) -> None:
    machine.says.clear()
    machine.certificate("/etc/letsencrypt/live/matrix-baremetal-example.org", ["example.org"], days=-1)
    machine.put("/etc/letsencrypt/archive/matrix-baremetal-example.org/privkey1.pem", "old")
    host = FakeHost(machine)
    CERTIFICATE.make(host, CERTIFICATE.find(host))
    assert host.text("/etc/letsencrypt/archive/matrix-baremetal-example.org/privkey1.pem") == "old"


class Odd(Machine):
    """A machine whose certbot says that all is well and leaves nothing, or never ends."""

    slow = False

    def program(self, argv: tuple[str, ...], input: str | None) -> Result:
        if argv[0] == "certbot" and self.slow:
            raise TimedOut("certbot took longer than 600 s and was stopped")
        return Result(0, "", "") if argv[0] == "certbot" else super().program(argv, input)


@pytest.mark.parametrize(("slow", "words"), [(False, "certbot left no /etc/letsencrypt"), (True, "ten minutes")])
def test_a_certbot_that_leaves_nothing_or_never_ends_is_pending(slow: bool, words: str, tmp_path: Path) -> None:
    machine = Odd(tmp_path)
    machine.slow = slow
    host = FakeHost(machine)
    with pytest.raises(Pending, match=words):
        CERTIFICATE.make(host, None)
    assert words in str(note_of(host, f"{PENDING}/example.org")["reason"])


@pytest.mark.parametrize("empty", ["fullchain.pem", "privkey.pem"])
def test_a_pair_without_content_is_none(empty: str, machine: Machine) -> None:
    host = FakeHost(machine)
    pair = SelfSigned("/tls", "example.org")
    machine.at("/tls").mkdir()
    pair.make(host, None)
    machine.put(f"/tls/self-signed/{empty}", "")
    assert pair.find(host) is None
    pair.make(host, None)
    assert pair.find(host) == pair


def test_certbot_is_told_all_it_would_ask(machine: Machine) -> None:
    machine.says.clear()
    host = FakeHost(machine)
    CERTIFICATE.make(host, None)
    [started] = [s for s in machine.started if s.argv[0] == "certbot"]
    line = " ".join(started.argv)
    for words in (
        "certonly --agree-tos",
        "--non-interactive",
        "--email a@example.org",
        "--server https://ca.example/directory",
        "--webroot --webroot-path /srv/acme",
        "--cert-name matrix-baremetal-example.org --domain example.org",
    ):
        assert words in line
    assert "--force-renewal" not in line
    machine.certificate("/etc/letsencrypt/live/matrix-baremetal-example.org", ["example.org"], days=-1)
    CERTIFICATE.make(host, CERTIFICATE.find(host))
    assert "--force-renewal" in machine.started[-1].argv or any("--force-renewal" in s.argv for s in machine.started)


@pytest.mark.parametrize(
    ("names", "days", "valid"), [(["example.org"], 9, True), (["example.org"], -1, False), (["other.org"], 9, False)]
)
def test_a_certificate_counts_while_it_lasts_and_covers_its_name(
    names: list[str], days: float, valid: bool, machine: Machine
) -> None:
    machine.certificate("/etc/letsencrypt/live/matrix-baremetal-example.org", names, days)
    found = CERTIFICATE.find(FakeHost(machine))
    assert found
    assert found.valid == valid


def test_what_is_served_is_the_real_one_as_soon_as_it_is_there(machine: Machine) -> None:
    host = FakeHost(machine)
    machine.at("/tls").mkdir()
    SelfSigned("/tls", "example.org").make(host, None)
    served = Served("/tls/current", pair="/etc/letsencrypt/live/ours")
    assert served.find(host) == served
    assert host.target("/tls/current") == "self-signed"
    machine.certificate("/etc/letsencrypt/live/ours", ["example.org"])
    assert served.find(host) != served
    served.make(host, served.find(host))
    assert host.target("/tls/current") == "/etc/letsencrypt/live/ours"


def test_a_new_self_signed_pair_does_not_take_the_place_of_a_real_one_that_is_served(machine: Machine) -> None:
    host = FakeHost(machine)
    machine.at("/tls").mkdir()
    machine.at("/tls/current").symlink_to("/etc/letsencrypt/live/ours")
    SelfSigned("/tls", "example.org").make(host, None)
    assert host.target("/tls/current") == "/etc/letsencrypt/live/ours"


@pytest.mark.parametrize(
    "text", ['{"dns_propagation": "x"}', '{"dns_propagation": 1e400}', '{"dns_propagation": null}']
)
def test_a_note_that_was_edited_by_hand_is_no_bug(text: str, machine: Machine) -> None:
    machine.put(CERTIFICATE.paths[0], "a certificate")
    machine.put(CERTIFICATE.note, text)
    found = CERTIFICATE.find(FakeHost(machine))
    assert found
    assert found.dns_propagation == 0


@pytest.mark.parametrize("text", ['{"next": "x", "failures": []}', '{"next": 4102444800, "held": 4102444800}'])
def test_a_wait_that_makes_no_sense_is_over(text: str, machine: Machine) -> None:
    """What was noted while the clock was years ahead would keep the timer from trying again for as long."""
    machine.put(f"{PENDING}/example.org", text.replace("}", f', "directory": "{CERTIFICATE.directory}"}}'))
    host = FakeHost(machine)
    assert CERTIFICATE.due(host)
    with pytest.raises(Pending, match="cannot find the name in DNS"):
        CERTIFICATE.make(host, None)
    assert not CERTIFICATE.due(host)
