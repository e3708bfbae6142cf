"""The ports to let through, in and out."""

from __future__ import annotations

import itertools

import pytest

from matrix_baremetal import components
from matrix_baremetal.needs import Needs, Port
from matrix_baremetal.ports import nftables, openings
from matrix_baremetal.resources.admin_api import PORT
from tests.fake_releases import TOKENS, TOKENS_URL, sha256
from tests.fakes import MINIMAL, a_site

SERVICE = f"{{url: {TOKENS_URL}, sha256: {sha256(TOKENS)}}}"
CALLS = f"calls: {{jitsi: self-hosted, element_call: true, lk_jwt_service: {SERVICE}}}\n"
BESIDE = f"{CALLS}turn: {{enabled: true}}\n"


def ports(text: str, direction: str) -> dict[int, str]:
    site = a_site(f"server_name: example.org\n{text}\n")
    found = [each for each in openings(site, components.needs(site)) if each.direction == direction]
    return {each.port: each.purpose for each in found if each.protocol == "tcp"}


@pytest.mark.parametrize(
    ("text", "inward"),
    [
        ("", {80: "the certificate authority", 443: "clients, other servers"}),
        ("federation: {delegation: srv}", {80: "the certificate authority", 443: "clients, other servers"}),
        (
            "federation: {delegation: none}",
            {80: "the certificate authority", 443: "clients", 8448: "other servers"},
        ),
        ("federation: {enabled: false, delegation: none}", {80: "the certificate authority", 443: "clients"}),
        ("tls: {mode: self-signed}", {80: "browsers, to be sent on to 443", 443: "clients, other servers"}),
    ],
)
def test_what_comes_in_follows_from_the_needs_of_the_parts(text: str, inward: dict[int, str]) -> None:
    assert ports(text, "in") == inward


def test_what_is_this_machines_own_is_not_opened() -> None:
    site = a_site()
    assert PORT in {port.number for port in components.needs(site).of(Port)}
    assert PORT not in {each.port for each in openings(site, components.needs(site))}
    needs = Needs((Port(1, "u"), Port(2, "u", "all"), Port(2, "u", "and more")))
    assert [(each.port, each.purpose) for each in openings(site, needs) if each.direction == "in"] == [
        (2, "all, and more")
    ]


def test_a_range_is_let_through_by_its_own_protocol() -> None:
    site = a_site()
    needs = Needs((Port(9, "u", "calls", "udp", 12), Port(9, "u", "calls"), Port(9, "u", "calls", "udp")))
    found = [each for each in openings(site, needs) if each.direction == "in"]
    assert [(each.numbers, each.protocol) for each in found] == [("9", "tcp"), ("9", "udp"), ("9-12", "udp")]


# All parts that listen anywhere, each on ports of its own.
ALL = f"""{BESIDE}federation: {{delegation: none}}
metrics: {{enabled: true}}
bridges: {{irc: {{enabled: true, owner: alice}}, xmpp: {{enabled: true, owner: alice}}, whatsapp: {{enabled: true}},
  signal: {{enabled: true}}, discord: {{enabled: true}}, telegram: {{enabled: true, api_id: 1, api_hash_file: /a}}}}
"""


def test_no_two_parts_want_the_same_port() -> None:
    """Nor a port of a range, of which single ones are taken as they are needed."""
    found = components.needs(a_site(f"{MINIMAL}{ALL}")).of(Port)
    assert {"matrix-turn.service", "matrix-livekit.service", "matrix-jitsi-bridge.service", "nginx.service"} <= {
        port.unit for port in found
    }
    for one, other in itertools.combinations(found, 2):
        apart = (one.last or one.number) < other.number or (other.last or other.number) < one.number
        same = (one.number, one.last, one.unit) == (other.number, other.last, other.unit)
        assert one.protocol != other.protocol or apart or same, f"{one} and {other}"


def test_what_goes_out_is_what_is_asked_for() -> None:
    assert ports("", "out")[443] == "other servers, the certificate authority, packages"
    assert ports("", "out")[8448] == "other servers"
    closed = ports("federation: {enabled: false}\ntls: {mode: self-signed}", "out")
    assert closed[443] == "packages"
    assert 8448 not in closed


def test_rules_for_a_firewall_of_ones_own_say_what_each_is_for() -> None:
    site = a_site()
    needs = Needs((Port(443, "u", "clients"), Port(9, "u", "x" * 200, "udp", 12), Port(8008, "u")))
    rows = nftables(site, needs).splitlines()
    assert rows[-2:] == [
        f'udp dport 9-12 accept comment "{"x" * 127}"',
        'tcp dport 443 accept comment "clients"',
    ]
    assert all(row.startswith("# ") for row in rows[:-2])
    assert "8008" not in str(rows)
    # What each part says of its ports is a comment of nft's as it is.
    assert not any('"' in port.purpose for port in components.needs(a_site(f"{MINIMAL}{BESIDE}")).of(Port))
