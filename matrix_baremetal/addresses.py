"""IP addresses: which an operator may name in the config, and which nobody may be led to. Pure.

The checks are as those of `names`: a function from a text to the text to use, or `ValueError` with one sentence.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from matrix_baremetal.names import shown

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# No router of the internet knows these.
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
# Beside those: this machine, a cable, examples, tests, many at once, and what IANA keeps for itself (its registries
# of special-purpose addresses). Of IPv6 also all that an IPv4 address is wrapped in (mapped, NAT64, 6to4, Teredo):
# whoever is kept from an address is kept from it in each of its spellings.
SPECIAL = (
    *("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24"),
    *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    *("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32"),
    *("2002::/16", "3fff::/20", "5f00::/16", "fe80::/10", "fec0::/10", "ff00::/8"),
)


def external(text: str) -> str:
    """Check the IPv4 address that others see of this machine, or the word for finding it."""
    if text == "auto":
        return text
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        raise ValueError(f"{shown(text)} is no IPv4 address; write one like 198.51.100.7, or auto") from None
    if address.is_loopback or address.is_multicast or address.is_unspecified or address.is_link_local:
        raise ValueError(f"{text} is an address that nobody else can reach; write the router's, or auto")
    return text


def peers(text: str) -> str:
    """Check a network, or one address, that calls may be relayed to although nothing of the kind is otherwise.

    A network has to be a private one: of the others a short slip would open all.
    """
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(
            f"{shown(text)} is no network and no address; write one like 192.168.1.0/24 or 192.168.1.9"
        ) from None
    first = network.network_address
    if first.is_loopback or first.is_link_local or first.is_multicast or first.is_unspecified:
        raise ValueError(f"{text} is for one machine or one cable alone, and nobody calls from there; leave it out")
    if network.num_addresses == 1:
        return str(first)
    if not any(within(network, ipaddress.ip_network(private)) for private in PRIVATE):
        raise ValueError(f"{text} is no private network; write one like 192.168.1.0/24, or a single address")
    return str(network)


def within(inner: ipaddress.IPv4Network | ipaddress.IPv6Network, outer: object) -> bool:
    """Whether a network is a part of another."""
    if isinstance(inner, ipaddress.IPv4Network):
        return isinstance(outer, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, ipaddress.IPv6Network) and inner.subnet_of(outer)


def span(text: str) -> str:
    """A network as its first and its last address: 10.0.0.0-10.255.255.255; one address as itself.

    Without the unspecified address, which coturn takes as the end of a range for all addresses of the other family.
    """
    network = ipaddress.ip_network(text)
    # By its number: to Python 3.13 ::ffff:0.0.0.0 is unspecified too, and it leads to this machine.
    first = network[0] if int(network[0]) else network[1]
    return ranged(first, network[-1])


def ranged(first: Address, last: Address) -> str:
    """All from one address to another."""
    return written(first) if first == last else f"{written(first)}-{written(last)}"


def written(address: Address) -> str:
    """An address as Python wrote it before 3.13, which has IPv4's dots in one that is mapped."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(address) if mapped is None else f"::ffff:{int(mapped) >> 16:x}:{int(mapped) & 0xFFFF:x}"


def without(text: str, holes: Iterable[str]) -> Iterator[str]:
    """What is left of a range, as `span` writes it, without some addresses; one that is named alone is meant."""
    ends = [ipaddress.ip_address(end) for end in text.split("-")]
    first, last = ends[0], ends[-1]
    if first == last:
        yield text
        return
    kind, begin = type(first), int(first)
    inside = {address for address in map(ipaddress.ip_address, holes) if address.version == first.version}
    for hole in sorted(int(address) for address in inside):
        if begin <= hole <= int(last):
            if begin < hole:
                yield ranged(kind(begin), kind(hole - 1))
            begin = hole + 1
    if begin <= int(last):
        yield ranged(kind(begin), last)
