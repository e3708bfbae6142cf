"""Calls: whether the TURN server relays, at an address that others reach, and to nobody it must not reach."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Literal

from matrix_baremetal.checks.check import Check
from matrix_baremetal.facts import addresses
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.relay import Answered, Asked, credentials
from matrix_baremetal.turn_start import SECRET, itself

# Somebody on the internet, whom nothing is sent to: a permission is between the server and us.
ANYBODY = "198.41.0.4"
LOGS = "journalctl -u matrix-turn"
# Some of those that are denied: this machine, providers' metadata, other machines of the network, and spellings.
DENIED = (
    *("127.0.0.1", "0.0.0.0", "169.254.169.254", "10.0.0.1", "172.16.0.1", "192.168.0.1", "192.168.1.1"),
    *("::1", "::ffff:127.0.0.1", "fd00::1", "fe80::1"),
)


@dataclass(frozen=True)
class OfTurn(Check):
    """A check that has something relayed."""

    remote = True
    depth = 2

    port: int
    hostname: str

    def ask(self, host: Host, transport: Literal["udp", "tls"], peers: tuple[str, ...] = ()) -> Answered:
        """Have something relayed, as somebody who may call; by an address that others see, where there is one."""
        secret = (host.text(SECRET) or "").strip()
        own = addresses(host)
        here = next((each for each in own if ":" not in each), next(iter(own), "127.0.0.1"))
        return host.net.relay(Asked((here, self.port), transport, self.hostname, *credentials(secret), peers))


@dataclass(frozen=True)
class Relays(OfTurn):
    """Somebody who may call gets a relayed address."""

    form = "turn.relay.{0.transport}"
    asks = "a client with credentials of this homeserver gets a relayed address for a call, by UDP and by TLS"

    transport: Literal["udp", "tls"] = "udp"

    @property
    def after(self) -> tuple[str, ...]:
        return (f"ports.udp.{self.port}" if self.transport == "udp" else f"ports.{self.port}",)

    def look(self, host: Host) -> Finding:
        seen = self.ask(host, self.transport, (ANYBODY,))
        way = {"udp": "by UDP", "tls": "by TLS"}[self.transport]
        if seen.fault or not seen.allowed:
            why = seen.fault or "it relays to nobody on the internet"
            return self.failed(f"no call is relayed {way} (port {self.port}): {why}", next=LOGS)
        return self.fine(f"calls are relayed {way}", f"at {seen.address}")


@dataclass(frozen=True)
class Closed(OfTurn):
    """Nobody gets to this machine or its network by way of a call; where there is an `outside`, an address or a name,
    to where others find it all the same.
    """

    form = "turn.closed"
    asks = "nothing is relayed to this machine itself, its network, or a provider's metadata"

    allowed: tuple[str, ...] = ()
    outside: str = ""

    @property
    def after(self) -> tuple[str, ...]:
        return (f"ports.udp.{self.port}",)

    def look(self, host: Host) -> Finding:
        networks = [ipaddress.ip_network(each) for each in self.allowed]
        others = (each for each in DENIED if not any(ipaddress.ip_address(each) in network for network in networks))
        meant = (*self.allowed, *(itself(host, self.outside) if self.outside else ()))
        own = (each for each in addresses(host) if each not in meant)
        seen = self.ask(host, "udp", tuple(dict.fromkeys((*others, *own))))
        if seen.fault:
            return self.skipped("see turn.relay.udp")
        if seen.allowed:
            message = f"calls can be relayed to {', '.join(seen.allowed)}, where nobody calls from"
            return self.failed(message, next="matrix-baremetal apply; systemctl restart matrix-turn")
        return self.fine("nothing is relayed to this machine or its network")
