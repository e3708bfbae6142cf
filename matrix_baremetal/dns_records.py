"""The DNS records that a site needs, each with its reason. Pure: the site and the machine's addresses in."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from matrix_baremetal.config_ddns import Ddns
from matrix_baremetal.config_tls import DIRECTORIES
from matrix_baremetal.needs import Needs
from matrix_baremetal.site import Site

# Seconds: of what stays, and of what follows a home line.
TTL, SHORT = 3600, 60
# Let's Encrypt's documented name for CAA records (letsencrypt.org/docs/caa), the same for staging.
CAA = '0 issue "letsencrypt.org"'
UNKNOWN = {"A": "YOUR-PUBLIC-IPV4-ADDRESS", "AAAA": "YOUR-PUBLIC-IPV6-ADDRESS"}


@dataclass(frozen=True)
class Record:
    """A DNS record; `value` is None for an address that this machine can't know, such as its router's."""

    name: str
    type: str
    value: str | None
    purpose: str
    optional: bool = False
    ttl: int = TTL

    @property
    def line(self) -> str:
        """The record as a zone file has it; one that is optional, or not whole, is a comment."""
        mark = "; " if self.optional or self.value is None else ""
        return f"{mark}{self.name}. {self.ttl} IN {self.type} {self.shown}"

    @property
    def shown(self) -> str:
        """Its value, or a word in place of it."""
        return self.value or UNKNOWN[self.type]


def records(
    site: Site, needs: Needs, addresses: Sequence[str], elsewhere: Collection[str] = (), line: str | None = None
) -> Iterator[Record]:
    """All records. `addresses` are the machine's own; names that are `elsewhere` need none of ours.

    `line` is the address of the home line that names are to follow, where it is known.
    """
    config = site.config
    ours = [name for name in needs.domains() if name not in elsewhere]
    if config.ddns:
        yield from following(site, config.ddns, ours, line)
    else:
        yield from (Record(name, *each, purpose(site, name)) for name in ours for each in targets(addresses))
    if config.federation.found_by == "srv":
        # Matrix spec, server-server API; the record without -fed is what older servers look for, and is deprecated.
        value = f"10 0 443 {config.hostname}."
        yield Record(f"_matrix-fed._tcp.{config.server_name}", "SRV", value, "how other servers find this one")
    alias = config.ddns and config.hostname not in config.ddns.hostnames and config.hostname != config.server_name
    if config.tls.mode == "acme" and config.acme.directory in DIRECTORIES and not alias:
        # An alias can have none. Not on the server name: a web site may have its certificates from somebody else.
        words = "lets no other authority give certificates for it"
        yield Record(config.hostname, "CAA", CAA, words, optional=True)


def following(site: Site, ddns: Ddns, ours: Sequence[str], line: str | None) -> Iterator[Record]:
    """Names that follow a home line by themselves, and the others, as aliases of the first of those.

    The server name is no alias, as it is mostly the top of its zone, where there can be none.
    """
    for name in ddns.hostnames:
        what = f"{purpose(site, name)}; " if name in ours else ""
        yield Record(name, "A", line, f"{what}{ddns.provider} keeps it up to date", ttl=SHORT)
    for name in (name for name in ours if name not in ddns.hostnames):
        if name == site.config.server_name:
            yield Record(
                name, "A", line, f"{purpose(site, name)}; by hand, as it is not in ddns.hostnames", ttl=SHORT
            )
        else:
            yield Record(name, "CNAME", f"{ddns.hostnames[0]}.", purpose(site, name))


def targets(addresses: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Types and values of a name's address records: public ones, else one for a person to fill in."""
    known = [ipaddress.ip_address(address) for address in addresses]
    four, six = ([each for each in known if each.version == version] for version in (4, 6))
    public = [each for each in known if each.is_global]
    # With no IPv4 at all there is nothing to fill in.
    if not any(each.version == 4 for each in public) and (four or not six):
        yield "A", None
    for each in sorted(public, key=lambda address: (address.version, int(address))):
        yield ("A" if each.version == 4 else "AAAA"), str(each)


OTHER = "a part of the homeserver"


def purpose(site: Site, name: str) -> str:
    """What a name is for."""
    config = site.config
    if name == config.hostname:
        return (
            "where clients and other servers connect to" if config.federation.enabled else "where clients connect to"
        )
    if name != config.server_name:
        known = {config.client_hostname: "the web client", config.admin_hostname: "the admin page"}
        rooms = config.calls.rooms_under(config.server_name)
        known |= {config.page_hostname: "the page for group calls", rooms: "Jitsi, for group calls"}
        return (known | {config.calls_hostname: "group calls"}).get(name, OTHER)
    if config.federation.found_by == "none":
        return "where other servers connect to"
    if config.federation.found_by == "srv":
        return "its certificate; clients learn here where to connect to"
    return "others learn here where to connect to; leave it where a web site is: show well-known"


def zone(found: Sequence[Record]) -> str:
    """Lines for a zone file."""
    rows = []
    for record in found:
        words = f"{record.purpose} (optional)" if record.optional else record.purpose
        rows += [f"; {words}", record.line]
    return "\n".join(rows)
