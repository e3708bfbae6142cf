"""Addresses: what an operator may name, and ranges with holes."""

from __future__ import annotations

import ipaddress

import pytest

from matrix_baremetal.addresses import PRIVATE, SPECIAL, external, peers, span, without


@pytest.mark.parametrize("text", ["auto", "198.51.100.7", "10.0.0.1"])
def test_what_others_see_of_us_is_an_ipv4_address_or_to_be_found(text: str) -> None:
    assert external(text) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("example.org", "is no IPv4 address; write one like 198.51.100.7, or auto"),
        ("2001:db8::1", "is no IPv4 address"),
        ("127.0.0.1", "nobody else can reach"),
        ("0.0.0.0", "nobody else can reach"),
        ("1.2.3.4/24", "is no IPv4 address"),
    ],
)
def test_what_is_none_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        external(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("192.168.1.0/24", "192.168.1.0/24"),
        ("FD77::/64", "fd77::/64"),
        ("100.64.0.0/10", "100.64.0.0/10"),
        ("10.1.2.3", "10.1.2.3"),
        ("10.1.2.3/32", "10.1.2.3"),
        ("198.51.100.7", "198.51.100.7"),
    ],
)
def test_private_networks_and_single_addresses_may_be_relayed_to(text: str, found: str) -> None:
    assert peers(text) == found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0.0.0.0/0", "nobody calls from there"),
        ("::/0", "nobody calls from there"),
        ("127.0.0.1", "nobody calls from there"),
        ("::1", "nobody calls from there"),
        ("169.254.169.254", "nobody calls from there"),
        ("fe80::/64", "nobody calls from there"),
        ("8.0.0.0/8", "is no private network"),
        ("10.0.0.0/7", "is no private network"),
        ("192.168.1.5/24", "is no network and no address"),
        ("home", "is no network and no address"),
    ],
)
def test_what_would_open_more_than_was_meant_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        peers(text)


def test_a_range_is_written_by_its_ends_and_never_begins_with_the_unspecified_address() -> None:
    assert span("10.0.0.0/8") == "10.0.0.0-10.255.255.255"
    assert span("10.1.2.3") == "10.1.2.3"
    assert (span("0.0.0.0/8"), span("::/96")) == ("0.0.0.1-0.255.255.255", "::1-::ffff:ffff")
    # Python 3.13 calls the first of these unspecified, and writes it in another way.
    assert span("::ffff:0:0/96") == "::ffff:0:0-::ffff:ffff:ffff"
    assert span("::ffff:10.1.2.3") == "::ffff:a01:203"


def test_holes_are_taken_out_of_a_range_and_not_of_what_is_named_alone() -> None:
    found = without("10.0.0.0-10.0.0.255", ["10.0.0.255", "10.0.0.9", "10.0.0.0", "fd77::1", "10.1.0.0"])
    assert list(found) == ["10.0.0.1-10.0.0.8", "10.0.0.10-10.0.0.254"]
    assert list(without("fd77::-fd77::3", ["fd77::1"])) == ["fd77::", "fd77::2-fd77::3"]
    assert list(without("10.0.0.9", ["10.0.0.9"])) == ["10.0.0.9"]
    assert list(without("10.0.0.8-10.0.0.9", ["10.0.0.9", "10.0.0.8"])) == []


@pytest.mark.parametrize("text", ["8.8.8.8", "9.255.255.255", "172.32.0.0", "2606:4700::1", "2a00::1"])
def test_the_internet_is_not_among_those_that_are_denied(text: str) -> None:
    address = ipaddress.ip_address(text)
    assert address.is_global
    assert not any(address in ipaddress.ip_network(each) for each in (*PRIVATE, *SPECIAL))


def test_all_that_python_knows_for_no_part_of_the_internet_is_denied() -> None:
    # A sample of each /12 of IPv4, and the special ranges of IPv6 by their names.
    networks = [ipaddress.ip_network(each) for each in (*PRIVATE, *SPECIAL)]
    for first in range(0, 1 << 32, 1 << 20):
        address = ipaddress.ip_address(first)
        if not address.is_global:
            assert any(address in network for network in networks), address
    for text in (
        "::1",
        "::",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "2001:db8::1",
        "fe80::1",
        "ff02::1",
    ):
        assert any(ipaddress.ip_address(text) in network for network in networks), text
