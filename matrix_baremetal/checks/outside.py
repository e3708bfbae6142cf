"""Calls: which address the other side is told to send to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from matrix_baremetal.checks.check import Check, short
from matrix_baremetal.facts import addresses
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.outside import told


@dataclass(frozen=True)
class Address(Check):
    """The address that a server tells callers, as its start has noted it."""

    remote = True
    depth = 2
    unit: ClassVar[str] = ""
    # Where the config has it.
    option: ClassVar[str] = "calls.external_ip"

    hostname: str
    port: int
    given: str = "auto"

    @property
    def after(self) -> tuple[str, ...]:
        return (f"ports.udp.{self.port}",)

    def look(self, host: Host) -> Finding:
        said = told(host, self.unit) or addresses(host)
        led = host.net.addresses(self.hostname) if self.given == "auto" else (self.given,)
        beyond = f"whether a firewall or router lets UDP {self.port} in shows only from outside"
        if not led or set(led) & set(said):
            return self.fine(f"callers are told {', '.join(said)}", beyond)
        message = f"callers are told {', '.join(said)}, and {self.hostname} leads to {', '.join(led)}"
        # A timer starts it again where the name leads elsewhere, so it is what the name leads to that is wrong.
        mend = f"systemctl restart {short(self.unit)}; or set {self.option}"
        return self.warned(message, beyond, next=mend)


@dataclass(frozen=True)
class OfTurn(Address):
    """Of calls of two."""

    form = "turn.address"
    asks = "the address at which calls are relayed is one that the homeserver's name leads to"
    unit = "matrix-turn.service"
    option = "turn.external_ip"


@dataclass(frozen=True)
class OfJitsi(Address):
    """Of calls by Jitsi."""

    form = "jitsi.address"
    asks = "the address that Jitsi's videobridge tells callers is one that its name leads to"
    unit = "matrix-jitsi-bridge.service"


@dataclass(frozen=True)
class OfCalls(Address):
    """Of group calls."""

    form = "calls.address"
    asks = "the address that LiveKit tells callers is one that its name leads to"
    unit = "matrix-livekit.service"
