"""The router before a machine: what the kernel says of it, what it says itself, and what is told of that."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest

from matrix_baremetal import router
from matrix_baremetal.checks.reach import Reached
from matrix_baremetal.commands import show
from matrix_baremetal.ddns_run import NOTE
from matrix_baremetal.facts import Home, home
from matrix_baremetal.nameservers import Lookup
from matrix_baremetal.words import parser
from tests.check_breaks import HOST, a_machine
from tests.fakes import MINIMAL, FakeHost, Machine, a_session

DDNS = "ddns: {provider: no-ip, hostnames: [home.example.net], user: alice, password_file: /root/ddns}\n"


@pytest.mark.parametrize(
    ("answer", "address"),
    [
        (b"\0\x80\0\0\0\0\0\x09\x08\x08\x04\x04", "8.8.4.4"),
        (b"\0\x80\0\x03\0\0\0\x09\x08\x08\x04\x04", ""),  # the line is down
        (b"\0\x80\0\0\0\0\0\x09\0\0\0\0", ""),
        (b"\0\x80\0\0\0\0\0\x09\x08\x08\x04", ""),
        (b"\x02\x80\0\0\0\0\0\x09\x08\x08\x04\x04", ""),
        (b"", ""),
    ],
)
def test_what_a_router_answers(answer: bytes, address: str) -> None:
    assert router.meant(answer) == address


def test_a_router_is_asked_and_a_silent_one_soon_given_up() -> None:
    place = "127.77.3.1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.bind((place, router.PORT))

        def serve() -> None:
            question, sender = wire.recvfrom(64)
            if question == router.QUESTION:
                wire.sendto(b"\0\x80\0\0\0\0\0\x09\x08\x08\x04\x04", sender)

        thread = threading.Thread(target=serve)
        thread.start()
        assert router.ask(place) == "8.8.4.4"
        thread.join()
        assert router.ask(place) == ""
    assert router.ask(place) == ""  # nobody is there, which the kernel says at once


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine at home."""
    machine = Machine(tmp_path)
    machine.at_home()
    return machine


def test_the_network_that_it_gets_out_by_is_the_one_of_the_default_route(machine: Machine) -> None:
    route = machine.at("/proc/net/route").read_text()
    machine.addressed("172.17.0.1", "192.168.1.9", "2001:db8::9")
    machine.put("/proc/net/route", route + "docker0 000011AC 00000000 0001 0 0 0 0000FFFF 0 0 0\n")
    assert home(FakeHost(machine)) == Home("192.168.1.9", "192.168.1.1")


@pytest.mark.parametrize("own", ["9.9.9.9", "10.0.0.1"])
def test_a_public_address_or_none_of_that_network_is_no_home(own: str, machine: Machine) -> None:
    machine.addressed(own)
    assert home(FakeHost(machine)) is None


@pytest.mark.parametrize(
    "text", ["", "head\n", "head\neth0 00000000 00000000 0001 0 0 0 00000000 0 0 0\n", "a\nb c\n"]
)
def test_without_a_way_out_there_is_none(text: str, machine: Machine) -> None:
    machine.put("/proc/net/route", text)
    assert home(FakeHost(machine)) is None


def said(machine: Machine, words: str, text: str, capsys: pytest.CaptureFixture[str]) -> str:
    now = a_session(machine, text)
    args = parser().parse_args(["show", *words.split()])
    {"dns": show.dns, "ports": show.openings}[args.action](now, args)
    return " ".join(capsys.readouterr().out.split())


class TestShow:
    """What is entered where."""

    def test_at_home_it_says_what_to_forward_to_whom(
        self, machine: Machine, capsys: pytest.CaptureFixture[str]
    ) -> None:
        text = f"{MINIMAL}turn: {{enabled: true}}\n"
        page = said(machine, "ports", text, capsys)
        assert (
            "At the router, 192.168.1.1, forward to 192.168.1.9, each to the same port: "
            "TCP 80, 443, 3478, 5349; UDP 3478, 49152-49407." in page
        )
        assert "a reservation" in page
        assert "IPv6" not in page
        machine.addressed("192.168.1.9", "2a00::9")
        assert "let the same ports in to 2a00::9" in said(machine, "ports", text, capsys)
        found = json.loads(said(machine, "ports --json", text, capsys))
        assert (found["router"], found["forward_to"]) == ("192.168.1.1", "192.168.1.9")

    def test_with_an_address_of_its_own_no_router_has_to(
        self, machine: Machine, capsys: pytest.CaptureFixture[str]
    ) -> None:
        machine.addressed("9.9.9.9")
        page = said(machine, "ports", MINIMAL, capsys)
        assert "This machine has 9.9.9.9 of its own" in page
        assert "At the router" not in page
        assert json.loads(said(machine, "ports --json", MINIMAL, capsys))["forward_to"] is None

    def test_names_follow_or_are_aliases(self, machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
        zone = said(machine, "dns --zone", MINIMAL + DDNS, capsys)
        assert "; home.example.net. 60 IN A YOUR-PUBLIC-IPV4-ADDRESS" in zone
        machine.put(NOTE, '{"address": "8.8.4.4"}')
        zone = said(machine, "dns --zone", MINIMAL + DDNS, capsys)
        assert "home.example.net. 60 IN A 8.8.4.4" in zone
        assert "matrix.example.org. 3600 IN CNAME home.example.net." in zone
        assert "example.org. 60 IN A 8.8.4.4" in zone
        assert "CAA" not in zone
        page = said(machine, "dns", MINIMAL + DDNS, capsys)
        assert "no-ip keeps it up to date" in page
        assert "by hand, as it is not in ddns.hostnames" in page
        assert "home-line.md" in page
        both = MINIMAL + DDNS.replace("home.example.net", "example.org, matrix.example.org")
        zone = said(machine, "dns --zone", both, capsys)
        assert "CNAME" not in zone
        assert "matrix.example.org. 3600 IN CAA" in zone
        assert zone.count("60 IN A 8.8.4.4") == 2

    def test_what_the_router_says_is_what_names_lead_to(
        self, machine: Machine, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert "YOUR-PUBLIC-IPV4-ADDRESS" in said(machine, "dns", MINIMAL, capsys)
        machine.internet.router = "100.72.1.9"
        assert "YOUR-PUBLIC-IPV4-ADDRESS" in said(machine, "dns", MINIMAL, capsys)
        machine.internet.router = "8.8.4.4"
        page = said(machine, "dns", MINIMAL, capsys)
        assert "matrix.example.org A 8.8.4.4" in page
        assert "8.8.4.4 is the router's address." in page
        assert "YOUR" not in page

    def test_srv_records_are_ready_to_paste(self, machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
        text = f"{MINIMAL}federation: {{delegation: srv}}\n"
        line = "_matrix-fed._tcp.example.org. 3600 IN SRV 10 0 443 matrix.example.org."
        assert line in said(machine, "dns --zone", text, capsys)


def test_a_router_that_leads_back_shows_that_it_forwards(tmp_path: Path) -> None:
    machine = a_machine(tmp_path)
    machine.at_home()
    machine.internet.records[HOST, "A"] = Lookup(("8.8.4.4",), "example.org", ("ns.example.org",))
    assert Reached(HOST).look(FakeHost(machine)).message == f"{HOST} answers at 8.8.4.4, by way of the router"
    machine.put("/proc/net/route", "")
    assert Reached(HOST).look(FakeHost(machine)).state == "skip"
