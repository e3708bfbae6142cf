"""The DNS: zones found by their SOA records, and answers taken from the zone's own servers, with the lab's server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import dns.message
import pytest

from matrix_baremetal import nameservers
from matrix_baremetal.nameservers import Lookup, Nameservers, Silent
from tests.lab.dns import answer

if TYPE_CHECKING:
    from dns.message import Message

OWN, AUTHORITY = "192.0.2.53", "203.0.113.53"
ZONE: dict[str, dict[str, Any] | None] = {
    "ns.test": {"a": [AUTHORITY]},
    "one.test": {"a": ["203.0.113.7"], "caa": ["letsencrypt.org"], "srv": [[10, 0, 443, "m.one.test"]]},
    "alias.one.test": {"cname": "one.test"},
    "cut.test": None,
}


class Servers:
    """A resolver with an old answer in its cache, and the zone's own server, which a test may silence."""

    def __init__(self, *dead: str) -> None:
        self.dead = dead
        self.asked: list[tuple[str, str, str]] = []

    def __call__(self, name: str, kind: str, server: str) -> Message:
        self.asked.append((name, kind, server))
        if server in self.dead:
            raise Silent(f"{server} does not answer")
        old = ZONE | {"one.test": {"a": ["198.51.100.1"]}}
        raw = answer(ZONE if server == AUTHORITY else old, dns.message.make_query(name, kind).to_wire())
        assert raw is not None
        return dns.message.from_wire(raw)


def looked_up(name: str, kind: str, *dead: str) -> Lookup:
    return Nameservers((OWN,), Servers(*dead)).lookup(name, kind)


@pytest.mark.parametrize(
    ("name", "kind", "values"),
    [
        ("one.test", "A", ("203.0.113.7",)),
        ("one.test", "AAAA", ()),
        ("one.test", "CAA", ('0 issue "letsencrypt.org"',)),
        ("one.test", "SRV", ("10 0 443 m.one.test",)),
        ("alias.one.test", "CNAME", ("one.test",)),
        ("cut.test", "A", ()),
    ],
)
def test_the_zones_own_server_is_asked_and_no_cache(name: str, kind: str, values: tuple[str, ...]) -> None:
    found = looked_up(name, kind)
    assert (found.values, found.zone, found.servers, found.fault) == (values, "test", ("ns.test",), "")


def test_an_alias_is_followed_and_named() -> None:
    found = looked_up("alias.one.test", "A")
    assert (found.values, found.alias) == (("203.0.113.7",), "one.test")


def test_where_the_zones_server_is_silent_the_machines_own_resolver_answers() -> None:
    found = looked_up("one.test", "A", AUTHORITY)
    assert (found.values, found.servers, found.fault) == (("198.51.100.1",), (), "")


def test_where_nobody_answers_it_is_said_and_asked_only_once() -> None:
    servers = Servers(OWN)
    found = Nameservers((OWN,), servers).lookup("one.test", "A")
    assert found == Lookup(fault=f"no nameserver answers ({OWN})")
    assert len(servers.asked) == 1
    assert "none in /etc/resolv.conf" in Nameservers((), servers).lookup("one.test", "A").fault


def test_a_server_that_is_none_is_silent_soon() -> None:
    with pytest.raises(Silent, match="does not answer"):
        nameservers.asked("one.test", "A", "127.0.0.253")


def test_this_machines_resolvers_are_read_whatever_else_is_written_there(tmp_path: Path) -> None:
    place = tmp_path / "resolv.conf"
    place.write_bytes(b"# by the b\xfcro\nnameserver fe80::1%eth0\n nameserver 192.0.2.53 # x\noptions edns0\n")
    assert nameservers.resolvers(str(place)) == ("fe80::1%eth0", "192.0.2.53")
