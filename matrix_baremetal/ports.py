"""The ports that a router or firewall has to let through, in and out, and for what. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from matrix_baremetal.needs import Needs, Port
from matrix_baremetal.site import Site

# How much of a comment nft takes, in bytes (NFTNL_UDATA_COMMENT_MAXLEN).
LONGEST = 127


@dataclass(frozen=True)
class Opening:
    """A port to let through, `in` to this machine or `out` of it; with `last` all from the one to the other."""

    direction: str
    port: int
    protocol: str
    purpose: str
    last: int | None = None

    @property
    def numbers(self) -> str:
        """As people write it."""
        return f"{self.port}-{self.last}" if self.last else str(self.port)

    @property
    def named(self) -> str:
        """With its protocol, as firewalls write it: 443/tcp, 49152-49407/udp."""
        return f"{self.numbers}/{self.protocol}"


def openings(site: Site, needs: Needs) -> Iterator[Opening]:
    """What has to be open, in and out."""
    yield from incoming(needs)
    yield from outgoing(site)


def incoming(needs: Needs) -> Iterator[Opening]:
    """What others have to reach; a port without a purpose for them is this machine's own, and not among these."""
    inward: dict[tuple[int, str, int], list[str]] = {}
    for port in needs.of(Port):
        if port.purpose:
            inward.setdefault((port.number, port.protocol, port.last or 0), []).append(port.purpose)
    for number, protocol, last in sorted(inward):
        purposes = ", ".join(sorted(inward[number, protocol, last]))
        yield Opening("in", number, protocol, purposes, last or None)


def numbers(found: Iterable[Opening], protocol: str) -> list[str]:
    """The ports that come in by a protocol, in their order."""
    return [each.numbers for each in found if (each.direction, each.protocol) == ("in", protocol)]


def outgoing(site: Site) -> Iterator[Opening]:
    """Where this machine has to get to. Other servers may name any port; these two are what most use."""
    federates, acme = site.config.federation.enabled, site.config.tls.mode == "acme"
    encrypted = {"other servers": federates, "the certificate authority": acme, "packages": True}
    yield Opening("out", 53, "udp", "names (DNS)")
    yield Opening("out", 53, "tcp", "names (DNS), long answers")
    yield Opening("out", 80, "tcp", "Debian's packages")
    yield Opening("out", 443, "tcp", ", ".join(what for what, needed in encrypted.items() if needed))
    if federates:
        yield Opening("out", 8448, "tcp", "other servers")


def nftables(site: Site, needs: Needs) -> str:
    """What comes in as rules for an input chain of somebody's own (nft(8)), with what each is for."""
    rows = [
        f"# What others reach of {site.config.hostname}: into the chain that has `hook input`, before what drops.",
        "# Where that chain lets in no answers yet, this comes first: ct state established,related accept",
    ]
    for each in incoming(needs):
        rows.append(f'{each.protocol} dport {each.numbers} accept comment "{each.purpose[:LONGEST]}"')
    return "\n".join(rows) + "\n"
