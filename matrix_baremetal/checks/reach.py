"""Whether the addresses that the DNS gives lead here, as far as that shows from inside."""

from __future__ import annotations

from dataclasses import dataclass

from matrix_baremetal.checks.tls import SERVER
from matrix_baremetal.checks.web import CHALLENGE, Web
from matrix_baremetal.facts import addresses, home
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.net import public
from matrix_baremetal.web import Request


@dataclass(frozen=True)
class Reached(Web):
    """The addresses that the DNS gives for a name, where they are this machine's, answer on both ports."""

    form = "reach.{0.family}.{0.domain}"
    asks = "each published address of this machine answers on the ports 80 and 443, as far as this machine can tell"

    family: str = "ipv4"

    @property
    def after(self) -> tuple[str, ...]:
        return ("ports.80", "ports.443", SERVER)

    def look(self, host: Host) -> Finding:
        kind = {"ipv4": "A", "ipv6": "AAAA"}[self.family]
        found = host.net.lookup(self.domain, kind)
        if found.fault:
            return self.skipped(f"{self.domain} can't be looked up: see dns.a.{self.domain}")
        places = [address for address in found.values if address in addresses(host)]
        if not places:
            behind = home(host) and self.family == "ipv4" and public(found.values)
            return (
                self._by_the_router(host, behind[0])
                if behind
                else self.skipped("no address in the DNS is this machine's own")
            )
        faults = []
        for place in places:
            plain = host.net.request(Request(f"http://{self.domain}{CHALLENGE}doctor", (place, 80)))
            secure = self.ask(host, "/", place)
            faults += [f"{place} port {n}: {a.fault}" for n, a in ((80, plain), (443, secure)) if not a.status]
        if faults:
            return self.failed(
                f"{self.domain} does not answer at its own address", *faults, next="nginx -T | grep listen"
            )
        return self.fine(f"{self.domain} answers at {', '.join(places)}")

    def _by_the_router(self, host: Host, place: str) -> Finding:
        """Many routers lead back who comes from inside: then it shows whether they forward."""
        seen, ours = self.ask(host, "/", place), self.ask(host, "/")
        if seen.certificate and seen.certificate == ours.certificate:
            return self.fine(f"{self.domain} answers at {place}, by way of the router")
        why = seen.fault or "something else answers there, such as the router's own page"
        message = (
            f"{self.domain} does not answer at {place} from inside: the router forwards nothing, or leads nobody back"
        )
        return self.told(
            message, why, next="matrix-baremetal doctor --probe-from ssh:HOST outside, or a phone without Wi-Fi"
        )
