"""Group calls: whether both servers answer where clients look for them, and which address callers are told."""

from __future__ import annotations

from dataclasses import dataclass

from matrix_baremetal.calls_start import told
from matrix_baremetal.checks.check import Check, short
from matrix_baremetal.checks.web import Web
from matrix_baremetal.facts import addresses
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host

NAMES = {"livekit": "LiveKit", "tokens": "lk-jwt-service"}


@dataclass(frozen=True)
class Answers(Web):
    """One of the two answers, by way of nginx."""

    form = "calls.{0.what}"
    asks = "LiveKit, and lk-jwt-service which lets people in, answer where clients look for them"

    what: str = ""
    path: str = ""
    unit: str = ""
    behind: int = 0

    @property
    def after(self) -> tuple[str, ...]:
        return (*super().after, f"ports.{self.behind}")

    def look(self, host: Host) -> Finding:
        seen = self.ask(host, self.path)
        where = f"https://{self.name}{self.path}"
        if seen.status == 200:
            return self.fine(f"{NAMES[self.what]} answers at {where}")
        why = seen.fault or f"status {seen.status}"
        message = f"{NAMES[self.what]} does not answer at {where}, so nobody gets into a group call"
        return self.failed(message, why, next=f"journalctl -u {short(self.unit)} -n 20")


@dataclass(frozen=True)
class Address(Check):
    """The address at which callers are told to send."""

    form = "calls.address"
    asks = "the address that LiveKit tells callers is one that its name leads to"
    remote = True
    depth = 2

    hostname: str
    port: int
    given: str = "auto"

    @property
    def after(self) -> tuple[str, ...]:
        return (f"ports.udp.{self.port}",)

    def look(self, host: Host) -> Finding:
        named, own = told(host), addresses(host)
        led = host.net.addresses(self.hostname) if self.given == "auto" else (self.given,)
        said = (named,) if named else own
        outside = f"whether a firewall or router lets UDP {self.port} in shows only from outside"
        if not led or set(led) & set(said):
            return self.fine(f"callers are told {', '.join(said)}", outside)
        message = f"callers are told {', '.join(said)}, and {self.hostname} leads to {', '.join(led)}"
        return self.warned(message, outside, next="systemctl restart matrix-livekit; or set calls.external_ip")
