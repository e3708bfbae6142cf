"""The lab's DNS server answers as an authoritative one does."""

from __future__ import annotations

import struct

import pytest

from tests.lab import dns


def query(name: str, kind: int) -> bytes:
    return struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + dns.encoded(name) + struct.pack(">HH", kind, 1)


def outcome(said: bytes | None) -> tuple[int, int, int]:
    """Status, number of answers, number of authority records."""
    assert said is not None
    _, flags, _, answers, authority, _ = struct.unpack(">HHHHHH", said[:12])
    return flags & 15, answers, authority


ZONE: dns.Zone = {
    "one.test": {"a": ["10.77.0.10"], "aaaa": ["fd77::10"], "txt": ["hello"]},
    "*.one.test": {"a": ["10.77.0.10"]},
    "gone.one.test": None,
    "_matrix-fed._tcp.two.test": {"srv": [[10, 0, 443, "fed.two.test"]]},
    "chat.test": {"cname": "matrix.one.test"},
}


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("one.test", dns.A, (0, 1, 0)),
        ("ONE.test", dns.AAAA, (0, 1, 0)),
        ("one.test", dns.TXT, (0, 1, 0)),
        ("one.test", dns.SRV, (0, 0, 1)),
        ("deep.matrix.one.test", dns.A, (0, 1, 0)),
        ("gone.one.test", dns.A, (3, 0, 1)),
        ("_matrix-fed._tcp.two.test", dns.SRV, (0, 1, 0)),
        ("_tcp.two.test", dns.A, (0, 0, 1)),
        ("three.test", dns.A, (3, 0, 1)),
        ("test", dns.A, (0, 0, 1)),
        ("test", dns.SOA, (0, 1, 0)),
        ("chat.test", dns.A, (0, 2, 0)),
    ],
)
def test_names_are_answered_as_by_an_authoritative_server(
    name: str, kind: int, expected: tuple[int, int, int]
) -> None:
    assert outcome(dns.answer(ZONE, query(name, kind))) == expected


def test_a_zone_that_another_server_has_is_asked_for_there() -> None:
    zone: dns.Zone = {**ZONE, "one.test": {"forward": "10.77.0.9"}}
    assert dns.answer(zone, query("one.test", dns.A)) is None
    assert dns.answer(zone, query("_acme-challenge.matrix.one.test", dns.TXT)) is None
    assert dns.elsewhere(zone, "_acme-challenge.matrix.one.test") == "10.77.0.9"
    assert dns.elsewhere(zone, "two.test") is None
    assert outcome(dns.answer(zone, query("chat.test", dns.A)))[0] == 0


def test_names_of_the_outside_are_not_ours() -> None:
    assert dns.answer(ZONE, query("example.org", dns.A)) is None
