"""The DNS as its own servers have it, not as a cache on the way remembers it. The only importer of dnspython.

Its messages, not its resolver, which imports three HTTP clients and half a second with them.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dns.message import Message

# Seconds that one server has for one question.
PATIENCE = 1.0
RESOLV_CONF = "/etc/resolv.conf"
NOERROR, NXDOMAIN = 0, 3


@dataclass(frozen=True)
class Lookup:
    """The records of one type, in text.

    `zone` is where the name is at home and `servers` those of the zone that answered: none where they could not be
    asked, so that the machine's own resolver was. `alias` is where a CNAME leads. `fault` says why there is no answer
    at all; no such name, or no such record, is an answer.
    """

    values: tuple[str, ...] = ()
    zone: str = ""
    servers: tuple[str, ...] = ()
    alias: str = ""
    fault: str = ""


class Silent(Exception):
    """No server answers."""


def lookup(name: str, kind: str) -> Lookup:
    """The records of a name, as the servers of its zone have them."""
    return Nameservers(resolvers(), asked).lookup(name, kind)


def resolvers(place: str = RESOLV_CONF) -> tuple[str, ...]:
    """The nameservers that this machine asks (resolv.conf(5)): three at most, as the C library does."""
    try:
        with open(place, errors="replace") as file:
            found = re.findall(r"^\s*nameserver\s+([0-9A-Fa-f.:]+(?:%[\w.-]+)?)", file.read(), re.MULTILINE)
            return tuple(found[:3])
    except OSError:
        return ()


class Nameservers:
    """This machine's resolvers, and by them the servers of any zone; `ask` gives one server's answer, or `Silent`."""

    def __init__(self, own: tuple[str, ...], ask: Callable[[str, str, str], Message]) -> None:
        self.own = own
        self.ask = ask

    def lookup(self, name: str, kind: str) -> Lookup:
        """Ask the servers of a name's zone; where they can't be reached, this machine's resolver."""
        try:
            zone, servers = self.home(name)
            for server, address in servers[:3]:
                try:
                    found = taken(self.ask(name, kind, address), kind)
                except Silent:
                    continue
                if found.alias and not found.values and kind != "CNAME":
                    found = replace(found, values=self.values(found.alias, kind))
                return replace(found, zone=zone, servers=(server,))
            return replace(taken(self.recursed(name, kind), kind), zone=zone)
        except Silent as error:
            return Lookup(fault=str(error))

    def home(self, name: str) -> tuple[str, list[tuple[str, str]]]:
        """The zone of a name, and its servers by name and address; none where a resolver on the way hides them."""
        zone = self.zone(name)
        if not zone:
            return "", []
        servers = self.values(zone, "NS")
        found = [(server, address) for server in servers for address in self.values(server, "A")]
        return zone, found or [(server, address) for server in servers for address in self.values(server, "AAAA")]

    def zone(self, name: str) -> str:
        """The zone that a name is in, by the SOA record that each answer and each refusal comes with (RFC 2308)."""
        import dns.rdatatype

        labels = name.rstrip(".").split(".")
        for above in (".".join(labels[i:]) for i in range(len(labels))):
            answer = self.recursed(above, "SOA")
            rows = [r for r in (*answer.answer, *answer.authority) if r.rdtype == dns.rdatatype.SOA]
            owners = [row.name.to_text().rstrip(".") for row in rows]
            # Behind an alias comes the SOA of where it leads.
            if found := next((owner for owner in owners if owner and f".{above}".endswith(f".{owner}")), ""):
                return found
        return ""

    def values(self, name: str, kind: str) -> tuple[str, ...]:
        """The records that this machine's resolver gives; none where there are none."""
        return taken(self.recursed(name, kind), kind).values

    def recursed(self, name: str, kind: str) -> Message:
        """The answer of this machine's resolver. Raises `Silent`."""
        for server in self.own:
            try:
                return self.ask(name, kind, server)
            except Silent:
                continue
        raise Silent(f"no nameserver answers ({', '.join(self.own) or f'none in {RESOLV_CONF}'})")


def taken(answer: Message, kind: str) -> Lookup:
    """What an answer holds of a type, and where its last CNAME leads."""
    import dns.rdatatype

    wanted, alias = dns.rdatatype.from_text(kind), ""
    found: list[str] = []
    for rows in answer.answer:
        if rows.rdtype == wanted:
            found += [row.to_text().rstrip(".") for row in rows]
        elif rows.rdtype == dns.rdatatype.CNAME:
            alias = rows[0].to_text().rstrip(".")
    return Lookup(tuple(sorted(found)), alias=alias)


def asked(name: str, kind: str, server: str) -> Message:
    """The answer of one server: that there is none is one, that it can't say is not. Raises `Silent`."""
    import dns.exception
    import dns.flags
    import dns.message

    question = dns.message.make_query(name, kind, use_edns=0, payload=1232)
    try:
        answer = exchanged(question, server, socket.SOCK_DGRAM)
        if answer.flags & dns.flags.TC:
            answer = exchanged(question, server, socket.SOCK_STREAM)
    except (OSError, EOFError, dns.exception.DNSException) as error:
        raise Silent(f"{server} does not answer") from error
    if int(answer.rcode()) not in (NOERROR, NXDOMAIN) or not question.is_response(answer):
        raise Silent(f"{server} can't say")
    return answer


def exchanged(question: Message, server: str, kind: socket.SocketKind) -> Message:
    """Send a question and read the answer, by UDP or, behind its length, by TCP (RFC 1035 §4.2)."""
    import dns.message

    wire = question.to_wire()
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, kind) as spoken:
        spoken.settimeout(PATIENCE)
        spoken.connect((server, 53))
        if kind == socket.SOCK_DGRAM:
            spoken.send(wire)
            return dns.message.from_wire(spoken.recv(65535))
        spoken.sendall(len(wire).to_bytes(2, "big") + wire)
        with spoken.makefile("rb") as answer:
            return dns.message.from_wire(answer.read(int.from_bytes(answer.read(2), "big")))
