"""Federation as another server goes about it: find us, trust the certificate, fetch the keys and verify them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from matrix_baremetal.checks.certificates import SEVERITY, Source
from matrix_baremetal.checks.check import Check
from matrix_baremetal.checks.homeserver import READY
from matrix_baremetal.checks.tls import SERVER
from matrix_baremetal.checks.wellknown import REDIRECTS, fetched
from matrix_baremetal.federation import Destination, Unsound, delegate, destination, public_key, published
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.web import Response

WELL_KNOWN = "/.well-known/matrix/server"
FIRST = "see federation.discovery"


def delegated(host: Host, server_name: str, source: Source) -> tuple[str | None, str]:
    """Whom the well-known file names, None where another server would pass it over; and why it would.

    Who has certificates of one's own making has told the other servers to trust them.
    """
    url = f"https://{server_name}{WELL_KNOWN}"
    answer = Response()
    for _ in range(4):
        answer, _place = fetched(host, url, urlsplit(url).hostname or "")
        location = answer.headers.get("location", "")
        if answer.status not in REDIRECTS or not location.startswith("https://"):
            break
        url = location
    untrusted = answer.untrusted if source == "acme" else ""
    if answer.fault or untrusted or answer.status != 200:
        return None, f"{url}: {answer.fault or untrusted or f'status {answer.status}'}"
    try:
        return delegate(answer.body), f"{url}: status 200"
    except Unsound as error:
        return None, f"{url}: {error}"


@dataclass(frozen=True)
class Federates(Check):
    """A check that goes the way of another server."""

    remote = True
    depth = 3

    server_name: str
    source: Source

    @property
    def after(self) -> tuple[str, ...]:
        return ("ports.443", SERVER, READY)

    def destination(self, host: Host) -> tuple[Destination, str]:
        """Whom another server would ask, and what its well-known file gave."""
        named, why = delegated(host, self.server_name, self.source)
        return destination(self.server_name, named, lambda name: host.net.lookup(name, "SRV").values), why

    def ask(self, host: Host, path: str) -> tuple[Destination, Response]:
        """Ask as another server would."""
        place, _ = self.destination(host)
        answer, _ = fetched(host, f"https://{place.authority}{path}", place.connect, place.port)
        return place, answer


@dataclass(frozen=True)
class Discovery(Federates):
    """How other servers find this one (server discovery of the specification)."""

    form = "federation.discovery"
    asks = "other servers find this one: by well-known file, SRV record or port 8448"

    expected: str = ""

    def look(self, host: Host) -> Finding:
        place, why = self.destination(host)
        seen = f"at {place.connect} port {place.port}, by {place.via}"
        if self.expected and place.authority != self.expected:
            message = f"other servers look for {self.server_name} in the wrong place: {seen}"
            return self.failed(message, why, next="matrix-baremetal doctor well-known dns")
        answer, asked = fetched(
            host, f"https://{place.authority}/_matrix/federation/v1/version", place.connect, place.port
        )
        if answer.fault:
            where = f"{place.connect} port {place.port}"
            message = f"other servers look for {self.server_name} at {where}, where nobody answers"
            return self.failed(
                message, f"by {place.via}", answer.fault, f"asked {asked}", next="matrix-baremetal doctor dns ports"
            )
        return self.fine(f"other servers find {self.server_name} {seen}")


@dataclass(frozen=True)
class Trusted(Federates):
    """Other servers want a certificate that holds, for the name that they were led to."""

    form = "federation.tls"
    asks = "other servers trust the certificate that they get"

    def look(self, host: Host) -> Finding:
        place, answer = self.ask(host, "/_matrix/federation/v1/version")
        if not answer.certificate:
            return self.skipped(f"{answer.fault}: {FIRST}")
        if answer.untrusted:
            message = f"other servers don't trust the certificate for {place.host}: {answer.untrusted}"
            return self.found(SEVERITY[self.source], message, next="matrix-baremetal doctor certificates tls")
        return self.fine(f"other servers trust the certificate for {place.host}")


@dataclass(frozen=True)
class Speaks(Federates):
    """The federation API answers where other servers look for it."""

    form = "federation.version"
    asks = "the federation API answers where other servers look for it"

    def look(self, host: Host) -> Finding:
        place, answer = self.ask(host, "/_matrix/federation/v1/version")
        if answer.fault:
            return self.skipped(f"{answer.fault}: {FIRST}")
        if answer.status == 200 and b'"server"' in answer.body:
            return self.fine(f"the federation API answers at {place.authority}")
        message = f"the federation API does not answer at {place.authority}"
        return self.failed(message, f"status {answer.status}", next="matrix-baremetal doctor web synapse")


@dataclass(frozen=True)
class Keys(Federates):
    """The keys published, with their signatures, against the key on the disk: another key is another server."""

    form = "federation.key"
    asks = "the keys published are signed, valid, and those of the signing key on the disk"

    path: str = ""

    @property
    def after(self) -> tuple[str, ...]:
        return (*super().after, "synapse.signing-key")

    def look(self, host: Host) -> Finding:
        _, answer = self.ask(host, "/_matrix/key/v2/server")
        if answer.fault:
            return self.skipped(f"{answer.fault}: {FIRST}")
        try:
            keys = published(answer.body, self.server_name, time.time())
            name, own = public_key(host.text(self.path) or "")
        except Unsound as error:
            message = f"other servers would not believe this one: {error}"
            return self.failed(message, f"status {answer.status}", next="matrix-baremetal doctor synapse clock")
        if keys.get(name) != own:
            message = f"the key published is not the one in {self.path}"
            return self.failed(
                message,
                *keys,
                next="systemctl restart matrix-synapse; restore the key from a backup if it was replaced",
            )
        return self.fine(f"the key {name} is published, signed and valid")
