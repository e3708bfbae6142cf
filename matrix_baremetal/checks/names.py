"""Names in the DNS, asked of the servers of their zone: do they lead here, and may we have certificates."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network

from matrix_baremetal.checks.check import Check
from matrix_baremetal.checks.machine import SHARED_BY_PROVIDERS, private, within
from matrix_baremetal.facts import addresses
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.nameservers import Lookup

# www.cloudflare.com/ips: the addresses of its proxy.
CLOUDFLARE = tuple(
    map(
        ip_network,
        (
            *("173.245.48.0/20", "103.21.244.0/22", "103.22.200.0/22", "103.31.4.0/22", "141.101.64.0/18"),
            *("108.162.192.0/18", "190.93.240.0/20", "188.114.96.0/20", "197.234.240.0/22", "198.41.128.0/17"),
            *("162.158.0.0/15", "104.16.0.0/13", "104.24.0.0/14", "172.64.0.0/13", "131.0.72.0/22"),
            *("2400:cb00::/32", "2606:4700::/32", "2803:f800::/32", "2405:b500::/32", "2405:8100::/32"),
            *("2a06:98c0::/29", "2c0f:f248::/32"),
        ),
    )
)
FAMILIES = {"a": "A", "aaaa": "AAAA"}
EDIT = "edit the records at your DNS provider"


def asked(found: Lookup) -> str:
    """Who was asked, for the evidence."""
    return f"asked {', '.join(found.servers)}" if found.servers else "asked this machine's resolver"


def silent(host: Host) -> bool:
    """Whether no nameserver answers whatever is asked: then a name's own answer says nothing about it."""
    return bool(host.net.lookup(".", "NS").fault)


@dataclass(frozen=True)
class Resolver(Check):
    """Whether names are resolved at all."""

    form = "dns.resolver"
    asks = "this machine can look up names"
    remote = True
    depth = 0

    name: str

    def look(self, host: Host) -> Finding:
        found = host.net.lookup(self.name, "A")
        if found.values:
            return self.fine(f"names are resolved, such as {self.name}")
        if found.fault and silent(host):
            return self.failed("this machine can't look up any name", found.fault, next="cat /etc/resolv.conf")
        return self.warned(
            f"{self.name} can't be looked up", found.fault or "it has no address", next=f"getent hosts {self.name}"
        )


@dataclass(frozen=True)
class Leads(Check):
    """Whether a name's addresses are this machine's, in one family.

    With `here` it has to be this machine that answers; else another may, if it answers the same.
    """

    form = "dns.{0.family}.{0.name}"
    asks = "a name's addresses (A, AAAA) are those of this machine"
    remote = True
    depth = 0

    name: str
    family: str
    here: bool = True

    def look(self, host: Host) -> Finding:
        kind = FAMILIES[self.family]
        found = host.net.lookup(self.name, kind)
        if found.fault:
            if silent(host):
                return self.skipped("no nameserver answers: see dns.resolver")
            return self.failed(f"{self.name} can't be looked up", found.fault, next=EDIT)
        own = tuple(a for a in addresses(host) if (":" in a) == (kind == "AAAA"))
        if not found.values:
            return self._none(host, kind, own, found)
        seen = (asked(found), f"{kind} {', '.join(found.values)}", f"this machine has {', '.join(own) or 'none'}")
        if elsewhere := tuple(address for address in found.values if address not in own):
            return self._elsewhere(kind, elsewhere, own, seen)
        inner = ", by an address that only its own network reaches" if all(map(private, found.values)) else ""
        return self.fine(f"{self.name} leads here{inner}", *seen)

    def _none(self, host: Host, kind: str, own: tuple[str, ...], found: Lookup) -> Finding:
        if kind == "AAAA":
            return self.fine(f"{self.name} has no AAAA record, so nobody is led here by IPv6")
        record = f"{self.name}. A {next((a for a in own if not private(a)), '<the address of this machine>')}"
        if host.net.lookup(self.name, "AAAA").values:
            return self.warned(
                f"{self.name} has no A record, and many have no IPv6", asked(found), next=f"add {record}"
            )
        return self.failed(f"{self.name} has no address in the DNS", asked(found), next=f"add {record}")

    def _elsewhere(self, kind: str, others: tuple[str, ...], own: tuple[str, ...], seen: tuple[str, ...]) -> Finding:
        text = ", ".join(others)
        if any(within(address, *CLOUDFLARE) for address in others):
            return self.warned(
                f"{self.name} leads to Cloudflare's proxy: port 8448 and calls don't get through it",
                *seen,
                next="set the record to DNS only (the grey cloud) at Cloudflare",
            )
        if not self.here:
            return self.told(
                f"another machine answers for {self.name}; it needs the files that well-known.* ask for", *seen
            )
        if kind == "AAAA":
            return self.failed(
                f"{self.name} leads to {text}, which is not this machine: who has IPv6 does not get here",
                *seen,
                next=f"remove the AAAA record, or set it to {own[0] if own else 'an address of this machine'}",
            )
        if any(within(address, SHARED_BY_PROVIDERS) for address in others):
            return self.failed(
                f"{self.name} leads to {text}, an address inside of a provider's network", *seen, next=EDIT
            )
        hidden = own and all(private(a) or within(a, SHARED_BY_PROVIDERS) for a in own)
        if hidden and not any(map(private, others)):
            return self.told(
                f"{self.name} leads to {text}, and this machine is behind a router",
                *seen,
                next="forward the ports 80 and 443 of the router to this machine",
            )
        return self.failed(f"{self.name} leads to {text}, which is not this machine", *seen, next=EDIT)


@dataclass(frozen=True)
class Alias(Check):
    """A CNAME where there can be none: resolvers drop the other records of the zone then, mail's among them."""

    form = "dns.cname.{0.name}"
    asks = "a name that is the top of its zone is no CNAME"
    remote = True
    depth = 0

    name: str

    def look(self, host: Host) -> Finding:
        found = host.net.lookup(self.name, "CNAME")
        if found.fault:
            return self.skipped(f"{self.name} can't be looked up: see dns.a.{self.name}")
        if found.values and found.zone == self.name:
            return self.failed(
                f"{self.name} is the top of its zone and a CNAME, which can't be", *found.values, next=EDIT
            )
        return self.fine(
            f"{self.name} is an alias of {found.values[0]}" if found.values else f"{self.name} is no alias"
        )


@dataclass(frozen=True)
class Authorised(Check):
    """Whether the domain's CAA records let the certificate authority give certificates (RFC 8659)."""

    form = "dns.caa.{0.name}"
    asks = "the CAA records of a name let the certificate authority in"
    remote = True
    depth = 0

    name: str
    issuer: str

    def look(self, host: Host) -> Finding:
        labels = self.name.split(".")
        # From the name upwards, the first that has any counts.
        for name in (".".join(labels[i:]) for i in range(max(len(labels) - 1, 1))):
            found = host.net.lookup(name, "CAA")
            if found.fault:
                return self.skipped(f"{name} can't be looked up: see dns.a.{self.name}")
            if found.values:
                return self._judged(name, found)
        return self.fine(f"{self.name} has no CAA record, so any authority may")

    def _judged(self, name: str, found: Lookup) -> Finding:
        issue = [row.split(maxsplit=2)[2].strip('"') for row in found.values if row.split()[1:2] == ["issue"]]
        # Parameters may follow, such as the account that alone may ask.
        if issue and self.issuer not in [value.partition(";")[0].strip() for value in issue]:
            message = f"the CAA record of {name} forbids {self.issuer} to give a certificate"
            return self.failed(
                message, *found.values, next=f'add at your DNS provider: {name}. CAA 0 issue "{self.issuer}"'
            )
        return self.fine(f"the CAA records of {name} let {self.issuer} in")
